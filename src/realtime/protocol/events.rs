//! The payloads of events to sockets alone. The others are those of the [contract](crate::contract).

use serde::Serialize;

use crate::{
    error::ErrorBody,
    model::{PartyId, Relayed, RoomId, SignalData, SignalType, UserId},
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

/// `signal`, an event of another client's own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientSignal<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The sender's user.
    pub user_id: &'a UserId,
    /// The sender's party in the room's call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub party_id: Option<&'a PartyId>,
    /// The kind of the event.
    pub r#type: &'a SignalType,
    /// Its content.
    pub data: &'a SignalData,
}

impl<'a> ClientSignal<'a> {
    /// Tells of an event in a room.
    pub fn new(room_id: &'a RoomId, signal: &'a Relayed) -> Self {
        Self {
            room_id,
            user_id: &signal.user_id,
            party_id: signal.party_id.as_ref(),
            r#type: &signal.event,
            data: &signal.data,
        }
    }
}
