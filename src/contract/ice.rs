//! The request for the servers that find and relay the ways of a call, and its answer.

use serde::Deserialize;

use crate::{
    chat,
    model::{CallId, RoomId},
};

/// `getIceServers`: asks for the STUN and TURN servers of a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetIceServers {
    /// The room.
    pub room_id: RoomId,
    /// The call.
    pub call_id: CallId,
}

impl GetIceServers {
    /// The event's name.
    pub const EVENT: &str = "getIceServers";
}

/// The answer to `getIceServers`.
pub type IceServersFound = chat::IceConfiguration;
