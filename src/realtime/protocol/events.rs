//! The payloads of events to sockets alone. The others are those of the [contract](crate::contract).

use serde::Serialize;

use crate::{
    error::ErrorBody,
    model::{RoomId, UserId},
};

/// `error`, the answer to a failed request without an ack.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure<'a> {
    /// The failed event.
    pub event: &'a str,
    /// The room, for a room of the handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_id: Option<&'a RoomId>,
    /// The reason.
    pub error: ErrorBody<'a>,
}

/// `typing`, to the other users in the room.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserTyping<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The user.
    pub user_id: &'a UserId,
    /// False when the user has stopped.
    pub is_typing: bool,
}
