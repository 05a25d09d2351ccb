//! The bus: the servers of one database tell each other how far the logs of rooms reach, share the
//! rosters of their rooms, and pass signals on.
//!
//! The log is the truth, and the bus may lose anything. A server that has missed something hears of
//! it, or finds it in the log by itself a little later.

mod channel;
mod dropped;
mod echo;
mod frame;
mod line;
mod listener;
mod news;
mod parts;
mod payloads;
mod postgres;
mod redis;
mod roster;
mod sender;
mod senders;
mod signals;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use secrecy::{ExposeSecret, SecretString};

pub use self::{
    dropped::Dropped,
    news::{MAX_ROOMS, News, Wakes},
    postgres::SILENCE,
    redis::{KEEP_ALIVE, Prefix, RedisUrl, UrlError},
    roster::{Roster, RosterError, RosterStore, Rosters, Server, ServerId},
    signals::{MAX_SIGNALS, Signals},
};
use crate::{
    metrics,
    model::{Revision, RoomId, Seq, Signal},
    store::{Encryption, Schema},
};

/// A way to the other servers.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Tells the other servers that a room's log has reached `seq`. Never waits.
    fn tell(&self, room: &RoomId, seq: Seq);

    /// Tells the other servers that a room's changes have reached a revision. Never waits.
    fn tell_change(&self, room: &RoomId, revision: Revision);

    /// Passes a signal on to the members of a room on the other servers. Never waits; under
    /// pressure, or while the bus is away, the signal is dropped.
    fn signal(&self, room: &RoomId, signal: &Signal);

    /// Tells the other servers that this one has written its roster of a room. Never waits.
    fn tell_roster(&self, room: &RoomId);

    /// Tells the other servers that any room may have changed. Never waits.
    fn tell_any(&self);

    /// Returns the rosters of all servers.
    fn rosters(&self) -> &dyn RosterStore;

    /// Waits for news of other servers, and takes all of it. Cancel safe.
    async fn news(&self) -> News;

    /// Returns true while many clients' own events wait, so that further ones are better refused than dropped.
    /// While reports may be lost, events go to the members here at least.
    fn is_crowded(&self) -> bool;

    /// Returns false while reports may be lost.
    fn is_well(&self) -> bool;

    /// Sends the last reports, and ends, in a second at most.
    async fn close(&self);
}

/// A choice of bus.
#[derive(Debug, Clone)]
pub enum Settings {
    /// None: this server is the only one.
    Off,
    /// Notifications of a Postgres.
    Postgres {
        /// The database, without a pooler in between.
        url: SecretString,
        /// The encryption of the connections.
        encryption: Encryption,
        /// The schema of the log's tables: servers with another one are another chat.
        schema: Option<Schema>,
    },
    /// Messages of a Redis.
    Redis {
        /// The server, or its sentinels.
        url: SecretString,
        /// The chat's names on it.
        prefix: Prefix,
        /// The schema of the log's tables.
        schema: Option<Schema>,
    },
}

impl Settings {
    /// Returns the engine's name.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Off => "none",
            Self::Postgres { .. } => "postgres",
            Self::Redis { .. } => "redis",
        }
    }
}

/// A failure to open a bus: its URL is malformed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A database's URL.
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    /// A Redis's URL.
    #[error(transparent)]
    Redis(#[from] UrlError),
}

/// Opens a bus, or none for a single server. It connects by itself, as soon as it can.
///
/// # Errors
///
/// When the URL is malformed.
pub fn open(settings: &Settings, metrics: metrics::Bus) -> Result<Option<Arc<dyn Bus>>, OpenError> {
    Ok(match settings {
        Settings::Off => None,
        Settings::Postgres {
            url,
            encryption,
            schema,
        } => Some(Arc::new(postgres::open(
            url.expose_secret(),
            *encryption,
            schema.as_ref(),
            metrics,
        )?)),
        Settings::Redis {
            url,
            prefix,
            schema,
        } => {
            let url = RedisUrl::parse(url.expose_secret())?;
            Some(Arc::new(redis::open(
                &url,
                prefix,
                schema.as_ref(),
                metrics,
            )))
        }
    })
}

/// Returns the pauses between attempts to connect, with jitter: servers lose an engine together.
fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_millis(2_500))
        .without_max_times()
        .with_jitter()
        .build()
}
