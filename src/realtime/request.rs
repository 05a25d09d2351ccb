//! What a client asks for: the event's name, and its payload, parsed.

use std::{borrow::Cow, convert::Infallible, sync::Arc};

use serde::de::DeserializeOwned;
use socketioxide::{
    adapter::LocalAdapter,
    extract::Event,
    handler::{FromMessageParts, Value},
    socket::Socket,
};

use super::protocol::{
    self, GetHistory, JoinRoom, LeaveRoom, RefreshAuth, SendMessage, Typing, event,
};
use crate::error::Error;

/// The first argument of an event; the library's own extractor would leave a bad one unanswered.
pub type Payload<T> = Result<T, Error>;

/// An event of a client.
pub enum Request {
    /// [`event::JOIN_ROOM`]
    JoinRoom(Payload<JoinRoom>),
    /// [`event::LEAVE_ROOM`]
    LeaveRoom(Payload<LeaveRoom>),
    /// [`event::SEND_MESSAGE`]
    SendMessage(Payload<SendMessage>),
    /// [`event::GET_HISTORY`]
    GetHistory(Payload<GetHistory>),
    /// [`event::TYPING`]
    Typing(Payload<Typing>),
    /// [`event::REFRESH_AUTH`]
    RefreshAuth(Payload<RefreshAuth>),
    /// Another event, of this name.
    Unknown(String),
}

impl Request {
    /// The event's name.
    pub fn event(&self) -> Cow<'static, str> {
        match self {
            Self::JoinRoom(_) => event::JOIN_ROOM.into(),
            Self::LeaveRoom(_) => event::LEAVE_ROOM.into(),
            Self::SendMessage(_) => event::SEND_MESSAGE.into(),
            Self::GetHistory(_) => event::GET_HISTORY.into(),
            Self::Typing(_) => event::TYPING.into(),
            Self::RefreshAuth(_) => event::REFRESH_AUTH.into(),
            Self::Unknown(name) => protocol::echoed(name).into_owned().into(),
        }
    }
}

impl FromMessageParts<LocalAdapter> for Request {
    type Error = Infallible;

    fn from_message_parts(
        socket: &Arc<Socket>,
        packet: &mut Value,
        ack_id: &Option<i64>,
    ) -> Result<Self, Infallible> {
        let name = Event::from_message_parts(socket, packet, ack_id)
            .map(|Event(name)| name)
            .unwrap_or_default();
        let packet = packet.as_str().map_or("", |text| text);
        Ok(match &*name {
            event::JOIN_ROOM => Self::JoinRoom(payload(packet)),
            event::LEAVE_ROOM => Self::LeaveRoom(payload(packet)),
            event::SEND_MESSAGE => Self::SendMessage(payload(packet)),
            event::GET_HISTORY => Self::GetHistory(payload(packet)),
            event::TYPING => Self::Typing(payload(packet)),
            event::REFRESH_AUTH => Self::RefreshAuth(payload(packet)),
            _ => Self::Unknown(name),
        })
    }
}

fn payload<T: DeserializeOwned>(packet: &str) -> Payload<T> {
    protocol::parse(protocol::first_argument(packet)?.get())
}
