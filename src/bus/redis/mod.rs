//! The bus on Redis, or Valkey: `PUBLISH` and `SUBSCRIBE`, on two connections of its own.
//!
//! A replica accepts both, and its subscribers hear nothing of the primary's publishers after a
//! network split. So the listening connection asks for the role of its server, and a server that
//! does not hear its own payloads connects both connections anew.

mod prefix;
mod publisher;
mod subscriber;
mod url;

use std::time::Duration;

use redis::RedisError;
use tokio::time::timeout;

pub use self::{
    prefix::Prefix,
    subscriber::KEEP_ALIVE,
    url::{RedisUrl, UrlError},
};
use self::{publisher::RedisPublisher, subscriber::RedisSubscriber};
use super::channel::Channel;
use crate::store::Schema;

/// The time limit of connecting to a server, and of a command.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Begins to connect.
pub(super) fn open(url: &RedisUrl, prefix: &Prefix, schema: Option<&Schema>) -> Channel {
    let name = channel(prefix, schema);
    let publisher = RedisPublisher::new(url.clone(), name.clone());
    let subscriber = RedisSubscriber::new(url.clone(), name);
    Channel::open(publisher, subscriber, schema)
}

/// Returns the name of a chat's channel.
fn channel(prefix: &Prefix, schema: Option<&Schema>) -> String {
    let schema = schema.map(Schema::as_str).unwrap_or_default();
    format!("{{{prefix}:{schema}}}:bus")
}

/// Waits for an answer of the server.
///
/// # Errors
///
/// The server's, or none in time.
async fn in_time<T>(answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    let timed_out = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    timeout(TIMEOUT, answer).await.unwrap_or_else(timed_out)
}
