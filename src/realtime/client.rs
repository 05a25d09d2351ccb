//! A client: one Socket.IO socket of a user, and its state in this layer.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use socketioxide::socket::Socket;
use tokio_util::task::TaskTracker;
use tracing::Span;

use super::{
    backlog::{Backlog, Backlogs},
    early::EarlySends,
    lease::Lease,
    protocol::JoinRoom,
    turn::Turns,
    users::Users,
};
use crate::{
    chat::{Chat, Participant},
    engine,
    metrics::{self, Tally},
    model::{PartyId, RoomId, UserId},
};

/// The state of one socket, kept in its extensions.
pub struct Client {
    /// The use cases, shared by all clients.
    pub chat: Arc<Chat>,
    /// The client's part in the chat.
    pub participant: Arc<Participant>,
    /// None for guests; boxed, as they may be many.
    pub lease: Option<Box<Lease>>,
    /// The order of its events.
    pub turns: Turns,
    /// Tracks the unanswered events of all clients.
    pub unanswered: TaskTracker,
    /// Set when its connection is broken because it is too slow.
    pub is_cut: AtomicBool,
    /// Set once it is listed with its user.
    pub is_listed: AtomicBool,
    /// Set once it hears the packets for its own user.
    pub hears_own: AtomicBool,
    /// The bytes in flight to it.
    pub backlog: Backlog,
    /// The bytes in flight to all clients.
    pub backlogs: Arc<Backlogs>,
    /// The clients of each user.
    pub users: Arc<Users>,
    /// The figures of all clients.
    pub metrics: Arc<metrics::Realtime>,
    /// Its part of the number of clients.
    pub _tally: Tally,
    /// Its sends before its first join.
    pub early: EarlySends,
    /// The rooms of its handshake, until it joins them.
    pub rooms: Mutex<Vec<JoinRoom>>,
}

impl Client {
    /// Returns a socket's client.
    ///
    /// # Panics
    ///
    /// Panics when the socket's connect middleware has not run yet.
    pub fn from_socket(socket: &Socket) -> Arc<Self> {
        let client = socket.extensions.get::<Arc<Self>>();
        client.expect("a socket gets its client before it gets its handlers")
    }

    /// Returns the span for the client's logs, with the trace of its handshake. It is made when needed:
    /// kept, it would take 400 bytes of each socket.
    pub fn span(&self, socket: &Socket) -> Span {
        let identity = self.participant.identity();
        let user = identity
            .as_ref()
            .map(|identity| identity.user_id().as_str());
        let headers = &socket.req_parts().headers;
        let trace_id = engine::trace_id(headers);
        let connection = self.participant.client;
        let span = tracing::info_span!("socket", connection, user, trace_id);
        engine::join_trace(span, headers)
    }

    /// Lists the client with its user, once the user is known.
    pub fn list(&self, socket: &Arc<Socket>) {
        let identity = self.participant.identity();
        let identity = identity.filter(|_| !self.is_listed.swap(true, Ordering::Relaxed));
        if let Some(identity) = identity {
            self.users.add(identity.user_id(), socket);
            if !socket.connected() {
                self.unlist(socket);
            }
        }
    }

    /// Takes the client off the list of its user.
    pub fn unlist(&self, socket: &Socket) {
        if let Some(identity) = self.participant.identity() {
            self.users.remove(identity.user_id(), socket);
        }
    }

    /// Subscribes the client to a room's packets; returns false when its socket has ended.
    pub fn subscribe(&self, socket: &Socket, room: &RoomId) -> bool {
        self.backlogs.subscribe(&self.backlog, room);
        hear(socket, room.to_string())
    }

    /// Subscribes the client to the packets for its own user.
    pub fn hear_own(&self, socket: &Socket) {
        if let Some(identity) = self.participant.identity()
            && !self.hears_own.swap(true, Ordering::Relaxed)
        {
            hear(socket, own_packets(identity.user_id()));
        }
    }

    /// Begins or ends the client's subscription to the activity of the rooms that its user follows.
    pub fn hear_activity(&self, socket: &Socket, user: &UserId, on: bool) {
        self.hear_own(socket);
        if on {
            hear(socket, activity_of(user));
        } else {
            socket.leave(activity_of(user));
        }
    }

    /// Begins or ends the client's subscription to the news of conversations.
    pub fn hear_conversations(&self, socket: &Socket, on: bool) {
        if on {
            hear(socket, WATCHERS.to_owned());
        } else {
            socket.leave(WATCHERS);
        }
    }

    /// Subscribes the client to the packets for a party of a room's call, and for no other one of the room;
    /// returns false when its socket has ended.
    pub fn enter_party(&self, socket: &Socket, room: &RoomId, party: &PartyId) -> bool {
        leave_parties(socket, room);
        hear(socket, packets_of_party(room, party))
    }

    /// Ends the client's subscription to the packets for a party.
    pub fn leave_party(&self, socket: &Socket, room: &RoomId, party: &PartyId) {
        socket.leave(packets_of_party(room, party));
    }

    /// Ends the client's subscription to a room's packets, also to those for a party.
    pub fn unsubscribe(&self, socket: &Socket, room: &RoomId) {
        socket.leave(room.to_string());
        leave_parties(socket, room);
        self.backlogs.unsubscribe(&self.backlog, room);
    }
}

/// Subscribes a socket to the packets of a Socket.IO room; returns false when the socket has ended.
fn hear(socket: &Socket, room: String) -> bool {
    socket.join(room.clone());
    if !socket.connected() {
        // The library has taken the ended socket out of its rooms already: without this, the socket
        // would stay in the room forever.
        socket.leave(room);
        return false;
    }
    true
}

/// The Socket.IO room of the operators who watch the conversations. No room of the chat can have its name.
pub const WATCHERS: &str = "\u{4}";

/// Returns the name of the Socket.IO room for the packets to a user's own clients. No room of the
/// chat can have it.
pub fn own_packets(user: &UserId) -> String {
    format!("\u{2}{user}")
}

/// Returns the name of the Socket.IO room for the activity of a user's followed rooms.
pub fn activity_of(user: &UserId) -> String {
    format!("\u{3}{user}")
}

/// Returns the name of the Socket.IO room for the packets to a party of a room's call. No room of the chat
/// can have it.
pub fn packets_of_party(room: &RoomId, party: &PartyId) -> String {
    format!("{}{party}", parties_of(room))
}

fn parties_of(room: &RoomId) -> String {
    format!("\u{5}{room}\u{5}")
}

/// Ends a socket's subscriptions to the packets for parties of a room's call.
fn leave_parties(socket: &Socket, room: &RoomId) {
    let beginning = parties_of(room);
    let parties = socket.rooms().into_iter();
    for party in parties.filter(|name| name.starts_with(&beginning)) {
        socket.leave(party);
    }
}

/// Returns the Engine.IO session of a socket.
pub fn session(socket: &Socket) -> Option<&engine::Session> {
    socket.req_parts().extensions.get()
}
