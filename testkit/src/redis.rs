//! A throw-away Redis: on a port of its own, without files, gone when dropped or when the test
//! process ends, by whatever cause.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{DEADLINE, HOW_TO_GET_TOOLS, free_port};

/// Starts the server, and kills it at the end of the input.
const GUARD: &str = r#""$@" & echo $! >pid; read -r _; kill -KILL $!; wait $!"#;

/// A Redis server of the tests' own.
pub struct Redis {
    address: SocketAddr,
    arguments: Vec<String>,
    folder: TempDir,
    /// The owner of the pipe whose end ends the server; none while the server is away.
    guard: Option<Child>,
}

impl Redis {
    /// Starts a server with settings, such as `--requirepass secret`, each a word.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_in(new_folder(), settings)
    }

    /// Starts a server that speaks only TLS, with a certificate for `localhost` in the file
    /// [`Redis::certificate`].
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub fn start_with_tls() -> Self {
        let folder = new_folder();
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ]);
        openssl.args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.args(["-keyout", "server.key", "-out", "server.crt"]);
        let made = openssl.current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{openssl:?}: {made:?}");
        let port = free_port().to_string();
        let tls = [
            "--tls-port",
            &port,
            "--port",
            "0",
            "--tls-auth-clients",
            "no",
        ];
        let files = [
            "--tls-cert-file",
            "server.crt",
            "--tls-key-file",
            "server.key",
        ];
        Self::run(folder, port.parse().unwrap(), &[&tls[..], &files].concat())
    }

    /// Starts a sentinel of a server, under the name `main`.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start_sentinel(of: &Self) -> Self {
        let folder = new_folder();
        let settings = format!(
            "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 1000\n",
            of.port()
        );
        fs::write(folder.path().join("sentinel.conf"), settings).unwrap();
        Self::start_in(folder, &["sentinel.conf", "--sentinel"])
    }

    fn start_in(folder: TempDir, settings: &[&str]) -> Self {
        let port = free_port();
        let own = ["--port", &port.to_string()].map(str::to_owned);
        let own: Vec<_> = own.iter().map(String::as_str).collect();
        Self::run(folder, port, &[settings, &own].concat())
    }

    fn run(folder: TempDir, port: u16, arguments: &[&str]) -> Self {
        let mut server = Self {
            address: ([127, 0, 0, 1], port).into(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            folder,
            guard: None,
        };
        server.start_again();
        server
    }

    /// Starts the server again after [`Redis::kill`].
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start_again(&mut self) {
        let mut command = Command::new("sh");
        command.arg("-c").arg(GUARD).arg("sh").arg("redis-server");
        command.args(&self.arguments);
        if !self.arguments.iter().any(|word| word == "--sentinel") {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        command.args(["--bind", "127.0.0.1", "--loglevel", "warning"]);
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::piped());
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        // Ctrl-C in a terminal goes to the whole process group, and the server has to outlive the
        // tests.
        command.process_group(0);
        self.guard = Some(command.spawn().unwrap());
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(
                begun.elapsed() < DEADLINE,
                "Redis did not start: {HOW_TO_GET_TOOLS}\n{}",
                log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the server: everything in it is gone.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn kill(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            guard.wait().unwrap();
        }
    }

    /// Sends the server a signal.
    ///
    /// # Panics
    ///
    /// When it is away.
    pub fn signal(&self, signal: Signal) {
        let pid = fs::read_to_string(self.folder.path().join("pid")).unwrap();
        kill(Pid::from_raw(pid.trim().parse().unwrap()), signal).unwrap();
    }

    /// Runs a command, and returns the answer as text.
    ///
    /// # Panics
    ///
    /// When the answer is an error, or none.
    pub fn command(&self, words: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-e", "-p", &self.port().to_string()]).args(words);
        let output = cli
            .output()
            .unwrap_or_else(|error| panic!("{error}: {HOW_TO_GET_TOOLS}"));
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{cli:?}: {answer}");
        answer.trim_end().to_owned()
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Returns the file of its certificate.
    pub fn certificate(&self) -> String {
        format!("{}/server.crt", self.folder.path().display())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn new_folder() -> TempDir {
    TempDir::with_prefix("parlor-redis-").unwrap()
}
