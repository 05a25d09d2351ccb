//! The bus: the servers of one database tell each other how far the logs of rooms reach.
//!
//! The log is the truth, and the bus may lose anything. A server that has missed something hears of
//! it, or finds it in the log by itself a little later.

mod postgres;
mod wakes;

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

pub use self::{
    postgres::{DEAF_AFTER, PostgresBus, SILENCE},
    wakes::{MAX_ROOMS, Wakes},
};
use crate::{
    model::{RoomId, Seq},
    store::Encryption,
};

/// A way to the other servers.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Tells the other servers that a room's log has reached `seq`. Never waits.
    fn tell(&self, room: &RoomId, seq: Seq);

    /// Waits for reports of other servers, and takes all of them. Cancel safe.
    async fn wakes(&self) -> Wakes;

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
        /// The database, on a connection that no transaction pooler lends out.
        url: SecretString,
        /// The encryption of the connections.
        encryption: Encryption,
    },
}

/// Opens a bus, or none for a single server. It connects by itself, as soon as it can.
///
/// # Errors
///
/// When the URL is malformed.
pub fn open(settings: &Settings) -> Result<Option<Arc<dyn Bus>>, sqlx::Error> {
    Ok(match settings {
        Settings::Off => None,
        Settings::Postgres { url, encryption } => Some(Arc::new(PostgresBus::open(
            url.expose_secret(),
            *encryption,
        )?)),
    })
}
