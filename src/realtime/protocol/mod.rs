//! The wire contract: event names, payloads, and the ack's envelope.
//!
//! Namespace `/`, Socket.IO protocol 5 over Engine.IO 4, and 4 over Engine.IO 3 for old clients:
//! <https://socket.io/docs/v4/socket-io-protocol/>.

mod events;
mod payload;
mod requests;

use std::borrow::Cow;

use serde::Serialize;

pub use self::{
    events::{Empty, Failure, HistoryPage, Left, Refreshed, Reset, UserTyping},
    payload::{event_name, first_argument, parse},
    requests::{Auth, GetHistory, JoinRoom, LeaveRoom, RefreshAuth, SendMessage, Typing},
};
use crate::error::{ErrorBody, shortened};

/// The names of the server's events.
pub mod event {
    /// Something was said in a room.
    pub const NEW_MESSAGE: &str = "newMessage";
    /// Somebody is typing, or has stopped.
    pub const TYPING: &str = "typing";
    /// The answer to a join that asked for no ack.
    pub const HISTORY: &str = "history";
    /// Users came or went.
    pub const PRESENCE: &str = "presence";
    /// A request that asked for no ack failed, or the connection's token is out of date.
    pub const ERROR: &str = "error";
    /// What failed when the connection's token is out of date; as a client's event it cannot exist.
    pub const CONNECT: &str = "connect";
}

/// The longest part of an unknown event's name that an answer repeats, in characters.
pub const MAX_ECHOED_CHARS: usize = 64;

/// The one object that every ack carries.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Ack<'a, T> {
    /// It is done.
    Ok(T),
    /// It is not.
    Error {
        /// Why.
        error: ErrorBody<'a>,
    },
}

/// An event's name, cut to what an answer repeats.
pub fn echoed(event: &str) -> Cow<'_, str> {
    shortened(event, MAX_ECHOED_CHARS)
}
