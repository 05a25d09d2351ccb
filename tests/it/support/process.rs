//! The server's program, as a process of its own.

use std::{
    ops::Deref,
    process::{ExitStatus, Stdio},
};

use nix::unistd::geteuid;
use testkit::process::{self, Announcement, Log};
use tokio::process::Command;

use super::Database;

/// A running `parlor`; killed when dropped.
pub struct Process(process::Process);

/// A shell script that makes a file's size limit an error instead of the end of its command.
const OUTLIVES_LIMITS: &str = r#"trap '' XFSZ; exec "$@""#;

impl Process {
    /// Returns the program's command, without the environment of the tests.
    pub fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command.env_clear().kill_on_drop(true).stdin(Stdio::null());
        command
    }

    /// Returns a command bound by the files' modes, also when root runs the tests.
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

    /// Starts it on a given port.
    pub async fn at(port: u16, database: &Database) -> Self {
        Self::spawn(port, database, Self::command()).await
    }

    /// Starts it on a given port, with settings, as flags.
    pub async fn at_with(port: u16, database: &Database, flags: &[&str]) -> Self {
        let mut command = Self::command();
        command.args(flags);
        Self::spawn(port, database, command).await
    }

    /// Starts it as on a Heroku dyno.
    pub async fn start_on_dyno(database: &Database) -> Self {
        let mut command = Self::command();
        command.env("DYNO", "web.1");
        Self::spawn(0, database, command).await
    }

    /// Starts it with a variable that is no setting of its own.
    #[cfg(feature = "otel")]
    pub async fn with_variable(database: &Database, name: &str, value: &str) -> Self {
        let mut command = Self::command();
        command.env(name, value);
        Self::spawn(0, database, command).await
    }

    /// Starts it with one worker thread.
    pub async fn on_one_thread(database: &Database) -> Self {
        let mut command = Self::command();
        command.env("TOKIO_WORKER_THREADS", "1");
        Self::spawn(0, database, command).await
    }

    /// Starts it with settings, as flags.
    pub async fn with(database: &Database, flags: &[&str]) -> Self {
        Self::at_with(0, database, flags).await
    }

    /// Starts it with settings, on a disk that `fill_disk` can fill.
    pub async fn on_small_disk(database: &Database, flags: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", OUTLIVES_LIMITS, "sh", env!("CARGO_BIN_EXE_parlor")])
            .args(flags);
        command.env_clear().kill_on_drop(true).stdin(Stdio::null());
        Self::spawn(0, database, command).await
    }

    /// Starts it with settings, without waiting until it is ready.
    pub async fn waiting(database: &Database, flags: &[&str]) -> Self {
        let mut command = Self::command();
        command.args(flags);
        Self::spawn_until(Announcement::Listening, 0, database, command).await
    }

    async fn spawn(port: u16, database: &Database, command: Command) -> Self {
        Self::spawn_until(Announcement::Ready, port, database, command).await
    }

    async fn spawn_until(
        announcement: Announcement,
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
        let spawning = process::Process::spawn(command, announcement, Log::Keep);
        Self(spawning.await.unwrap())
    }

    /// Waits for its end, and returns its status and the rest of its log.
    pub async fn ended(self) -> (ExitStatus, String) {
        self.0.ended().await
    }
}

impl Deref for Process {
    type Target = process::Process;

    fn deref(&self) -> &process::Process {
        &self.0
    }
}
