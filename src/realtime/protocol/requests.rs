//! What clients ask for: each event's name and payload.

use serde::Deserialize;

use crate::{
    auth::Identity,
    chat::Range,
    error::Error,
    model::{ClientMessageId, RoomId, Seq, UserId, WholeNumber},
};

/// What a client says of itself when it connects. Not for `Debug`, as it has a token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Whom it speaks for; with tokens it can only repeat what the token says.
    pub user_id: Option<UserId>,
    /// What shows that.
    pub token: Option<String>,
    /// The rooms that it is in from the start.
    pub rooms: Option<Vec<JoinRoom>>,
}

/// `refreshAuth`. Not for `Debug`, as it has a token.
#[derive(Deserialize)]
pub struct RefreshAuth {
    /// The newer token.
    pub token: String,
}

impl RefreshAuth {
    /// The event's name.
    pub const EVENT: &str = "refreshAuth";
}

/// `joinRoom`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinRoom {
    /// The room.
    pub room_id: RoomId,
    user_id: Option<UserId>,
    operator_id: Option<UserId>,
    /// The newest message that the client has.
    pub last_seq: Option<Seq>,
    limit: Option<WholeNumber>,
}

impl JoinRoom {
    /// The event's name.
    pub const EVENT: &str = "joinRoom";

    /// Whom the client says it speaks for.
    pub fn claim(&self) -> Option<Identity> {
        Identity::claimed(self.user_id.clone(), self.operator_id.clone())
    }

    /// How many messages it wants.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(saturating)
    }
}

/// `leaveRoom`
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

/// `sendMessage`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    /// The room.
    pub room_id: RoomId,
    /// What to say.
    pub message: String,
    /// The client's name for it.
    pub client_message_id: Option<ClientMessageId>,
}

impl SendMessage {
    /// The event's name.
    pub const EVENT: &str = "sendMessage";
}

/// `getHistory`
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

    /// Which part is asked for.
    ///
    /// Errors: [`Error::InvalidPayload`] when both directions are given.
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

    /// How many messages it wants.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(saturating)
    }
}

/// `typing`, from a client.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    /// The room.
    pub room_id: RoomId,
    /// Whether the user types now.
    pub is_typing: bool,
}

impl Typing {
    /// The event's name.
    pub const EVENT: &str = "typing";
}

/// A larger number than fits is larger than any limit.
fn saturating(limit: WholeNumber) -> usize {
    usize::try_from(limit.0).unwrap_or(usize::MAX)
}
