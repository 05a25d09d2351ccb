//! Connection pools, to Postgres itself or to a pooler in between that lends its connections for
//! one transaction at a time.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use tokio::time::timeout;

use super::{
    super::{
        error::reason,
        fault,
        limits::{ACQUIRE_TIMEOUT, STATEMENT_TIMEOUT},
    },
    direct,
    schema::Schema,
    work::Work,
};
use crate::metrics::{self, Connections};

/// A connection idle for longer is pinged before use. To ping it each time would cost every batch
/// and every read a round trip.
pub const IDLE_BEFORE_PING: Duration = Duration::from_secs(1);

/// A query to Postgres.
pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// The connections, a pool for writing and one for reading.
pub(super) struct Pools {
    writers: PgPool,
    readers: PgPool,
    /// True when both are one pool.
    is_shared: bool,
    schema: Option<Schema>,
    /// The options of a connection through a pooler.
    plain: PgConnectOptions,
    /// Set once a pooler is found in between. Then a connection is lent for one transaction at a
    /// time, and keeps no settings and no prepared statements.
    behind_pooler: Arc<AtomicBool>,
    metrics: metrics::Store,
}

impl Pools {
    /// Prepares pools of at most `max_connections` together; they connect when first used.
    pub(super) fn new(
        plain: PgConnectOptions,
        max_connections: u32,
        schema: Option<Schema>,
    ) -> Self {
        let behind_pooler = Arc::new(AtomicBool::new(false));
        // Parked rooms are stored beside the others, on a connection of their own.
        let writing = if max_connections < 4 { 1 } else { 2 };
        let direct =
            |work: Work| direct::marked(plain.clone().options(work.settings(schema.as_ref())));
        let writers = pool(writing, behind_pooler.clone()).connect_lazy_with(direct(Work::Write));
        let is_shared = max_connections == writing;
        let readers = match max_connections - writing {
            0 => writers.clone(),
            reading => pool(reading, behind_pooler.clone()).connect_lazy_with(direct(Work::Read)),
        };
        Self {
            writers,
            readers,
            is_shared,
            schema,
            plain,
            behind_pooler,
            metrics: metrics::Store::default(),
        }
    }

    /// Runs a query, and once more if its error shows a pooler in between.
    pub(super) async fn fetch<'q>(
        &self,
        work: Work,
        query: impl Fn() -> Query<'q>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let direct = !self.is_behind_pooler();
        match self.fetch_once(work, query()).await {
            Err(error) if direct && self.detect_pooler(&error) => {
                self.fetch_once(work, query()).await
            }
            answer => answer,
        }
    }

    /// Runs a query on a connection of the work's pool.
    ///
    /// A connection that fails, or is too slow, is thrown away: it may lead to a former primary, or
    /// be read-only for its whole life, as with `default_transaction_read_only`. A new one may
    /// serve.
    async fn fetch_once(&self, work: Work, query: Query<'_>) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut connection = self.acquire(work).await?;
        let answer = in_time(
            STATEMENT_TIMEOUT,
            self.fetch_on(&mut connection, work, query),
        )
        .await;
        if answer.as_ref().is_err_and(fault::is_connection_fault) {
            drop(connection.detach());
        }
        answer
    }

    async fn fetch_on(
        &self,
        connection: &mut PgConnection,
        work: Work,
        query: Query<'_>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        if work != Work::Probe && !self.is_behind_pooler() {
            return query.fetch_all(connection).await;
        }
        let begin = AssertSqlSafe(work.begin(self.schema.as_ref()));
        let mut transaction = connection.begin_with(begin).await?;
        let rows = query.persistent(false).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// Begins a transaction of several statements.
    pub(super) async fn begin(&self, work: Work) -> Result<Session, sqlx::Error> {
        let is_prepared = !self.is_behind_pooler();
        let mut session = Session {
            connection: Some(self.acquire(work).await?),
            is_prepared,
        };
        let begin = if is_prepared {
            "BEGIN".to_owned()
        } else {
            work.begin(self.schema.as_ref())
        };
        session.run(begin).await?;
        Ok(session)
    }

    async fn acquire(&self, work: Work) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.metrics.wait(self.pool(work).acquire()).await
    }

    /// Returns the figures of the reads.
    pub(super) fn metrics(&self) -> &metrics::Store {
        &self.metrics
    }

    /// Returns the use of both pools; a small one serves for both.
    pub(super) fn connections(&self) -> Connections {
        let is_shared = self.is_shared;
        let pools = [
            Some(&self.writers),
            Some(&self.readers).filter(|_| !is_shared),
        ];
        let pools = pools.into_iter().flatten();
        pools
            .map(|pool| Connections {
                max: pool.options().get_max_connections() as usize,
                open: pool.size() as usize,
                idle: pool.num_idle(),
            })
            .sum()
    }

    fn pool(&self, work: Work) -> &PgPool {
        match work {
            Work::Write | Work::Inspect => &self.writers,
            Work::Read | Work::Probe => &self.readers,
        }
    }

    /// Opens a connection outside the pools and without their settings: making an index may take
    /// long.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        in_time(ACQUIRE_TIMEOUT, PgConnection::connect_with(&self.plain)).await
    }

    pub(super) fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    fn is_behind_pooler(&self) -> bool {
        self.behind_pooler.load(Ordering::Relaxed)
    }

    /// Returns true when an error shows a pooler in between, and adapts the pools to it.
    pub(super) fn detect_pooler(&self, error: &sqlx::Error) -> bool {
        if !direct::is_refusal(error) {
            return false;
        }
        if !self.behind_pooler.swap(true, Ordering::Relaxed) {
            tracing::info!(reason = %reason(error), "{POOLED}");
        }
        for pool in [&self.writers, &self.readers] {
            pool.set_connect_options(self.plain.clone());
        }
        true
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// A transaction. Dropped without an end, it takes its connection with it.
pub(super) struct Session {
    connection: Option<PoolConnection<Postgres>>,
    is_prepared: bool,
}

impl Session {
    /// Runs a statement.
    pub(super) async fn fetch(&mut self, query: Query<'_>) -> Result<Vec<PgRow>, sqlx::Error> {
        let is_prepared = self.is_prepared;
        query
            .persistent(is_prepared)
            .fetch_all(self.connection())
            .await
    }

    /// Commits, and gives the connection back.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        in_time(STATEMENT_TIMEOUT, self.run("COMMIT".into())).await?;
        self.connection = None;
        Ok(())
    }

    /// Takes back all statements, and gives the connection back.
    pub(super) async fn roll_back(mut self) {
        let done = in_time(STATEMENT_TIMEOUT, self.run("ROLLBACK".into())).await;
        if done.is_ok() {
            self.connection = None;
        }
    }

    async fn run(&mut self, sql: String) -> Result<(), sqlx::Error> {
        let running = sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.connection());
        running.await.map(drop)
    }

    fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("the transaction is open")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools")
            .field("behind_pooler", &self.is_behind_pooler())
            .finish_non_exhaustive()
    }
}

const POOLED: &str =
    "the database is behind a pooler: each statement runs in a transaction of its own, unprepared";

fn pool(max_connections: u32, behind_pooler: Arc<AtomicBool>) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, rest| {
            Box::pin(async move { test(connection, rest.idle_for).await })
        })
        .after_connect(move |connection, _| {
            let behind_pooler = behind_pooler.clone();
            Box::pin(async move { check_mark(connection, &behind_pooler).await })
        })
}

/// Pings a connection idle for too long to be trusted.
async fn test(connection: &mut PgConnection, rest: Duration) -> Result<bool, sqlx::Error> {
    if rest >= IDLE_BEFORE_PING {
        connection.ping().await?;
    }
    Ok(true)
}

/// Detects a pooler in between that drops settings instead of refusing them.
async fn check_mark(
    connection: &mut PgConnection,
    behind_pooler: &AtomicBool,
) -> Result<(), sqlx::Error> {
    if behind_pooler.load(Ordering::Relaxed) {
        return Ok(());
    }
    if !direct::is_direct(connection).await? && !behind_pooler.swap(true, Ordering::Relaxed) {
        tracing::info!("{POOLED}");
    }
    Ok(())
}

async fn in_time<T>(
    limit: std::time::Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let timed_out = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    timeout(limit, work).await.unwrap_or_else(timed_out)
}
