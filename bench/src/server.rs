//! The contestants, each as a process of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context;
use clap::ValueEnum;
use procfs::process::Process;
use testkit::process::{self, Announcement, Log};
use tokio::process::Command;

/// A server under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Contestant {
    /// This project's server.
    Parlor,
    /// The same server on its embedded database.
    Sqlite,
    /// The same server on a store in memory.
    Unpersisted,
    /// Node with `socket.io` and `pg`: `bench/peer`.
    #[value(name = "node")]
    Peer,
    /// This project's server, with its bus on Redis.
    ParlorByRedis,
    /// This project's server, without a bus.
    ParlorWithoutBus,
    /// The peer, with `@socket.io/postgres-adapter`.
    #[value(name = "node-by-postgres")]
    PeerByPostgres,
    /// The peer, with `@socket.io/redis-adapter`.
    #[value(name = "node-by-redis")]
    PeerByRedis,
    /// Little more than the system calls: [`crate::lower_bound`].
    LowerBound,
}

impl Contestant {
    /// Returns its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parlor => "Parlor",
            Self::Sqlite => "Parlor on SQLite",
            Self::Unpersisted => "Parlor, not storing",
            Self::Peer => "Node",
            Self::ParlorByRedis => "Parlor by Redis",
            Self::ParlorWithoutBus => "Parlor, no bus",
            Self::PeerByPostgres => "Node by Postgres",
            Self::PeerByRedis => "Node by Redis",
            Self::LowerBound => "lower bound",
        }
    }

    /// Returns true for the server that this project is compared with.
    pub fn is_peer(self) -> bool {
        matches!(self, Self::Peer | Self::PeerByPostgres | Self::PeerByRedis)
    }

    /// Returns the settings of its way to the other servers of its kind.
    fn bus(self, engines: &Engines) -> Vec<(&'static str, &str)> {
        match self {
            Self::ParlorByRedis => vec![
                ("BUS_URL", &engines.redis_url),
                ("BUS_PREFIX", &engines.name),
            ],
            Self::ParlorWithoutBus => vec![("BUS_URL", "none")],
            Self::PeerByPostgres => vec![("ADAPTER", "postgres"), FEWER_CONNECTIONS],
            Self::PeerByRedis => vec![
                ("ADAPTER", "redis"),
                ("REDIS_URL", &engines.redis_url),
                FEWER_CONNECTIONS,
            ],
            _ => vec![],
        }
    }
}

/// The setting with which four of the peer's processes stay below Postgres' default limit.
const FEWER_CONNECTIONS: (&str, &str) = ("POOL_SIZE", "12");

/// The engines under a server.
#[derive(Debug, Clone)]
pub struct Engines {
    /// A name for this run alone.
    pub name: String,
    /// The URL of its database.
    pub database_url: String,
    /// The URL of a Redis, or nothing where no server needs one.
    pub redis_url: String,
}

/// The paths of the servers' programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Parlor's program.
    pub parlor: PathBuf,
    /// This program, with the built-in servers.
    pub bench: PathBuf,
    /// The peer's folder.
    pub peer: PathBuf,
}

impl Programs {
    fn command(&self, contestant: Contestant) -> Command {
        let with_argument = |program: &Path, argument: &str| {
            let mut command = Command::new(program);
            command.arg(argument);
            command
        };
        match contestant {
            Contestant::Parlor
            | Contestant::ParlorByRedis
            | Contestant::ParlorWithoutBus
            | Contestant::Sqlite => Command::new(&self.parlor),
            Contestant::Unpersisted => with_argument(&self.bench, "unpersisted"),
            Contestant::LowerBound => with_argument(&self.bench, "lower-bound"),
            Contestant::Peer | Contestant::PeerByPostgres | Contestant::PeerByRedis => {
                let mut node = with_argument(Path::new("node"), "server.mjs");
                node.current_dir(&self.peer);
                node
            }
        }
    }
}

/// Settings without rate limits: one user of the benchmark stands for many.
const WITHOUT_RATES: [(&str, &str); 5] = [
    ("MESSAGES_PER_SECOND", "0"),
    ("REQUESTS_PER_SECOND", "0"),
    ("EVENTS_PER_SECOND", "0"),
    ("MAX_ROOMS_PER_SOCKET", "10000"),
    ("LOG_FORMAT", "json"),
];

/// A running server; killed when dropped.
pub struct Server {
    process: process::Process,
    /// The address that it listens on.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server on its engines, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn start(
        programs: &Programs,
        contestant: Contestant,
        engines: &Engines,
    ) -> anyhow::Result<Self> {
        let mut command = programs.command(contestant);
        command
            .env("PORT", "0")
            .env("HOST", "127.0.0.1")
            .env("DATABASE_URL", &engines.database_url)
            .envs(WITHOUT_RATES)
            .envs(contestant.bus(engines))
            .stdin(Stdio::null());
        let announcement = match contestant {
            Contestant::Unpersisted | Contestant::LowerBound => Announcement::Printed,
            peer if peer.is_peer() => Announcement::Printed,
            _ => Announcement::Ready,
        };
        let process = process::Process::spawn(command, announcement, Log::PassOn)
            .await
            .with_context(|| format!("{} did not start", contestant.name()))?;
        Ok(Self {
            address: process.address,
            process,
        })
    }

    /// Kills the process, and waits for its end.
    pub async fn kill(self) {
        self.process.kill().await;
    }

    /// Returns its user and system time so far, in seconds.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(&self.process()?)
    }

    /// Returns its resident memory, in kB.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read.
    pub fn resident_kilobytes(&self) -> anyhow::Result<f64> {
        let resident = self
            .process()?
            .status()?
            .vmrss
            .context("a process that runs has memory")?;
        Ok(resident as f64)
    }

    fn process(&self) -> anyhow::Result<Process> {
        Ok(Process::new(self.process.id().try_into()?)?)
    }
}

/// Returns a process's user and system time so far, in seconds.
///
/// # Errors
///
/// When `/proc` cannot be read.
pub fn cpu_seconds(process: &Process) -> anyhow::Result<f64> {
    let stat = process.stat()?;
    Ok((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}
