//! The bus on Postgres: `LISTEN` and `NOTIFY`, on two connections of its own, and rosters on a third.
//!
//! A notification is never part of a batch's transaction. There it would take a lock on the whole
//! database until the commit is flushed, and a full queue of notifications would fail the commit.
//! Reports wait in an outbox instead, and ride together.

mod echo;
mod frame;
mod listener;
mod rosters;
mod sender;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use sqlx::postgres::PgConnectOptions;
use tokio::{sync::Notify, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use self::echo::Echo;
pub use self::listener::SILENCE;
use self::rosters::PostgresRosters;
use super::{
    Bus,
    news::{News, NewsQueue, Wakes},
    roster::RosterStore,
};
use crate::{
    model::{RoomId, Seq, Signal},
    store::{self, Encryption, Schema},
};

/// The channel of all notifications of a database. Reports of rooms with the same name in another
/// schema cost a look into the log; signals of other schemas are ignored.
const CHANNEL: &str = "parlor";

/// The time limit of connecting, and of a statement.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The time limit of sending the last reports.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The bus on Postgres.
#[derive(Debug)]
pub struct PostgresBus {
    line: Arc<Line>,
    rosters: PostgresRosters,
    tasks: TaskTracker,
}

/// The state shared by the listener and the sender.
#[derive(Debug)]
struct Line {
    node: Uuid,
    options: PgConnectOptions,
    /// The schema of the tables, or nothing.
    schema: String,
    /// News for the other servers.
    outbox: NewsQueue,
    /// News of the other servers.
    inbox: NewsQueue,
    echo: Echo,
    /// The listener's wish for an echo.
    probe: Notify,
    is_well: AtomicBool,
    /// True while the listener's connection holds the lock of this server's life.
    has_lease: AtomicBool,
    stop: CancellationToken,
}

impl Line {
    /// Returns the key of the lock of this server's life.
    fn lease(&self) -> i64 {
        self.node.as_u64_pair().1.cast_signed()
    }

    fn has_lease(&self) -> bool {
        self.has_lease.load(Ordering::Relaxed)
    }
}

impl PostgresBus {
    /// Takes a `postgres://` URL, and begins to connect.
    ///
    /// # Errors
    ///
    /// When the URL is malformed.
    pub fn open(
        url: &str,
        encryption: Encryption,
        schema: Option<&Schema>,
    ) -> Result<Self, sqlx::Error> {
        let line = Arc::new(Line {
            node: Uuid::now_v7(),
            options: store::postgres_options(url, encryption)?,
            schema: schema.map(Schema::as_str).unwrap_or_default().to_owned(),
            outbox: NewsQueue::default(),
            inbox: NewsQueue::default(),
            echo: Echo::default(),
            probe: Notify::new(),
            is_well: AtomicBool::new(false),
            has_lease: AtomicBool::new(false),
            stop: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(sender::run(line.clone()));
        tasks.spawn(listener::run(line.clone()));
        let rosters = PostgresRosters::new(line.clone(), schema);
        Ok(Self {
            line,
            rosters,
            tasks,
        })
    }
}

#[async_trait]
impl Bus for PostgresBus {
    fn tell(&self, room: &RoomId, seq: Seq) {
        self.line.outbox.wake(room.clone(), seq);
    }

    fn signal(&self, room: &RoomId, signal: &Signal) {
        self.line.outbox.merge(News {
            signals: vec![(room.clone(), signal.clone())],
            ..News::default()
        });
    }

    fn tell_roster(&self, room: &RoomId) {
        self.line.outbox.merge(News {
            rosters: [room.clone()].into(),
            ..News::default()
        });
    }

    fn tell_any(&self) {
        self.line.outbox.merge(Wakes::any().into());
    }

    fn rosters(&self) -> &dyn RosterStore {
        &self.rosters
    }

    async fn news(&self) -> News {
        self.line.inbox.take().await
    }

    fn is_well(&self) -> bool {
        self.line.is_well.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        self.line.stop.cancel();
        self.tasks.close();
        let closing = async { tokio::join!(self.tasks.wait(), self.rosters.close()) };
        timeout(CLOSE_TIMEOUT, closing).await.ok();
    }
}

impl Drop for PostgresBus {
    fn drop(&mut self) {
        self.line.stop.cancel();
    }
}

/// Returns the pauses between attempts to connect, with jitter: servers lose a database together.
fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_millis(2_500))
        .without_max_times()
        .with_jitter()
        .build()
}

/// Waits for an answer of the database, for [`TIMEOUT`].
///
/// # Errors
///
/// The database's, or none in time.
async fn in_time<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    within(TIMEOUT, answer).await
}

/// Waits for an answer of the database.
///
/// # Errors
///
/// The database's, or none in time.
async fn within<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let timed_out = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    timeout(time, answer).await.unwrap_or_else(timed_out)
}
