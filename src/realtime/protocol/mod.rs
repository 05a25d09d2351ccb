//! The wire of Socket.IO: a connection's own requests, the server's events, and the ack's envelope.
//! The other requests are those of the [contract](crate::contract).
//!
//! Namespace `/`, Socket.IO protocol 5 over Engine.IO 4, and 4 over Engine.IO 3 for old clients:
//! <https://socket.io/docs/v4/socket-io-protocol/>.

mod events;
mod packet;
mod requests;

use std::borrow::Cow;

use serde::Serialize;

pub use self::{
    events::*,
    packet::{event_name, first_argument},
    requests::*,
};
pub use crate::contract::{Removed, Reset};
use crate::error::{ErrorBody, shortened};

/// The names of the server's events.
pub mod event {
    pub use crate::contract::event::*;

    /// Users have read the room up to some messages.
    pub const READ: &str = "read";
    /// A user started or stopped typing.
    pub const TYPING: &str = "typing";
    /// An event of another client's own.
    pub const SIGNAL: &str = "signal";
    /// The failure of a request without an ack, or the expiry of the client's token.
    pub const ERROR: &str = "error";
    /// The event named by an [`ERROR`] about an expired token; clients cannot send an event of this
    /// name.
    pub const CONNECT: &str = "connect";
}

/// The most characters of an unknown event's name that an answer repeats.
pub const MAX_ECHOED_CHARS: usize = 64;

/// The single argument of every ack.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Ack<'a, T> {
    /// The request succeeded.
    Ok(T),
    /// The request failed.
    Error {
        /// The reason.
        error: ErrorBody<'a>,
    },
}

/// Returns an event's name, cut to [`MAX_ECHOED_CHARS`].
pub fn echoed(event: &str) -> Cow<'_, str> {
    shortened(event, MAX_ECHOED_CHARS)
}
