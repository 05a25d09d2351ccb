//! Clients' requests: the name, the payload and the answer of each event.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    auth::Identity,
    chat::Range,
    error::Error,
    model::{
        ClientMessageId, EncodedMessage, Metadata, Revision, RoomId, Seq, UserId, WholeNumber,
        iso8601_millis,
    },
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

/// The answer to `refreshAuth`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refreshed {
    /// The token's end.
    #[serde(serialize_with = "iso8601_millis")]
    pub expires_at: DateTime<Utc>,
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
    /// The newest change known to the client; none when it asks for no changes.
    pub last_revision: Option<Revision>,
    limit: Option<WholeNumber>,
}

impl JoinRoom {
    /// The event's name.
    pub const EVENT: &str = "joinRoom";

    /// Returns the identity claimed by the client.
    pub fn claim(&self) -> Option<Identity> {
        Identity::from_claim(self.user_id.clone(), self.operator_id.clone())
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

/// The answer to `leaveRoom`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// The room.
    pub room_id: RoomId,
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
    /// The message that it answers.
    pub reply_to: Option<Seq>,
    /// The client's own data.
    pub metadata: Option<Metadata>,
}

impl SendMessage {
    /// The event's name.
    pub const EVENT: &str = "sendMessage";

    /// Returns the request's size in bytes of text.
    pub fn size(&self) -> usize {
        let metadata = self.metadata.as_ref();
        self.message.len() + metadata.map_or(0, |json| json.as_str().len())
    }
}

/// `getHistory`: reads a part of a room's log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetHistory {
    /// The room.
    pub room_id: RoomId,
    before_seq: Option<Seq>,
    after_seq: Option<Seq>,
    /// Only the replies to this message.
    pub reply_to: Option<Seq>,
    limit: Option<WholeNumber>,
}

impl GetHistory {
    /// The event's name.
    pub const EVENT: &str = "getHistory";

    /// Returns the part of the log to read.
    ///
    /// # Errors
    ///
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

/// The answer to `getHistory`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryPage {
    /// The messages, oldest first.
    pub messages: Vec<EncodedMessage>,
    /// True when the room has more messages in the direction of the read.
    pub has_more: bool,
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

/// An answer without content.
#[derive(Debug, Serialize)]
pub struct Empty {}

/// Saturates: a number too large for a `usize` is larger than any limit.
pub(super) fn saturating(limit: WholeNumber) -> usize {
    usize::try_from(limit.0).unwrap_or(usize::MAX)
}
