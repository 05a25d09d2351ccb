//! The bus on Redis, or Valkey: `PUBLISH` and `SUBSCRIBE`, on two connections of its own, and rosters
//! on a third.
//!
//! A replica accepts both, and its subscribers hear nothing of the primary's publishers after a
//! network split. So the listening connection asks for the role of its server, and a server that
//! does not hear its own payloads connects both connections anew.

mod names;
mod prefix;
mod publisher;
mod rosters;
mod subscriber;
mod url;

use std::{sync::Arc, time::Duration};

use redis::RedisError;
use tokio::time::timeout;

use self::{
    names::Names, publisher::RedisPublisher, rosters::RedisRosters, subscriber::RedisSubscriber,
};
pub use self::{
    prefix::Prefix,
    subscriber::KEEP_ALIVE,
    url::{RedisUrl, UrlError},
};
use super::{channel::Channel, line::Line};
use crate::{metrics, store::Schema};

/// The time limit of connecting to a server, and of a command.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Begins to connect.
pub(super) fn open(
    url: &RedisUrl,
    prefix: &Prefix,
    schema: Option<&Schema>,
    metrics: metrics::Bus,
) -> Channel {
    let line = Arc::new(Line::new(schema, metrics));
    let names = Names::new(prefix, schema);
    let publisher = RedisPublisher::new(url.clone(), names.channel());
    let subscriber = RedisSubscriber::new(url.clone(), names.channel());
    let rosters = RedisRosters::new(line.node(), url.clone(), names);
    Channel::open(line, publisher, subscriber, rosters)
}

/// Waits for an answer of the server, for [`TIMEOUT`].
///
/// # Errors
///
/// The server's, or none in time.
async fn in_time<T>(answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    within(TIMEOUT, answer).await
}

/// Waits for an answer of the server.
///
/// # Errors
///
/// The server's, or none in time.
async fn within<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    let timed_out = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    timeout(time, answer).await.unwrap_or_else(timed_out)
}
