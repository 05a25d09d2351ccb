//! The server as a process, for the benches.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A running server; killed when dropped.
pub struct Parlor {
    child: Child,
    answers: BufReader<ChildStdout>,
    /// Where it listens.
    pub address: String,
}

impl Parlor {
    /// Starts a build of the server on a database, and waits until it is ready.
    pub fn start(program: &str, database_url: &str, flags: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(["--port=0", "--host=127.0.0.1", "--log-format=json"])
            .args(flags)
            .env("DATABASE_URL", database_url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut line_with = |text: &str| {
            log.by_ref()
                .map(Result::unwrap)
                .find(|line| line.contains(text))
                .unwrap()
        };
        let listening: serde_json::Value = serde_json::from_str(&line_with("listening")).unwrap();
        line_with("\"ready\"");
        std::thread::spawn(move || log.for_each(|line| eprintln!("{}", line.unwrap())));
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            answers,
            address: listening["address"].as_str().unwrap().to_owned(),
        }
    }

    /// Writes a line to the process, and reads the line that it answers.
    pub fn ask(&mut self) -> String {
        self.child.stdin.as_ref().unwrap().write_all(b"\n").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer
    }

    /// Resident memory, in kB.
    pub fn resident_kilobytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many files it has open, connections among them; without the database's, which its pool
    /// closes and opens again.
    pub fn descriptors(&self, database: &Path) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        // One that is closed meanwhile leads nowhere.
        let targets = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        targets
            .filter(|target| !target.starts_with(database))
            .count()
    }
}

impl Drop for Parlor {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
