//! A client: one Socket.IO socket of a user, and everything that this layer keeps of it.

use std::sync::{Arc, Mutex, atomic::AtomicBool};

use socketioxide::socket::Socket;
use tokio_util::task::TaskTracker;
use tracing::Span;

use super::{
    backlog::{Backlog, Backlogs},
    early::EarlySends,
    lease::Lease,
    protocol::JoinRoom,
    turn::Turns,
};
use crate::{
    chat::{Chat, Participant},
    engine,
    model::RoomId,
};

/// The state of one socket, kept in its extensions.
pub struct Client {
    /// The use cases, the same for all clients.
    pub chat: Arc<Chat>,
    /// The client's part in the chat.
    pub participant: Arc<Participant>,
    /// None for a guest, of which there may be many.
    pub lease: Option<Box<Lease>>,
    /// The order of its events.
    pub turns: Turns,
    /// Counts the events that have no answer yet, of all clients.
    pub unanswered: TaskTracker,
    /// True once it has lost a packet, and its connection is being broken.
    pub is_cut: AtomicBool,
    /// The bytes that it has not taken yet.
    pub backlog: Backlog,
    /// The bytes that all clients together have not taken yet.
    pub backlogs: Arc<Backlogs>,
    /// Its sends that wait for its first join.
    pub early: EarlySends,
    /// The rooms of its handshake, until they are joined.
    pub rooms: Mutex<Vec<JoinRoom>>,
}

impl Client {
    /// Returns a socket's client.
    ///
    /// # Panics
    /// Panics in the socket's connect handler before that has made the client.
    pub fn from_socket(socket: &Socket) -> Arc<Self> {
        let client = socket.extensions.get::<Arc<Self>>();
        client.expect("a socket gets its client before it gets its handlers")
    }

    /// Returns the span for logs about the client. It is made when needed: kept, it would be 400
    /// bytes of each socket.
    pub fn span(&self) -> Span {
        let identity = self.participant.identity();
        let user = identity
            .as_ref()
            .map(|identity| identity.user_id().as_str());
        tracing::info_span!("socket", connection = self.participant.client, user)
    }

    /// Subscribes the client to a room's packets; returns false when its socket has ended.
    pub fn subscribe(&self, socket: &Socket, room: &RoomId) -> bool {
        self.backlogs.subscribe(&self.backlog, room);
        let room = room.to_string();
        socket.join(room.clone());
        if !socket.connected() {
            // A socket that ended before it joined has been taken out of all its rooms already, and
            // would stay in this one forever.
            socket.leave(room);
            return false;
        }
        true
    }

    /// Ends the client's subscription to a room's packets.
    pub fn unsubscribe(&self, socket: &Socket, room: &RoomId) {
        socket.leave(room.to_string());
        self.backlogs.unsubscribe(&self.backlog, room);
    }
}

/// Returns the Engine.IO session that a socket belongs to.
pub fn session(socket: &Socket) -> Option<&engine::Session> {
    socket.req_parts().extensions.get()
}
