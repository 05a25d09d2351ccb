//! Requests that only a connection can make: the name, the payload and the answer of each event.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    auth::Identity,
    contract::saturating,
    model::{
        Recipient, Revision, RoomId, Seq, SignalData, SignalType, UserId, WholeNumber,
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

/// `signal`: relays an event of the client's own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendSignal {
    /// The room.
    pub room_id: RoomId,
    /// The kind of the event.
    #[serde(rename = "type")]
    pub event: SignalType,
    /// Its content.
    pub data: SignalData,
    /// The receiver; none for all others in the room.
    pub to: Option<Recipient>,
}

impl SendSignal {
    /// The event's name.
    pub const EVENT: &str = "signal";
}
