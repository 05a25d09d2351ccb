//! The server's program, as a process of its own.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
};

use super::{Database, postgres::limit_files, within_deadline};

/// A running `parlor`; killed when dropped.
pub struct Process {
    child: Child,
    /// Reads what it logs, lest it wait for a reader.
    log: JoinHandle<String>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Runs a command to which a file that may not grow is an error, not its end.
const OUTLIVES_LIMITS: &str = r#"trap '' XFSZ; exec "$@""#;

impl Process {
    /// The program without the settings of whoever runs the tests.
    pub fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command.env_clear().kill_on_drop(true).stdin(Stdio::null());
        command
    }

    /// The same, which may read and write only what files' modes let their owner, also when root
    /// runs the tests.
    pub fn command_bound_by_modes() -> Command {
        if !geteuid().is_root() {
            return Self::command();
        }
        let mut command = Command::new("setpriv");
        command.args([
            "--bounding-set=-dac_override,-dac_read_search",
            "--",
            env!("CARGO_BIN_EXE_parlor"),
        ]);
        command.env_clear().kill_on_drop(true).stdin(Stdio::null());
        command
    }

    /// Starts it on a database and a free port, and waits until it is ready.
    pub async fn start(database: &Database) -> Self {
        Self::at(0, database).await
    }

    /// Starts it on a port that was chosen beforehand.
    pub async fn at(port: u16, database: &Database) -> Self {
        Self::spawn(port, database, Self::command()).await
    }

    /// The same, as on a Heroku dyno.
    pub async fn start_on_dyno(database: &Database) -> Self {
        let mut command = Self::command();
        command.env("DYNO", "web.1");
        Self::spawn(0, database, command).await
    }

    /// The same, with one thread for all that it does.
    pub async fn on_one_thread(database: &Database) -> Self {
        let mut command = Self::command();
        command.env("TOKIO_WORKER_THREADS", "1");
        Self::spawn(0, database, command).await
    }

    /// Starts it with settings, as flags.
    pub async fn with(database: &Database, flags: &[&str]) -> Self {
        let mut command = Self::command();
        command.args(flags);
        Self::spawn(0, database, command).await
    }

    /// Starts it with settings, on a disk that [`Process::fill_disk`] can fill.
    pub async fn on_small_disk(database: &Database, flags: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", OUTLIVES_LIMITS, "sh", env!("CARGO_BIN_EXE_parlor")])
            .args(flags);
        command.env_clear().kill_on_drop(true).stdin(Stdio::null());
        Self::spawn(0, database, command).await
    }

    /// Starts it with settings, and does not wait until it is ready.
    pub async fn waiting(database: &Database, flags: &[&str]) -> Self {
        let mut command = Self::command();
        command.args(flags);
        Self::spawn_until("listening", 0, database, command).await
    }

    async fn spawn(port: u16, database: &Database, command: Command) -> Self {
        Self::spawn_until("ready", port, database, command).await
    }

    /// Starts it, and waits until it logs that it is so far.
    async fn spawn_until(
        state: &str,
        port: u16,
        database: &Database,
        mut command: Command,
    ) -> Self {
        let port = format!("--port={port}");
        command.env("DATABASE_URL", database.url()).args([
            &port,
            "--host=127.0.0.1",
            "--log-format=json",
        ]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let line = line_with(&mut log, "listening").await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = line["address"].as_str().unwrap().parse().unwrap();
        if state == "ready" {
            line_with(&mut log, "\"ready\"").await;
        }
        let log = tokio::spawn(async move {
            let mut rest = String::new();
            log.read_to_string(&mut rest).await.unwrap();
            rest
        });
        Self {
            child,
            log,
            address,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Lets none of its files grow beyond so many bytes, as on a full disk.
    pub fn fill_disk(&self, bytes: u64) {
        assert!(
            limit_files(self.id(), &bytes.to_string())
                .status()
                .unwrap()
                .success()
        );
    }

    /// Lets its files grow again.
    pub fn free_disk(&self) {
        assert!(
            limit_files(self.id(), "unlimited")
                .status()
                .unwrap()
                .success()
        );
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end: how it ended, and the rest of its log.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = within_deadline("the process to end", self.child.wait())
            .await
            .unwrap();
        (status, self.log.await.unwrap())
    }
}

async fn line_with(log: &mut BufReader<ChildStderr>, text: &str) -> String {
    let reading = async {
        let mut seen = String::new();
        loop {
            let begin = seen.len();
            let read = log.read_line(&mut seen).await.unwrap();
            assert!(read > 0, "the process ended: {seen}");
            if seen[begin..].contains(text) {
                return seen.split_off(begin);
            }
        }
    };
    within_deadline(&format!("a log line with {text}"), reading).await
}
