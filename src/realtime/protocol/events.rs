//! What the server sends, but for what the rooms give as it is: [`room::Joined`], [`room::Presence`]
//! and messages.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    error::ErrorBody,
    model::{EncodedMessage, RoomId, UserId, iso8601_millis},
    room,
};

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

/// `history`, to all in a room whose log went back: as a join's answer, but to whoever is there.
#[derive(Debug, Serialize)]
pub struct Reset<'a> {
    /// Tells it from a join's answer; always true.
    pub reset: bool,
    /// The room as it is now.
    #[serde(flatten)]
    pub room: &'a room::Reset,
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
