//! Clients' requests: the name and the payload of each event.

use serde::Deserialize;

use crate::{
    auth::Identity,
    chat::Range,
    error::Error,
    model::{ClientMessageId, RoomId, Seq, UserId, WholeNumber},
};

/// A client's handshake. Without `Debug`, as it contains a token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// The client's user; with a token, it can only be the token's.
    pub user_id: Option<UserId>,
    /// A JSON Web Token.
    pub token: Option<String>,
    /// The rooms to join at once.
    pub rooms: Option<Vec<JoinRoom>>,
}

/// `refreshAuth`: extends the client's lease. Without `Debug`, as it contains a token.
#[derive(Deserialize)]
pub struct RefreshAuth {
    /// The newer token.
    pub token: String,
}

impl RefreshAuth {
    /// The event's name.
    pub const EVENT: &str = "refreshAuth";
}

/// `joinRoom`: joins a room.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinRoom {
    /// The room.
    pub room_id: RoomId,
    user_id: Option<UserId>,
    operator_id: Option<UserId>,
    /// The newest message known to the client.
    pub last_seq: Option<Seq>,
    limit: Option<WholeNumber>,
}

impl JoinRoom {
    /// The event's name.
    pub const EVENT: &str = "joinRoom";

    /// Returns the identity claimed by the client.
    pub fn claim(&self) -> Option<Identity> {
        Identity::claimed(self.user_id.clone(), self.operator_id.clone())
    }

    /// Returns the number of messages asked for.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(saturating)
    }
}

/// `leaveRoom`: leaves a room.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaveRoom {
    /// The room.
    pub room_id: RoomId,
}

impl LeaveRoom {
    /// The event's name.
    pub const EVENT: &str = "leaveRoom";
}

/// `sendMessage`: sends a message to a room.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    /// The room.
    pub room_id: RoomId,
    /// The text.
    pub message: String,
    /// The client's id for the message.
    pub client_message_id: Option<ClientMessageId>,
}

impl SendMessage {
    /// The event's name.
    pub const EVENT: &str = "sendMessage";
}

/// `getHistory`: reads a part of a room's log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetHistory {
    /// The room.
    pub room_id: RoomId,
    before_seq: Option<Seq>,
    after_seq: Option<Seq>,
    limit: Option<WholeNumber>,
}

impl GetHistory {
    /// The event's name.
    pub const EVENT: &str = "getHistory";

    /// Returns the part of the log to read.
    ///
    /// # Errors
    /// [`Error::InvalidPayload`] when both directions are given.
    pub fn range(&self) -> Result<Range, Error> {
        match (self.before_seq, self.after_seq) {
            (None, None) => Ok(Range::Newest),
            (Some(seq), None) => Ok(Range::Before(seq)),
            (None, Some(seq)) => Ok(Range::After(seq)),
            (Some(_), Some(_)) => Err(Error::InvalidPayload(
                "beforeSeq and afterSeq: only one of them may be given".into(),
            )),
        }
    }

    /// Returns the number of messages asked for.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(saturating)
    }
}

/// `typing`: tells the other users in a room.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    /// The room.
    pub room_id: RoomId,
    /// False when the user has stopped.
    pub is_typing: bool,
}

impl Typing {
    /// The event's name.
    pub const EVENT: &str = "typing";
}

/// Saturates: a number too large for a `usize` is larger than any limit.
fn saturating(limit: WholeNumber) -> usize {
    usize::try_from(limit.0).unwrap_or(usize::MAX)
}
