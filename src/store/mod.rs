//! The log: every message of every room, in order, in a database.
//!
//! Guarantees that every store gives, held by the database itself and shown by one suite that runs on all of them:
//! a room's `seq` are 1, 2, 3, … without a gap, given in the transaction that stores the message; a message is visible
//! only when every smaller `seq` of its room is; `(room, user, clientMessageId)` stands at most once, for ever; a draft
//! that is appended again under its id is stored once.

mod batch;
mod fault;
mod postgres;
mod row;
mod sqlite;

use std::{borrow::Cow, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType},
};

pub use self::{postgres::PostgresStore, sqlite::SqliteStore};
use crate::model::{Draft, Message, RoomId, Seq, Stored};

/// How long one statement may take before its connection is given up and the outcome counts as unknown.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for a connection to the database.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection to Postgres may rest without being asked, when it is needed again, whether it still serves. To ask each
/// time would cost every batch and every read a round trip.
pub const TRUSTED_REST: Duration = Duration::from_secs(1);

/// Whether a connection to Postgres may go unencrypted, where neither its URL (`sslmode`) nor `PGSSLMODE` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// It is encrypted when the server can, as with `sslmode=prefer`.
    Optional,
    /// It is encrypted or refused, as with `sslmode=require`: the server's certificate is not verified.
    Required,
}

/// Stores nothing, and fails as storing would where there is no table, no right to write, or nothing but reading allowed.
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

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, busy, full, read-only or broken; whether a write went through is unknown.
    #[error("database unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// Another writer was faster; nothing was written, and the same batch again finds what is there.
    #[error("concurrent write: {0}")]
    Conflict(#[source] sqlx::Error),
    /// The database refuses the data; nothing was written, and never will be.
    #[error("refused by the database: {0}")]
    Rejected(#[source] sqlx::Error),
    /// What the database holds is not what this program writes.
    #[error("unreadable row: {0}")]
    Unreadable(String),
}

/// The tables could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database is away, busy, full, or takes no writes (yet).
    #[error("database unavailable: {0}")]
    Unavailable(sqlx::Error),
    /// Trying again will not help; the text says why.
    #[error("the database cannot be used: {0}")]
    Failed(String),
}

/// The log, as the rest of the program sees it.
#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Brings the tables up to date; under a lock, so that processes starting together do it one after another.
    async fn migrate(&self) -> Result<(), MigrateError>;

    /// Stores a batch, all of it or nothing, and answers in the batch's order.
    ///
    /// A draft whose id, or whose `(room, user, clientMessageId)`, is in the log already (or earlier in the batch) is
    /// answered with that message.
    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored>, StoreError>;

    /// Reads a part of a room's log, oldest first.
    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError>;

    /// Succeeds when the database answers and would take a message, as far as that shows without writing one.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes all connections, after what is under way on them.
    async fn close(&self);
}

/// Prepares the store that a URL names, `postgres://…` or `sqlite:…`, without connecting yet.
///
/// Errors when the URL is malformed or of another kind.
pub fn open(url: &str, max_connections: u32, encryption: Encryption) -> Result<Arc<dyn MessageStore>, sqlx::Error> {
    match url.split(':').next() {
        Some("postgres" | "postgresql") => Ok(Arc::new(PostgresStore::open(url, max_connections, encryption)?)),
        Some("sqlite") => Ok(Arc::new(SqliteStore::open(url, max_connections)?)),
        _ => Err(sqlx::Error::Configuration("must start with postgres:// or sqlite:".into())),
    }
}

/// One step of the tables' history, done in a transaction.
fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
}
