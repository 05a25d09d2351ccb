//! The fan-out of a node: to the sockets, and to the streams.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    api::Streams,
    inbox::{Delivery, RoomActivity},
    model::{Clients, EncodedMessage, Exclusion, Queued, Relayed, RoomId, UserId},
    realtime::SocketIoFanout,
    room::{Fanout, MessageChanged, Presence, Reads, Reset, SettingsChanged},
};

/// The sockets and the streams of a node.
pub(super) struct NodeFanout {
    pub(super) sockets: SocketIoFanout,
    pub(super) streams: Arc<Streams>,
}

impl Fanout for NodeFanout {
    fn message(&self, message: &EncodedMessage) {
        self.sockets.message(message);
        self.streams.message(message);
    }

    fn changed(&self, changed: &MessageChanged) {
        self.sockets.changed(changed);
        self.streams.changed(changed);
    }

    fn settings(&self, changed: &SettingsChanged) {
        self.sockets.settings(changed);
        self.streams.settings(changed);
    }

    fn removed(&self, room: &RoomId, users: &HashMap<UserId, Exclusion>) {
        self.sockets.removed(room, users);
        self.streams.removed(room, users);
    }

    fn presence(&self, presence: &Presence) {
        self.sockets.presence(presence);
        self.streams.presence(presence);
    }

    fn reset(&self, reset: &Reset) {
        self.sockets.reset(reset);
        self.streams.reset(reset);
    }

    fn reads(&self, reads: &Reads) {
        Fanout::reads(&self.sockets, reads);
    }

    fn typing(&self, room: &RoomId, user: &UserId, is_typing: bool) {
        self.sockets.typing(room, user, is_typing);
    }

    fn relayed(&self, room: &RoomId, signal: &Relayed) {
        self.sockets.relayed(room, signal);
    }

    fn is_followed(&self, room: &RoomId) -> bool {
        self.streams.is_followed(room)
    }

    fn followers(&self, room: &RoomId) -> Vec<UserId> {
        self.streams.followers(room)
    }
}

impl Delivery for NodeFanout {
    fn read(&self, reads: &Reads) {
        self.sockets.read(reads);
    }

    fn activity(&self, user: &UserId, activity: &RoomActivity) {
        self.sockets.activity(user, activity);
        self.streams.activity(user, activity);
    }

    fn watchers(&self) -> HashSet<UserId> {
        self.sockets.watchers()
    }

    fn conversation(&self, room: &RoomId, queued: &Queued, except: &HashSet<UserId>) {
        self.sockets.conversation(room, queued, except);
    }

    fn clients(&self, user: &UserId) -> Clients {
        self.sockets.clients(user)
    }

    fn disconnect(&self, user: &UserId) {
        self.sockets.disconnect(user);
        self.streams.disconnect(user);
    }
}
