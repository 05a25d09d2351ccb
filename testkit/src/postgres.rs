//! A throw-away Postgres: started once per test process, and gone when that process ends, by
//! whatever cause.

use std::{
    fs,
    io::Write,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};
use tempfile::TempDir;

use crate::DEADLINE;

/// Several servers may start at once, each beside a busy compiler.
const START_DEADLINE: Duration = DEADLINE.saturating_mul(2);

/// The lines of `postmaster.pid` with the process id and the progress of the start:
/// <https://www.postgresql.org/docs/current/storage-file-layout.html>.
const PID_LINE: usize = 0;
const STATUS_LINE: usize = 7;

/// Starts the server, and starts it again at each line of input once it has ended. Ends it at the
/// end of the input, when the test process is gone.
const GUARD: &str = r#"
while "$@" >&2 & server=$!; read -r _; do wait $server; done
kill -QUIT $server; wait $server; rm -rf "$0""#;

/// A Postgres server of the tests' own.
pub struct Postgres {
    directory: PathBuf,
    /// The TCP port, if it has one besides its Unix socket.
    port: Option<u16>,
    /// The owner of the pipe whose end ends the server.
    guard: Child,
}

impl Postgres {
    /// Returns the server shared by all tests of this process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["fsync=off", "max_connections=2500"]))
    }

    /// Starts a server with settings, and with a directory and a Unix socket of its own.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub fn start(settings: &[&str]) -> Self {
        let directory = new_directory();
        init(&directory, &[]);
        Self::start_in(directory, settings)
    }

    /// Starts a server whose own files are small beside a table of some megabytes.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub fn start_with_small_files() -> Self {
        let directory = new_directory();
        init(&directory, &["--wal-segsize=1"]);
        Self::start_in(directory, &["autovacuum=off"])
    }

    /// Starts a server with a TCP port, too, where it speaks TLS with a self-signed certificate.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub fn start_with_tls(port: u16) -> Self {
        let directory = new_directory();
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]);
        openssl.args(["-keyout", "server.key", "-out", "server.crt"]);
        run_in(&directory, &mut openssl);
        init(&directory, &[]);
        let port_setting = format!("port={port}");
        let tls = [
            "ssl=on",
            "ssl_cert_file=../server.crt",
            "ssl_key_file=../server.key",
        ];
        let server = Self::start_in(
            directory,
            &[&["listen_addresses=127.0.0.1", &port_setting], &tls[..]].concat(),
        );
        Self {
            port: Some(port),
            ..server
        }
    }

    /// Starts a server with a TCP port, too, where it asks for passwords. The password of the user
    /// `postgres` is `postgres`.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub fn start_with_passwords(port: u16) -> Self {
        let directory = new_directory();
        fs::write(directory.join("password"), "postgres\n").unwrap();
        init(
            &directory,
            &["--auth-host=scram-sha-256", "--pwfile=password"],
        );
        let port_setting = format!("port={port}");
        let server = Self::start_in(directory, &["listen_addresses=127.0.0.1", &port_setting]);
        Self {
            port: Some(port),
            ..server
        }
    }

    fn start_in(directory: PathBuf, settings: &[&str]) -> Self {
        let binaries = binaries();
        let mut guard = Command::new("sh");
        guard
            .arg("-c")
            .arg(GUARD)
            .arg(&directory)
            .arg(binaries.join("postgres"));
        guard
            .args(["-D", "data", "-c", "listen_addresses=", "-k"])
            .arg(&directory);
        guard.args(settings.iter().flat_map(|setting| ["-c", setting]));
        unprivileged(&directory, &mut guard);
        guard
            .stdin(Stdio::piped())
            .stderr(fs::File::create(directory.join("log")).unwrap());
        // Ctrl-C in a terminal goes to the whole process group, and the server has to outlive the
        // tests.
        guard.process_group(0);
        let guard = guard.spawn().unwrap();
        wait_until_ready(&directory, "");
        Self {
            directory,
            port: None,
            guard,
        }
    }

    /// Kills all processes of the server at once, and starts it again.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub fn crash(&mut self) {
        let postmaster = pid_file_line(&self.directory, PID_LINE).expect("a server that runs");
        loop {
            let processes = processes_in(&self.directory.join("data"));
            if processes.is_empty() {
                break;
            }
            for process in processes {
                kill(process, Signal::SIGKILL).ok();
            }
        }
        self.guard.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        wait_until_ready(&self.directory, &postmaster);
    }

    /// Limits the size of its files in bytes, as a full disk does.
    pub fn fill_disk(&self, bytes: u64) {
        self.limit_files(&bytes.to_string());
    }

    /// Lets its files grow again.
    pub fn free_disk(&self) {
        self.limit_files("unlimited");
    }

    fn limit_files(&self, bytes: &str) {
        let processes = || processes_in(&self.directory.join("data"));
        for process in processes() {
            let mut command = limit_files(process.as_raw().try_into().unwrap(), bytes);
            unprivileged(&self.directory, &mut command);
            let limited = command.output().unwrap().status.success();
            assert!(limited || !processes().contains(&process), "{command:?}");
        }
    }

    /// Returns the URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        match self.port {
            Some(port) => format!("postgres://postgres@127.0.0.1:{port}/{database}"),
            None => format!(
                "postgres://postgres@localhost/{database}?host={}",
                self.directory.display()
            ),
        }
    }
}

/// Initializes a server's data directory.
fn init(directory: &Path, options: &[&str]) {
    let mut initdb = Command::new(binaries().join("initdb"));
    initdb
        .args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
            "-D",
            "data",
        ])
        .args(options);
    run_in(directory, &mut initdb);
}

/// Creates a directory in which a server may write.
fn new_directory() -> PathBuf {
    let directory = TempDir::with_prefix("parlor-postgres-").unwrap().keep();
    if let Some(user) = unprivileged_user() {
        chown(&directory, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
    directory
}

/// Makes a command run in a directory, as the server's user.
pub fn unprivileged(directory: &Path, command: &mut Command) {
    if let Some(user) = unprivileged_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command.current_dir(directory).env("LC_ALL", "C");
}

/// Runs a command in a directory, and waits for its end.
fn run_in(directory: &Path, command: &mut Command) {
    unprivileged(directory, command);
    let ended = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        ended.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// Returns a command that limits the size of a process's files: `RLIMIT_FSIZE`.
pub fn limit_files(process: u32, bytes: &str) -> Command {
    let mut prlimit = Command::new("prlimit");
    prlimit
        .arg(format!("--pid={process}"))
        .arg(format!("--fsize={bytes}:unlimited"));
    prlimit
}

/// Lists the processes in a folder, such as a server's in its data directory, without ended ones
/// that nobody has waited for yet.
fn processes_in(folder: &Path) -> Vec<Pid> {
    let folder = folder.canonicalize().unwrap();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let inside = all.filter(|process| {
        process
            .path()
            .join("cwd")
            .read_link()
            .is_ok_and(|cwd| cwd == folder)
    });
    inside
        .filter_map(|process| {
            process
                .file_name()
                .to_str()?
                .parse()
                .ok()
                .map(Pid::from_raw)
        })
        .collect()
}

fn pid_file_line(directory: &Path, number: usize) -> Option<String> {
    let text = fs::read_to_string(directory.join("data/postmaster.pid")).ok()?;
    text.lines().nth(number).map(|line| line.trim().to_owned())
}

/// Waits for another server than the one with the process id `previous`.
fn wait_until_ready(directory: &Path, previous: &str) {
    let begun = Instant::now();
    let line = |number| pid_file_line(directory, number).unwrap_or_default();
    while line(PID_LINE) == previous || line(STATUS_LINE) != "ready" {
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert!(
            begun.elapsed() < START_DEADLINE,
            "Postgres did not start: {}",
            log()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the server's user, as Postgres refuses to run as root.
fn unprivileged_user() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let known = ["postgres", "nobody"].into_iter();
    let user = known
        .filter_map(|name| User::from_name(name).unwrap())
        .next();
    Some(user.expect("a user postgres or nobody, as Postgres refuses to run as root"))
}

/// Returns the folder of `postgres` and `initdb`: `$PG_BIN`, Debian's newest, or one of the `PATH`.
fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("PG_BIN") {
        return folder.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let debian = versions
        .max()
        .map(|newest| PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = debian.into_iter().chain(std::env::split_paths(&path));
    let found =
        folders.find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    found.expect("Postgres's server programs: install them, or set PG_BIN")
}
