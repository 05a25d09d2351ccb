//! The wire contract: event names, payloads, and the ack's envelope.
//!
//! Namespace `/`, Socket.IO protocol 5 over Engine.IO 4, and 4 over Engine.IO 3 for old clients:
//! <https://socket.io/docs/v4/socket-io-protocol/>.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use super::payload::{first_argument, parse};
use crate::{
    auth::Identity,
    chat::Range,
    error::{Error, ErrorBody, shortened},
    model::{ClientMessageId, EncodedMessage, RoomId, Seq, UserId, WholeNumber, iso8601_millis},
    room,
};

/// The names of events.
pub mod event {
    /// Client: enter a room.
    pub const JOIN_ROOM: &str = "joinRoom";
    /// Client: leave a room.
    pub const LEAVE_ROOM: &str = "leaveRoom";
    /// Client: say something in a room.
    pub const SEND_MESSAGE: &str = "sendMessage";
    /// Client: read a part of a room's log.
    pub const GET_HISTORY: &str = "getHistory";
    /// Client: show a newer token. Only where tokens are asked for.
    pub const REFRESH_AUTH: &str = "refreshAuth";
    /// Both ways: somebody is typing, or has stopped.
    pub const TYPING: &str = "typing";
    /// Server: something was said in a room.
    pub const NEW_MESSAGE: &str = "newMessage";
    /// Server: the answer to a join that asked for no ack.
    pub const HISTORY: &str = "history";
    /// Server: users came or went.
    pub const PRESENCE: &str = "presence";
    /// Server: a request that asked for no ack failed, or the connection's token is out of date.
    pub const ERROR: &str = "error";
    /// What failed when the connection's token is out of date; as a client's event it cannot exist.
    pub const CONNECT: &str = "connect";
}

/// The longest part of an unknown event's name that an answer repeats, in characters.
pub const MAX_ECHOED_CHARS: usize = 64;

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

/// A larger number than fits is larger than any limit.
fn saturating(limit: WholeNumber) -> usize {
    usize::try_from(limit.0).unwrap_or(usize::MAX)
}

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

/// `error`, to a caller that asked for no ack.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure<'a> {
    /// The event that failed.
    pub event: &'a str,
    /// The room, of those that the handshake named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_id: Option<&'a RoomId>,
    /// Why.
    pub error: ErrorBody<'a>,
}

/// A join's answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    room_id: RoomId,
    user_id: UserId,
    messages: Vec<EncodedMessage>,
    last_seq: Seq,
    has_more: bool,
    members: Vec<UserId>,
    member_count: usize,
}

impl From<room::Joined> for Joined {
    fn from(joined: room::Joined) -> Self {
        Self {
            room_id: joined.room_id,
            user_id: joined.user_id,
            messages: joined.messages,
            last_seq: joined.last_seq,
            has_more: joined.has_more,
            members: joined.members,
            member_count: joined.member_count,
        }
    }
}

/// `history`, to all in a room whose log went back: as a join's answer, but to whoever is there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reset<'a> {
    reset: bool,
    room_id: &'a RoomId,
    messages: &'a [EncodedMessage],
    last_seq: Seq,
    has_more: bool,
    members: &'a [UserId],
    member_count: usize,
}

impl<'a> From<&'a room::Reset> for Reset<'a> {
    fn from(reset: &'a room::Reset) -> Self {
        Self {
            reset: true,
            room_id: &reset.room_id,
            messages: &reset.messages,
            last_seq: reset.last_seq,
            has_more: reset.has_more,
            members: &reset.members,
            member_count: reset.member_count,
        }
    }
}

/// A leave's answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// The room.
    pub room_id: RoomId,
}

/// A history read's answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryPage {
    /// Oldest first.
    pub messages: Vec<EncodedMessage>,
    /// Whether there are more in the direction asked for.
    pub has_more: bool,
}

/// A newer token's answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refreshed {
    /// Until when it counts.
    #[serde(serialize_with = "iso8601_millis")]
    pub expires_at: DateTime<Utc>,
}

/// An answer without content.
#[derive(Debug, Serialize)]
pub struct Empty {}

/// `presence`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence<'a> {
    room_id: &'a RoomId,
    joined: &'a [UserId],
    left: &'a [UserId],
    member_count: usize,
}

impl<'a> From<&'a room::Presence> for Presence<'a> {
    fn from(presence: &'a room::Presence) -> Self {
        Self {
            room_id: &presence.room_id,
            joined: &presence.joined,
            left: &presence.left,
            member_count: presence.member_count,
        }
    }
}

/// `typing`, to the others in the room.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserTyping<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// Who.
    pub user_id: &'a UserId,
    /// Whether they type now.
    pub is_typing: bool,
}

/// An event's name, cut to what an answer repeats.
pub fn echoed(event: &str) -> Cow<'_, str> {
    shortened(event, MAX_ECHOED_CHARS)
}
