//! What a client asks for: the event's name, and its payload, parsed.

use std::{borrow::Cow, convert::Infallible, sync::Arc};

use serde::de::DeserializeOwned;
use socketioxide::{
    adapter::LocalAdapter,
    extract::Event,
    handler::{FromMessageParts, Value},
    socket::Socket,
};

use super::protocol::{self, GetHistory, JoinRoom, LeaveRoom, RefreshAuth, SendMessage, Typing};
use crate::error::Error;

/// The first argument of an event; the library's own extractor would leave a bad one unanswered.
pub type Payload<T> = Result<T, Error>;

/// An event of a client.
pub enum Request {
    /// [`JoinRoom::EVENT`]
    JoinRoom(Payload<JoinRoom>),
    /// [`LeaveRoom::EVENT`]
    LeaveRoom(Payload<LeaveRoom>),
    /// [`SendMessage::EVENT`]
    SendMessage(Payload<SendMessage>),
    /// [`GetHistory::EVENT`]
    GetHistory(Payload<GetHistory>),
    /// [`Typing::EVENT`]
    Typing(Payload<Typing>),
    /// [`RefreshAuth::EVENT`]
    RefreshAuth(Payload<RefreshAuth>),
    /// Another event, of this name.
    Unknown(String),
}

impl Request {
    /// The event's name.
    pub fn event(&self) -> Cow<'static, str> {
        match self {
            Self::JoinRoom(_) => JoinRoom::EVENT.into(),
            Self::LeaveRoom(_) => LeaveRoom::EVENT.into(),
            Self::SendMessage(_) => SendMessage::EVENT.into(),
            Self::GetHistory(_) => GetHistory::EVENT.into(),
            Self::Typing(_) => Typing::EVENT.into(),
            Self::RefreshAuth(_) => RefreshAuth::EVENT.into(),
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
            JoinRoom::EVENT => Self::JoinRoom(payload(packet)),
            LeaveRoom::EVENT => Self::LeaveRoom(payload(packet)),
            SendMessage::EVENT => Self::SendMessage(payload(packet)),
            GetHistory::EVENT => Self::GetHistory(payload(packet)),
            Typing::EVENT => Self::Typing(payload(packet)),
            RefreshAuth::EVENT => Self::RefreshAuth(payload(packet)),
            _ => Self::Unknown(name),
        })
    }
}

fn payload<T: DeserializeOwned>(packet: &str) -> Payload<T> {
    protocol::parse(protocol::first_argument(packet)?.get())
}
