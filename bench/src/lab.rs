//! The setup of a benchmark: one Postgres for all servers, and an empty database for each run.

use std::{
    iter,
    net::SocketAddr,
    ops::Sub,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use procfs::process::{Process, all_processes};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use testkit::{Postgres, Redis};

use crate::server::{Contestant, Engines, Programs, Server, cpu_seconds};

/// The amount of work.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The length of one measurement.
    pub time: Duration,
    /// The factor for the numbers of clients, rooms and stored messages: 1, or less for a trial.
    pub scale: f64,
}

impl Size {
    /// Returns a number at this scale, at least one.
    pub fn scaled(self, number: usize) -> usize {
        ((number as f64 * self.scale).round() as usize).max(1)
    }

    /// Returns the length of the warm-up before a measurement.
    pub fn warm_up(self) -> Duration {
        self.time / 4
    }
}

/// A Postgres server and the programs under test.
pub struct Lab {
    postgres: Postgres,
    /// Started for the first server that needs it.
    redis: OnceLock<Redis>,
    /// The servers' programs.
    pub programs: Programs,
    /// The amount of work.
    pub size: Size,
    databases: AtomicU32,
}

impl Lab {
    /// Starts Postgres with its default settings.
    pub fn open(programs: Programs, size: Size) -> Self {
        let postgres = Postgres::start(&[]);
        Self {
            postgres,
            redis: OnceLock::new(),
            programs,
            size,
            databases: AtomicU32::new(0),
        }
    }

    /// Asks Postgres for its version.
    ///
    /// # Errors
    ///
    /// When Postgres does not answer.
    pub async fn postgres_version(&self) -> anyhow::Result<String> {
        let mut admin = PgConnection::connect(&self.postgres.url("postgres")).await?;
        Ok(sqlx::query_scalar("SHOW server_version")
            .fetch_one(&mut admin)
            .await?)
    }

    /// Starts a server on an empty database.
    ///
    /// # Errors
    ///
    /// When the server or Postgres fails.
    pub async fn start(&self, contestant: Contestant) -> anyhow::Result<Run> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench_{number}");
        let mut admin = PgConnection::connect(&self.postgres.url("postgres")).await?;
        // The next run does not pay for flushing the last one's writes.
        execute(&mut admin, "CHECKPOINT").await?;
        execute(&mut admin, &format!("CREATE DATABASE {name}")).await?;
        let postmaster = postmaster(&mut admin).await?;
        let folder = tempfile::tempdir()?;
        let database_url = match contestant {
            Contestant::Sqlite => format!("sqlite://{}/bench.db", folder.path().display()),
            _ => self.postgres.url(&name),
        };
        let redis = needs_redis(contestant).then(|| self.redis());
        let engines = Engines {
            name,
            database_url,
            redis_url: redis.map_or_else(String::new, Redis::url),
        };
        let server = Server::start(&self.programs, contestant, &engines).await?;
        Ok(Run {
            server,
            others: Vec::new(),
            contestant,
            engines,
            postmaster,
            redis: redis.map(process_id).transpose()?,
            admin,
            _folder: folder,
        })
    }

    fn redis(&self) -> &Redis {
        self.redis.get_or_init(|| Redis::start(&[]))
    }
}

/// A server and its database, for one measurement.
pub struct Run {
    /// The server.
    pub server: Server,
    /// More servers on the same engines.
    others: Vec<Server>,
    /// The kind of server.
    pub contestant: Contestant,
    engines: Engines,
    postmaster: i32,
    /// The process of a Redis.
    redis: Option<i32>,
    admin: PgConnection,
    /// The folder of an SQLite file.
    _folder: TempDir,
}

impl Run {
    /// Starts more servers on the same engines, until there are `count`.
    ///
    /// # Errors
    ///
    /// When one of them does not start.
    pub async fn grow(&mut self, lab: &Lab, count: usize) -> anyhow::Result<()> {
        while 1 + self.others.len() < count {
            let started = Server::start(&lab.programs, self.contestant, &self.engines).await?;
            self.others.push(started);
        }
        Ok(())
    }

    /// Returns the addresses of all servers.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.servers().map(|server| server.address).collect()
    }

    fn servers(&self) -> impl Iterator<Item = &Server> {
        iter::once(&self.server).chain(&self.others)
    }

    /// Reads the usage so far.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let database = children(self.postmaster)?
            .iter()
            .filter_map(|process| cpu_seconds(process).ok())
            .sum();
        let load = cpu_seconds(&Process::myself()?)?;
        let servers = self.servers().map(Server::cpu_seconds);
        let redis = self.redis.map(|id| cpu_seconds(&Process::new(id)?));
        Ok(Usage {
            at: Instant::now(),
            server: servers.sum::<anyhow::Result<_>>()?,
            database,
            redis: redis.transpose()?.unwrap_or_default(),
            load,
        })
    }

    /// Measures the usage during a span of time.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read.
    pub async fn watch(&self, time: Duration) -> anyhow::Result<Spent> {
        let before = self.usage()?;
        tokio::time::sleep(time).await;
        Ok(self.usage()? - before)
    }

    /// Connects to the server's database.
    ///
    /// # Errors
    ///
    /// When Postgres does not answer.
    pub async fn database(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(&self.engines.database_url).await?)
    }

    /// Ends the servers and drops its database.
    ///
    /// # Errors
    ///
    /// When Postgres does not answer.
    pub async fn end(self) -> anyhow::Result<()> {
        let Self {
            server,
            others,
            mut admin,
            engines,
            ..
        } = self;
        for server in others.into_iter().chain([server]) {
            server.kill().await;
        }
        let drop = format!("DROP DATABASE {} WITH (FORCE)", engines.name);
        execute(&mut admin, &drop).await
    }
}

/// A moment, and the user and system times up to it, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    at: Instant,
    server: f64,
    database: f64,
    redis: f64,
    load: f64,
}

/// A span of time and the processor time used during it, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// The wall clock's time.
    pub wall: f64,
    /// The processor time of all servers.
    pub server: f64,
    /// The database's processor time.
    pub database: f64,
    /// The processor time of a Redis.
    pub redis: f64,
    /// The load generator's processor time.
    pub load: f64,
}

impl Sub for Usage {
    type Output = Spent;

    fn sub(self, earlier: Self) -> Spent {
        Spent {
            wall: (self.at - earlier.at).as_secs_f64(),
            server: self.server - earlier.server,
            // One of its processes may have ended.
            database: (self.database - earlier.database).max(0.0),
            redis: self.redis - earlier.redis,
            load: self.load - earlier.load,
        }
    }
}

/// Runs a statement.
///
/// # Errors
///
/// When Postgres refuses it.
pub async fn execute(connection: &mut PgConnection, sql: &str) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .with_context(|| sql.to_owned())?;
    Ok(())
}

/// Returns the id of Postgres' main process, the parent of all connections' processes.
async fn postmaster(connection: &mut PgConnection) -> anyhow::Result<i32> {
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(connection)
        .await?;
    Ok(Process::new(backend)?.stat()?.ppid)
}

fn needs_redis(contestant: Contestant) -> bool {
    matches!(
        contestant,
        Contestant::ParlorByRedis | Contestant::PeerByRedis
    )
}

fn process_id(redis: &Redis) -> anyhow::Result<i32> {
    let about = redis.command(&["INFO", "server"]);
    let id = about
        .lines()
        .find_map(|line| line.trim_end().strip_prefix("process_id:"));
    Ok(id.context("a Redis says its process id")?.parse()?)
}

fn children(parent: i32) -> anyhow::Result<Vec<Process>> {
    let processes = all_processes()?.flatten();
    Ok(processes
        .filter(|process| process.stat().is_ok_and(|stat| stat.ppid == parent))
        .collect())
}
