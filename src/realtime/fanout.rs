//! A room's way to its members.

use futures_util::FutureExt;
use serde::Serialize;
use socketioxide::{BroadcastError, SocketError, SocketIo};

use super::protocol::{self, event};
use crate::{
    model::{Message, RoomId},
    room::{Fanout, Presence},
};

/// Sends to all sockets in a Socket.IO room; a packet is encoded once, whatever their number.
#[derive(Debug)]
pub struct SocketIoFanout(pub SocketIo);

impl SocketIoFanout {
    fn emit<T: Serialize>(&self, room: &RoomId, event: &str, data: &T) {
        // There is no namespace any more when the server is closing.
        let Some(namespace) = self.0.of("/") else {
            return;
        };
        let emit = namespace.to(room.to_string()).emit(event, data);
        // The local adapter queues the packet at once; there is nothing to wait for.
        match emit.now_or_never() {
            Some(Err(BroadcastError::Socket(errors))) => report(room, event, &errors),
            Some(Err(error)) => tracing::error!(%room, event, %error, "not sent"),
            Some(Ok(())) | None => {}
        }
    }
}

/// A connection that has just ended is nothing to speak of; one whose queue is full has lost a packet.
fn report(room: &RoomId, event: &str, errors: &[SocketError]) {
    let full = errors.iter().filter(|error| matches!(error, SocketError::InternalChannelFull)).count();
    if full > 0 {
        tracing::warn!(%room, event, full, "clients that do not read lost a packet");
    }
}

impl Fanout for SocketIoFanout {
    fn message(&self, message: &Message) {
        self.emit(&message.room_id, event::NEW_MESSAGE, message);
    }

    fn presence(&self, presence: &Presence) {
        let packet = protocol::Presence::from(presence);
        self.emit(&presence.room_id, event::PRESENCE, &packet);
    }
}
