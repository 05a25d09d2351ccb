//! The log: every message of every room, in order, in a database.
//!
//! Every store gives these guarantees. The database itself holds them, and one test suite runs on
//! all stores:
//!
//! - A room's `seq`s are 1, 2, 3, … without a gap, given in the storing transaction.
//! - A message is visible only when every smaller `seq` of its room is.
//! - A `(room, user, clientMessageId)` is stored at most once, for ever.
//! - A draft appended again under its id is stored once.
//! - A room's changes are numbered 1, 2, 3, … in the order in which they become visible.
//! - A deleted message leaves its place and its author, and nothing of its content.

mod archive_store;
mod batch;
mod call_store;
mod changing;
mod conversation_store;
mod conversing;
mod error;
mod fault;
mod governing;
mod ledger;
mod limits;
mod membership_store;
mod message_store;
mod page;
mod postgres;
mod present;
mod reading;
mod room_store;
mod row;
mod search_store;
mod sqlite;
mod tables;
mod webhook_store;
mod words;

use std::sync::Arc;

pub(crate) use self::postgres::{connect_options as postgres_options, direct};
pub use self::{
    archive_store::{ArchiveStore, MembershipOf, ReactionBy},
    call_store::CallStore,
    conversation_store::{ConversationQuery, ConversationStore},
    error::{Cause, MigrateError, StoreError},
    limits::{ACQUIRE_TIMEOUT, STATEMENT_TIMEOUT},
    membership_store::{ListPlace, MembershipStore},
    message_store::MessageStore,
    page::{Head, Keep, Loaded, Page},
    postgres::{Encryption, IDLE_BEFORE_PING, LOCK_TIMEOUT, PostgresStore, Schema},
    room_store::RoomStore,
    search_store::SearchStore,
    sqlite::SqliteStore,
    webhook_store::{
        Cursor, EndpointId, EndpointStatus, Lease, Results, RoomEvent, RoomState, WebhookStore,
    },
    words::Words,
};

/// Prepares the store at a URL, `postgres://…` or `sqlite:…`, without connecting yet.
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

/// Prepares the store at a URL, with its tables in a schema of their own if one is named.
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
