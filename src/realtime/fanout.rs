//! Fan-out of a room's packets to its members.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::FutureExt;
use serde::Serialize;
use socketioxide::{
    BroadcastError, SendError, SocketError, SocketIo, adapter::LocalAdapter, extract::SocketRef,
    operators::BroadcastOperators, socket::Socket,
};

use super::{
    backlog::Backlogs,
    client::{Client, WATCHERS, activity_of, own_packets},
    credentials::disconnect,
    overflow::{count_bytes, count_packet, cut, has_overflowed},
    protocol::{self, Removed, UserTyping, event},
    users::Users,
};
use crate::{
    auth::Identity,
    contract::ConversationActivity,
    error::Error,
    inbox::{Delivery, RoomActivity},
    model::{
        Clients, EncodedMessage, Exclusion, MAX_IDENTIFIER_BYTES, Queued, Relayed, RoomId, UserId,
    },
    room::{Fanout, MessageChanged, Presence, Reads, Reset, SettingsChanged},
};

/// The approximate size of a packet without its names and messages, in bytes.
pub(super) const PACKET_BYTES: usize = 32;

/// Fan-out over Socket.IO rooms. A packet is encoded once, however many sockets get it.
pub struct SocketIoFanout {
    pub(super) io: SocketIo,
    backlogs: Arc<Backlogs>,
    pub(super) users: Arc<Users>,
}

impl SocketIoFanout {
    pub(super) fn new(io: SocketIo, backlogs: Arc<Backlogs>, users: Arc<Users>) -> Self {
        Self {
            io,
            backlogs,
            users,
        }
    }

    fn emit<T: Serialize>(&self, room: &RoomId, event: &str, data: &T, bytes: usize) {
        // A closing server has no namespace.
        if let Some(namespace) = self.io.of("/") {
            let clients = namespace.to(room.to_string());
            self.emit_by(clients, room, event, data, bytes);
        }
    }

    /// Sends a packet to the clients in a room that the operators leave.
    pub(super) fn emit_by<T: Serialize>(
        &self,
        clients: BroadcastOperators<LocalAdapter>,
        room: &RoomId,
        event: &str,
        data: &T,
        bytes: usize,
    ) {
        let emit = clients.emit(event, data);
        // The local adapter queues the packet at once; there is nothing to wait for.
        match emit.now_or_never() {
            Some(Err(BroadcastError::Socket(errors))) => self.cut(room, &errors),
            Some(Err(error)) => tracing::error!(%room, event, %error, "packet not sent"),
            Some(Ok(())) | None => {}
        }
        count_packet(&self.backlogs, room, bytes);
    }

    /// Sends a packet about a room to a user's own clients in a Socket.IO room, each if its token is
    /// for the room.
    fn emit_to_own<T: Serialize>(
        &self,
        own: String,
        room: &RoomId,
        event: &str,
        data: &T,
        bytes: usize,
    ) {
        self.emit_to(own, room, event, data, bytes, |_| true);
    }

    /// Sends a packet about a room to the clients in a Socket.IO room of another kind, each if its token is
    /// for the room and its identity may hear of it.
    fn emit_to<T: Serialize>(
        &self,
        listeners: String,
        room: &RoomId,
        event: &str,
        data: &T,
        bytes: usize,
        may_hear: impl Fn(&Identity) -> bool,
    ) {
        let Some(namespace) = self.io.of("/") else {
            return;
        };
        for socket in namespace.within(listeners).sockets() {
            let client = Client::from_socket(&socket);
            let identity = client.participant.identity();
            let hears =
                |identity: Identity| identity.may_enter(room).is_ok() && may_hear(&identity);
            if !identity.is_some_and(hears) {
                continue;
            }
            send(&client, &socket, event, data, bytes);
        }
    }

    /// Cuts the clients with lost packets. The errors do not name them, so every client with a full
    /// queue is cut. If a queue has room again by then, all clients in the room are cut: none may go
    /// on with a gap.
    fn cut(&self, room: &RoomId, errors: &[SocketError]) {
        // Sockets that have just ended lose nothing.
        let lost = errors
            .iter()
            .filter(|error| matches!(error, SocketError::InternalChannelFull))
            .count();
        let Some(namespace) = self.io.of("/").filter(|_| lost > 0) else {
            return;
        };
        let (full, others): (Vec<_>, Vec<_>) = namespace
            .within(room.to_string())
            .sockets()
            .into_iter()
            .partition(|socket| has_overflowed(socket));
        let unknown = full.len() < lost;
        full.iter()
            .chain(others.iter().filter(|_| unknown))
            .for_each(|socket| cut(socket));
    }

    /// Sends to all clients in the room; the user's own are on other servers.
    fn typing_elsewhere(&self, typing: &UserTyping) {
        if let Some(namespace) = self.io.of("/") {
            let room = namespace.to(typing.room_id.to_string()).volatile();
            room.emit(event::TYPING, typing).now_or_never();
            count_packet(&self.backlogs, typing.room_id, PACKET_BYTES);
        }
    }

    /// Returns a user's sockets in a room.
    fn sockets_of(&self, user: &UserId, room: &RoomId) -> Vec<SocketRef> {
        let Some(namespace) = self.io.of("/") else {
            return vec![];
        };
        let sockets = namespace.within(room.to_string()).sockets().into_iter();
        sockets
            .filter(|socket| Client::from_socket(socket).participant.speaks_for(user))
            .collect()
    }

    /// Sends to all clients in the room except the user's own. One of the user's sockets is left out
    /// as the sender, the others by a Socket.IO room of their own for the time of this call. No room
    /// of the chat can have its name.
    fn tell_typing(&self, typing: &UserTyping) {
        let (room, own) = (
            typing.room_id.to_string(),
            self.sockets_of(typing.user_id, typing.room_id),
        );
        let Some((sender, tabs)) = own.split_first() else {
            return self.typing_elsewhere(typing);
        };
        let typist = format!("\u{1}{room}");
        tabs.iter().for_each(|tab| tab.join(typist.clone()));
        let others = sender.to(room).except(typist.clone()).volatile();
        others.emit(event::TYPING, typing).now_or_never();
        tabs.iter().for_each(|tab| tab.leave(typist.clone()));
        count_packet(&self.backlogs, typing.room_id, PACKET_BYTES);
    }
}

impl Fanout for SocketIoFanout {
    fn message(&self, message: &EncodedMessage) {
        self.emit(
            &message.room_id,
            event::NEW_MESSAGE,
            message,
            message.json().len() + PACKET_BYTES,
        );
    }

    fn changed(&self, changed: &MessageChanged) {
        self.emit(
            &changed.room_id,
            event::MESSAGE_CHANGED,
            changed,
            changed.message.json().len() + PACKET_BYTES,
        );
    }

    fn settings(&self, changed: &SettingsChanged) {
        let bytes = changed.room.info.size() + PACKET_BYTES;
        self.emit(&changed.room_id, event::ROOM_CHANGED, changed, bytes);
    }

    fn removed(&self, room_id: &RoomId, users: &HashMap<UserId, Exclusion>) {
        let Some(namespace) = self.io.of("/") else {
            return;
        };
        for socket in namespace.within(room_id.to_string()).sockets() {
            let client = Client::from_socket(&socket);
            let identity = client.participant.identity();
            let reason = identity.and_then(|identity| users.get(identity.user_id()));
            if let Some(&reason) = reason {
                client.participant.put_out(room_id);
                client.unsubscribe(&socket, room_id);
                let removed = Removed { room_id, reason };
                send(&client, &socket, event::REMOVED, &removed, PACKET_BYTES);
            }
        }
    }

    fn presence(&self, presence: &Presence) {
        let names = presence
            .joined
            .iter()
            .chain(&presence.left)
            .map(|name| name.as_str().len() + 2);
        self.emit(
            &presence.room_id,
            event::PRESENCE,
            presence,
            names.sum::<usize>() + PACKET_BYTES,
        );
    }

    fn reset(&self, reset: &Reset) {
        let messages = reset.messages.iter().map(|message| message.json().len());
        self.emit(
            &reset.room_id,
            event::HISTORY,
            &protocol::Reset {
                reset: true,
                room: reset,
            },
            messages.sum::<usize>() + PACKET_BYTES,
        );
    }

    fn reads(&self, reads: &Reads) {
        self.emit(&reads.room_id, event::READ, reads, size_of_reads(reads));
    }

    fn typing(&self, room: &RoomId, user: &UserId, is_typing: bool) {
        self.tell_typing(&UserTyping {
            room_id: room,
            user_id: user,
            is_typing,
        });
    }

    fn relayed(&self, room: &RoomId, signal: &Relayed) {
        self.relay(room, signal);
    }
}

impl Delivery for SocketIoFanout {
    fn read(&self, reads: &Reads) {
        for read in &reads.reads {
            let (own, bytes) = (own_packets(&read.user_id), size_of_reads(reads));
            self.emit_to_own(own, &reads.room_id, event::READ, reads, bytes);
        }
    }

    fn activity(&self, user: &UserId, activity: &RoomActivity) {
        let message = match activity {
            RoomActivity::Active { room, .. } => room.last_message.as_ref(),
            RoomActivity::Unfollowed { .. } => None,
        };
        let bytes = PACKET_BYTES + message.map_or(0, |message| message.json().len());
        let (own, room) = (activity_of(user), activity.room_id());
        self.emit_to_own(own, room, event::ROOM_ACTIVITY, activity, bytes);
    }

    fn watchers(&self) -> HashSet<UserId> {
        let Some(namespace) = self.io.of("/") else {
            return HashSet::new();
        };
        let watching = namespace.within(WATCHERS).sockets().into_iter();
        let identities =
            watching.filter_map(|socket| Client::from_socket(&socket).participant.identity());
        let operators = identities.filter(Identity::is_operator);
        operators
            .map(|operator| operator.user_id().clone())
            .collect()
    }

    fn conversation(&self, room_id: &RoomId, queued: &Queued, except: &HashSet<UserId>) {
        let activity = ConversationActivity { room_id, queued };
        let (watchers, event) = (WATCHERS.to_owned(), event::CONVERSATION_ACTIVITY);
        // The room and two operators.
        let bytes = 3 * MAX_IDENTIFIER_BYTES + 8 * PACKET_BYTES;
        let may_hear =
            |identity: &Identity| identity.is_operator() && !except.contains(identity.user_id());
        self.emit_to(watchers, room_id, event, &activity, bytes, may_hear);
    }

    fn clients(&self, user: &UserId) -> Clients {
        let mut clients = Clients::default();
        for socket in self.users.sockets_of(user) {
            clients.add(Client::from_socket(&socket).participant.rooms());
        }
        clients
    }

    fn disconnect(&self, user: &UserId) {
        let reason =
            Error::Forbidden("the service behind the chat has ended the connection".into());
        for socket in self.users.sockets_of(user) {
            disconnect(socket, &reason);
        }
    }
}

/// Sends a packet to one client.
pub(super) fn send<T: Serialize>(
    client: &Client,
    socket: &Socket,
    event: &str,
    data: &T,
    bytes: usize,
) {
    match socket.emit(event, data) {
        Ok(()) => count_bytes(client, socket, bytes as u64),
        Err(SendError::Socket(SocketError::InternalChannelFull)) => cut(socket),
        // The socket has just ended.
        Err(SendError::Socket(SocketError::Closed)) => {}
        Err(error) => tracing::error!(event, %error, "packet not sent"),
    }
}

/// Returns the approximate size of a packet with reads, in bytes.
fn size_of_reads(reads: &Reads) -> usize {
    let readers = reads.reads.iter();
    readers
        .map(|read| read.user_id.as_str().len() + PACKET_BYTES)
        .sum()
}
