//! Servers as processes of their own.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::{DEADLINE, postgres::limit_files, within_deadline};

/// The output on which a server says, in JSON lines, where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// Its log on standard error, up to the line `ready`.
    Ready,
    /// Its log on standard error, up to the line `listening`.
    Listening,
    /// The first line on standard output; its log passes to this process's.
    Printed,
}

/// The use of the log's lines after the announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// [`Process::ended`] returns them.
    Keep,
    /// They are written to standard error.
    PassOn,
}

/// A running server; killed when dropped.
pub struct Process {
    child: Child,
    /// Reads its log, lest it wait for a reader.
    log: JoinHandle<String>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Process {
    /// Starts a program and waits for its announcement.
    ///
    /// # Errors
    ///
    /// When the program does not start, ends, or announces nothing before [`DEADLINE`].
    pub async fn spawn(
        mut command: Command,
        announcement: Announcement,
        log: Log,
    ) -> anyhow::Result<Self> {
        match announcement {
            Announcement::Printed => command.stdout(Stdio::piped()),
            Announcement::Ready | Announcement::Listening => command.stderr(Stdio::piped()),
        };
        let spawned = command.kill_on_drop(true).spawn();
        let mut child = spawned.with_context(|| format!("{command:?}"))?;
        let (address, log) = match announcement {
            Announcement::Printed => {
                follow(child.stdout.take().context("piped")?, announcement, log).await
            }
            Announcement::Ready | Announcement::Listening => {
                follow(child.stderr.take().context("piped")?, announcement, log).await
            }
        }?;
        Ok(Self {
            child,
            log,
            address,
        })
    }

    /// Returns its process id.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Takes its standard input and output, where the command has pipes.
    pub fn take_pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.child.stdin.take()?, self.child.stdout.take()?))
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        let id = self.id().try_into().expect("process ids are positive");
        kill(Pid::from_raw(id), signal).expect("the process runs");
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
        let mut command = limit_files(self.id(), bytes);
        assert!(command.status().expect("prlimit runs").success());
    }

    /// Waits for its end, and returns its status and the rest of its log.
    ///
    /// # Panics
    ///
    /// After [`DEADLINE`].
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = within_deadline("the process to end", self.child.wait()).await;
        let log = self.log.await.expect("reading a log does not panic");
        (status.expect("a child can be waited for"), log)
    }

    /// Kills it, and waits for its end.
    pub async fn kill(mut self) {
        self.child.kill().await.ok();
    }
}

/// Reads a server's address from its output, then goes on to read in a task.
async fn follow(
    output: impl AsyncRead + Send + Unpin + 'static,
    announcement: Announcement,
    log: Log,
) -> anyhow::Result<(SocketAddr, JoinHandle<String>)> {
    let mut lines = BufReader::new(output).lines();
    let reading = timeout(DEADLINE, announced(&mut lines, announcement));
    let address = reading.await.context("not announced in time")??;
    Ok((address, tokio::spawn(rest(lines, log))))
}

async fn announced<R: AsyncRead + Unpin>(
    lines: &mut Lines<BufReader<R>>,
    announcement: Announcement,
) -> anyhow::Result<SocketAddr> {
    let (mut address, mut seen) = (None, String::new());
    while let Some(line) = lines.next_line().await? {
        seen = seen + &line + "\n";
        let Ok(line) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        address = line["address"].as_str().map(str::to_owned).or(address);
        let is_last = announcement != Announcement::Ready || line["message"] == "ready";
        if let (Some(address), true) = (&address, is_last) {
            return Ok(address.parse()?);
        }
    }
    bail!("the process ended: {seen}")
}

async fn rest<R: AsyncRead + Unpin>(mut lines: Lines<BufReader<R>>, log: Log) -> String {
    let mut rest = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        match log {
            Log::Keep => rest = rest + &line + "\n",
            Log::PassOn => eprintln!("{line}"),
        }
    }
    rest
}

/// Returns a free port for a server that starts a little later. It is none of those that systems
/// hand out, lest another process gets it meanwhile.
///
/// # Panics
///
/// When a thousand ports in a row are taken.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that start together have neighbouring ids.
    let first = 20_000 + (std::process::id().wrapping_mul(16) % 11_000) as u16;
    let candidates =
        std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed)).take(1_000);
    let mut free =
        candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.next().expect("a free port")
}
