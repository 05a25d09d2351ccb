//! A room's way to its members.

use futures_util::FutureExt;
use serde::Serialize;
use socketioxide::{BroadcastError, SocketError, SocketIo};

use super::{
    overflow::{cut, has_overflowed},
    protocol::{self, event},
};
use crate::{
    model::{Post, RoomId},
    room::{Fanout, Presence, Reset},
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
            Some(Err(BroadcastError::Socket(errors))) => self.cut(room, &errors),
            Some(Err(error)) => tracing::error!(%room, event, %error, "not sent"),
            Some(Ok(())) | None => {}
        }
    }

    /// Cuts the clients that have lost a packet. The errors do not say which: it is those whose queues are full; unless one
    /// has room again meanwhile. Then all that are in the room are cut, lest one goes on without what it missed.
    fn cut(&self, room: &RoomId, errors: &[SocketError]) {
        // A connection that has just ended is nothing to speak of.
        let lost = errors.iter().filter(|error| matches!(error, SocketError::InternalChannelFull)).count();
        let Some(namespace) = self.0.of("/").filter(|_| lost > 0) else {
            return;
        };
        let (full, others): (Vec<_>, Vec<_>) =
            namespace.within(room.to_string()).sockets().into_iter().partition(|socket| has_overflowed(socket));
        let unknown = full.len() < lost;
        full.iter().chain(others.iter().filter(|_| unknown)).for_each(|socket| cut(socket));
    }
}

impl Fanout for SocketIoFanout {
    fn message(&self, message: &Post) {
        self.emit(&message.room_id, event::NEW_MESSAGE, message);
    }

    fn presence(&self, presence: &Presence) {
        let packet = protocol::Presence::from(presence);
        self.emit(&presence.room_id, event::PRESENCE, &packet);
    }

    fn reset(&self, reset: &Reset) {
        self.emit(&reset.room_id, event::HISTORY, &protocol::Reset::from(reset));
    }
}
