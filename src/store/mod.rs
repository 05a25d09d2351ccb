//! The log: every message of every room, in order, in a database.
//!
//! Guarantees that every store gives, held by the database itself and shown by one suite that runs
//! on all of them: a room's `seq` are 1, 2, 3, … without a gap, given in the transaction that
//! stores the message; a message is visible only when every smaller `seq` of its room is; `(room,
//! user, clientMessageId)` stands at most once, for ever; a draft that is appended again under its
//! id is stored once.

mod batch;
mod fault;
mod postgres;
mod reading;
mod row;
mod sqlite;

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType},
};

pub use self::{
    postgres::{LOCK_TIMEOUT, PostgresStore, Schema},
    sqlite::SqliteStore,
};
use crate::model::{Draft, Message, RoomId, Seq, Stored};

/// How long one statement may take before its connection is given up and the outcome counts as
/// unknown. Postgres ends it before: what has not been committed by then never is, whatever becomes
/// of the connection.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for a connection to the database.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection to Postgres may rest without being asked, when it is needed again, whether
/// it still serves. To ask each time would cost every batch and every read a round trip.
pub const IDLE_BEFORE_PING: Duration = Duration::from_secs(1);

/// Whether a connection to Postgres may go unencrypted, where neither its URL (`sslmode`) nor
/// `PGSSLMODE` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// It is encrypted when the server can, as with `sslmode=prefer`.
    Optional,
    /// It is encrypted or refused, as with `sslmode=require`: the server's certificate is not
    /// verified.
    Required,
}

/// Stores nothing, and fails as storing would where there is no table, no right to write, or
/// nothing but reading allowed.
const PROBE: &str = "INSERT INTO messages SELECT * FROM messages WHERE false";

/// Which end of a range a limited read keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The smallest `seq`s.
    Oldest,
    /// The largest `seq`s.
    Newest,
}

/// A part of a room's log: those between `after` and `before`, both excluded.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Only messages with a larger `seq`.
    pub after: Seq,
    /// Only messages with a smaller `seq`.
    pub before: Seq,
    /// At most so many messages.
    pub limit: usize,
    /// Which ones, when there are more.
    pub keep: Keep,
}

/// A database's error, told in words for the log.
#[derive(Debug)]
pub struct Cause(sqlx::Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&fault::reason(&self.0))
    }
}

impl std::error::Error for Cause {}

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Self(error.into())
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, busy, full, read-only or broken; whether a write went through is
    /// unknown.
    #[error("database unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// Another writer was faster; nothing was written, and the same batch again finds what is
    /// there.
    #[error("concurrent write: {0}")]
    Conflict(#[source] Cause),
    /// Another session has locked some of the batch's rooms for longer than [`LOCK_TIMEOUT`];
    /// nothing was written.
    #[error("rooms are locked: {cause}")]
    Locked {
        /// Those that are known to be locked; none when that cannot be seen.
        rooms: Vec<RoomId>,
        /// The database's error.
        #[source]
        cause: Cause,
    },
    /// The database refuses the data; nothing was written, and never will be.
    #[error("refused by the database: {0}")]
    Rejected(#[source] Cause),
    /// What the database holds is not what this program writes.
    #[error("unreadable row: {0}")]
    Unreadable(String),
}

/// The tables could not be brought up to date. The texts name the database, and no password.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database is away, busy, full, takes no writes (yet), or lets nobody in; the text says
    /// which.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// Trying again will not help; the text says why.
    #[error("the database cannot be used: {0}")]
    Failed(String),
}

impl MigrateError {
    /// The same, with the database's name before the reason.
    fn at(self, place: &str) -> Self {
        match self {
            Self::Unavailable(why) => Self::Unavailable(format!("{place}: {why}")),
            Self::Failed(why) => Self::Failed(format!("{place}: {why}")),
        }
    }
}

/// The log, as the rest of the program sees it.
#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Brings the tables up to date; under a lock, so that processes starting together do it one
    /// after another.
    async fn migrate(&self) -> Result<(), MigrateError>;

    /// Stores a batch, all of it or nothing, and answers in the batch's order.
    ///
    /// A draft whose id, or whose `(room, user, clientMessageId)`, is in the log already (or
    /// earlier in the batch) is answered with that message.
    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError>;

    /// Reads a part of a room's log, oldest first. Rows that cannot be read, as this program does
    /// not write any, are passed over, unless nothing else is there.
    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError>;

    /// Succeeds when the database answers and would take a message, as far as that shows without
    /// writing one.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes all connections, after what is under way on them.
    async fn close(&self);
}

/// Prepares the store that a URL names, `postgres://…` or `sqlite:…`, without connecting yet.
///
/// # Errors
///
/// When the URL is malformed or of another kind.
pub fn open(
    url: &str,
    max_connections: u32,
    encryption: Encryption,
) -> Result<Arc<dyn MessageStore>, sqlx::Error> {
    open_in(url, max_connections, encryption, None)
}

/// Prepares the store that a URL names, its tables in a schema of their own if one is named.
///
/// # Errors
///
/// When the URL is malformed or of another kind, or a schema is named and the database has none.
pub fn open_in(
    url: &str,
    max_connections: u32,
    encryption: Encryption,
    schema: Option<Schema>,
) -> Result<Arc<dyn MessageStore>, sqlx::Error> {
    let refused = |why: &str| Err(sqlx::Error::Configuration(why.into()));
    match (url.split(':').next(), &schema) {
        (Some("postgres" | "postgresql"), _) => Ok(Arc::new(PostgresStore::open(
            url,
            max_connections,
            encryption,
            schema,
        )?)),
        (Some("sqlite"), None) => Ok(Arc::new(SqliteStore::open(url, max_connections)?)),
        (Some("sqlite"), Some(_)) => refused("an SQLite file has no schemas (DATABASE_SCHEMA)"),
        _ => refused("must start with postgres:// or sqlite:"),
    }
}

/// One step of the tables' history, done in a transaction.
fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(
        version,
        Cow::Borrowed(name),
        MigrationType::Simple,
        sql.into_sql_str(),
        false,
    )
}
