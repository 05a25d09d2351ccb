//! The bus on Postgres: `LISTEN` and `NOTIFY`, on two connections of its own, and rosters on a third.
//!
//! A notification is never part of a batch's transaction. There it would take a lock on the whole
//! database until the commit is flushed, and a full queue of notifications would fail the commit.
//! Reports wait in an outbox instead, and ride together.

mod lease;
mod publisher;
mod rosters;
mod subscriber;

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

pub use self::subscriber::SILENCE;
use self::{
    lease::Lease, publisher::PostgresPublisher, rosters::PostgresRosters,
    subscriber::PostgresSubscriber,
};
use super::{channel::Channel, line::Line};
use crate::{
    metrics,
    store::{self, Encryption, Schema},
};

/// The channel of all notifications of a database. Reports of rooms with the same name in another
/// schema cost a look into the log; signals of other schemas are ignored.
const CHANNEL: &str = "parlor";

/// The time limit of connecting, and of a statement.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Takes a `postgres://` URL, and begins to connect.
///
/// # Errors
///
/// When the URL is malformed.
pub(super) fn open(
    url: &str,
    encryption: Encryption,
    schema: Option<&Schema>,
    metrics: metrics::Bus,
) -> Result<Channel, sqlx::Error> {
    let options = store::postgres_options(url, encryption)?;
    let line = Arc::new(Line::new(schema, metrics));
    let lease = Arc::new(Lease::new(line.node()));
    let publisher = PostgresPublisher::new(options.clone());
    let subscriber = PostgresSubscriber::new(options.clone(), lease.clone());
    let rosters = PostgresRosters::new(line.node(), options, lease, schema);
    Ok(Channel::open(line, publisher, subscriber, rosters))
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
