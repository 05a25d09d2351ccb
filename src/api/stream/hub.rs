//! The fan-out to streams. A packet becomes JSON once, and only if a stream is there to tell it.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use serde::Serialize;

use super::outlet::{Outlets, Subscription};
use crate::{
    auth::Identity,
    contract::{self, Removed, event},
    inbox::{Delivery, RoomActivity},
    model::{Clients, EncodedMessage, Exclusion, Queued, Relayed, Revision, RoomId, Seq, UserId},
    net::Peer,
    room::{Fanout, MessageChanged, Presence, Reads, Reset, SettingsChanged},
};

/// A packet on its way to streams.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) name: &'static str,
    pub(super) step: Step,
    pub(super) data: String,
}

/// The part of a packet in the order of its room.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The next message.
    Message(Seq),
    /// A change, and the one told before it.
    Change {
        previous: Revision,
        revision: Revision,
    },
    /// A new start.
    Reset(Seq, Revision),
    /// Nothing that can be resumed.
    Signal,
}

impl Packet {
    fn new(name: &'static str, step: Step, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).expect("texts, numbers and times are JSON");
        Self { name, step, data }
    }
}

/// The open streams of a node.
#[derive(Default)]
pub struct Streams {
    rooms: Arc<Outlets<RoomId>>,
    users: Arc<Outlets<UserId>>,
}

impl Streams {
    /// Subscribes a stream to a room.
    pub(super) fn follow(
        &self,
        room: RoomId,
        reader: Identity,
        peer: &Peer,
    ) -> Subscription<RoomId> {
        let connection = peer.connection.clone();
        self.rooms.subscribe(room, reader, connection)
    }

    /// Subscribes a stream to the activity of a user.
    pub(super) fn watch(&self, user: Identity, peer: &Peer) -> Subscription<UserId> {
        let (topic, connection) = (user.user_id().clone(), peer.connection.clone());
        self.users.subscribe(topic, user, connection)
    }

    fn tell(&self, room: &RoomId, packet: impl FnOnce() -> Packet) {
        tell(&self.rooms, room, packet);
    }
}

fn tell<K: Clone + Eq + Hash>(outlets: &Outlets<K>, topic: &K, packet: impl FnOnce() -> Packet) {
    let found = outlets.of(topic);
    if !found.is_empty() {
        outlets.send(topic, &found, packet());
    }
}

impl Fanout for Streams {
    fn message(&self, message: &EncodedMessage) {
        self.tell(&message.room_id, || Packet {
            name: event::NEW_MESSAGE,
            step: Step::Message(message.seq),
            data: message.json().to_owned(),
        });
    }

    fn changed(&self, changed: &MessageChanged) {
        let MessageChanged {
            revision, previous, ..
        } = *changed;
        let step = Step::Change { previous, revision };
        self.tell(&changed.room_id, || {
            Packet::new(event::MESSAGE_CHANGED, step, changed)
        });
    }

    fn settings(&self, changed: &SettingsChanged) {
        let SettingsChanged {
            revision, previous, ..
        } = *changed;
        let step = Step::Change { previous, revision };
        self.tell(&changed.room_id, || {
            Packet::new(event::ROOM_CHANGED, step, changed)
        });
    }

    fn removed(&self, room_id: &RoomId, users: &HashMap<UserId, Exclusion>) {
        for outlet in self.rooms.of(room_id) {
            let excluded = users.get(outlet.reader.user_id());
            if let Some(&reason) = excluded.filter(|_| !outlet.reader.is_service()) {
                let removed = Removed { room_id, reason };
                let packet = Packet::new(event::REMOVED, Step::Signal, &removed);
                let over = [outlet];
                self.rooms.send(room_id, &over, packet);
                self.rooms
                    .end(room_id, |outlet| std::ptr::eq(outlet, &*over[0]));
            }
        }
    }

    fn presence(&self, presence: &Presence) {
        self.tell(&presence.room_id, || {
            Packet::new(event::PRESENCE, Step::Signal, presence)
        });
    }

    fn reset(&self, room: &Reset) {
        let step = Step::Reset(room.last_seq, room.last_revision);
        let reset = true;
        self.tell(&room.room_id, || {
            Packet::new(event::HISTORY, step, &contract::Reset { reset, room })
        });
    }

    fn reads(&self, _: &Reads) {}

    fn typing(&self, _: &RoomId, _: &UserId, _: bool) {}

    fn relayed(&self, _: &RoomId, _: &Relayed) {}

    fn is_followed(&self, room: &RoomId) -> bool {
        !self.rooms.of(room).is_empty()
    }

    fn followers(&self, room: &RoomId) -> Vec<UserId> {
        let outlets = self.rooms.of(room).into_iter();
        let users = outlets.filter(|outlet| !outlet.reader.is_service());
        users
            .map(|outlet| outlet.reader.user_id().clone())
            .collect()
    }
}

impl Delivery for Streams {
    fn read(&self, _: &Reads) {}

    fn activity(&self, user: &UserId, activity: &RoomActivity) {
        let mut outlets = self.users.of(user);
        outlets.retain(|outlet| outlet.reader.may_enter(activity.room_id()).is_ok());
        if !outlets.is_empty() {
            let packet = Packet::new(event::ROOM_ACTIVITY, Step::Signal, activity);
            self.users.send(user, &outlets, packet);
        }
    }

    fn watchers(&self) -> HashSet<UserId> {
        HashSet::new()
    }

    fn conversation(&self, _: &RoomId, _: &Queued, _: &HashSet<UserId>) {}

    fn clients(&self, _: &UserId) -> Clients {
        Clients::default()
    }

    fn disconnect(&self, user: &UserId) {
        self.users.end(user, |outlet| !outlet.reader.is_service());
        self.rooms.end_everywhere(|outlet| {
            outlet.reader.user_id() == user && !outlet.reader.is_service()
        });
    }
}
