//! Where servers are measured: one Postgres for all of them, an empty database for each run.

use std::{
    ops::Sub,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use procfs::process::{Process, all_processes};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use testkit::Postgres;

use crate::server::{Contestant, Programs, Server, cpu_seconds};

/// How much work there is to be.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How long one measurement lasts.
    pub time: Duration,
    /// By what the numbers of clients, rooms and stored messages are multiplied: 1, or less for a
    /// trial.
    pub scale: f64,
}

impl Size {
    /// So many, at this scale; one at least.
    pub fn of(self, number: usize) -> usize {
        ((number as f64 * self.scale).round() as usize).max(1)
    }

    /// How long the load runs before it is measured.
    pub fn warm_up(self) -> Duration {
        self.time / 4
    }
}

/// The machine's part in a benchmark.
pub struct Lab {
    postgres: Postgres,
    /// Where the servers' programs are.
    pub programs: Programs,
    /// How much work there is to be.
    pub size: Size,
    databases: AtomicU32,
}

impl Lab {
    /// Starts Postgres, with the settings that it has by default.
    pub fn open(programs: Programs, size: Size) -> Self {
        let postgres = Postgres::start(&[]);
        Self {
            postgres,
            programs,
            size,
            databases: AtomicU32::new(0),
        }
    }

    /// What Postgres says that it is.
    pub async fn postgres_version(&self) -> anyhow::Result<String> {
        let mut admin = PgConnection::connect(&self.postgres.url("postgres")).await?;
        Ok(sqlx::query_scalar("SHOW server_version")
            .fetch_one(&mut admin)
            .await?)
    }

    /// Starts a server on an empty database.
    pub async fn start(&self, contestant: Contestant) -> anyhow::Result<Run> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench_{number}");
        let mut admin = PgConnection::connect(&self.postgres.url("postgres")).await?;
        // What one run leaves to be flushed is not the next one's work.
        execute(&mut admin, "CHECKPOINT").await?;
        execute(&mut admin, &format!("CREATE DATABASE {name}")).await?;
        let postmaster = postmaster(&mut admin).await?;
        let folder = tempfile::tempdir()?;
        let database_url = match contestant {
            Contestant::Sqlite => format!("sqlite://{}/bench.db", folder.path().display()),
            _ => self.postgres.url(&name),
        };
        let server = Server::start(&self.programs, contestant, &database_url).await?;
        Ok(Run {
            server,
            database_url,
            postmaster,
            admin,
            name,
            _folder: folder,
        })
    }
}

/// A server with its database, for one measurement.
pub struct Run {
    /// The server.
    pub server: Server,
    /// The database that it uses, if it uses one.
    pub database_url: String,
    postmaster: i32,
    admin: PgConnection,
    name: String,
    /// Of a database that is a file.
    _folder: TempDir,
}

impl Run {
    /// What has been used so far.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let database = children(self.postmaster)?
            .iter()
            .filter_map(|process| cpu_seconds(process).ok())
            .sum();
        let load = cpu_seconds(&Process::myself()?)?;
        Ok(Usage {
            at: Instant::now(),
            server: self.server.cpu_seconds()?,
            database,
            load,
        })
    }

    /// Measures what is used during some time.
    pub async fn watch(&self, time: Duration) -> anyhow::Result<Spent> {
        let before = self.usage()?;
        tokio::time::sleep(time).await;
        Ok(self.usage()? - before)
    }

    /// A connection to the server's database.
    pub async fn database(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(&self.database_url).await?)
    }

    /// Ends the server and drops its database.
    pub async fn end(self) -> anyhow::Result<()> {
        let Self {
            server,
            mut admin,
            name,
            ..
        } = self;
        server.kill().await;
        execute(&mut admin, &format!("DROP DATABASE {name} WITH (FORCE)")).await
    }
}

/// The time of a moment, and the user and system times so far, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    at: Instant,
    server: f64,
    database: f64,
    load: f64,
}

/// What a span of time took, in seconds: by the clock, and of the processors by the server, by its
/// database, and by the load.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// By the clock.
    pub wall: f64,
    /// The server's processor time.
    pub server: f64,
    /// The database's.
    pub database: f64,
    /// This program's.
    pub load: f64,
}

impl Sub for Usage {
    type Output = Spent;

    fn sub(self, earlier: Self) -> Spent {
        Spent {
            wall: (self.at - earlier.at).as_secs_f64(),
            server: self.server - earlier.server,
            // A process of it may have ended.
            database: (self.database - earlier.database).max(0.0),
            load: self.load - earlier.load,
        }
    }
}

/// Runs a statement of this program's own.
pub async fn execute(connection: &mut PgConnection, sql: &str) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .with_context(|| sql.to_owned())?;
    Ok(())
}

/// The process whose children serve the connections.
async fn postmaster(connection: &mut PgConnection) -> anyhow::Result<i32> {
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(connection)
        .await?;
    Ok(Process::new(backend)?.stat()?.ppid)
}

fn children(parent: i32) -> anyhow::Result<Vec<Process>> {
    let processes = all_processes()?.flatten();
    Ok(processes
        .filter(|process| process.stat().is_ok_and(|stat| stat.ppid == parent))
        .collect())
}
