//! The lists of watching users, and the watchers of each room.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    mem,
};

use tokio::sync::oneshot;

use crate::{
    inbox::delivery::RoomActivity,
    model::{RoomId, Seq, UserId},
};

/// The watchers, their rooms, and the work that is due for them.
#[derive(Default)]
pub(super) struct State {
    pub(super) users: HashMap<UserId, Watcher>,
    pub(super) rooms: HashMap<RoomId, Watched>,
    /// The rooms of all watchers together.
    pub(super) entries: usize,
    /// The users whose lists have to be read, for the first time or again.
    pub(super) stale: HashSet<UserId>,
    /// The rooms to tell of.
    pub(super) news: HashMap<RoomId, Audience>,
}

/// A user with watching clients.
#[derive(Default)]
pub(super) struct Watcher {
    pub(super) clients: usize,
    pub(super) rooms: HashMap<RoomId, Place>,
    pub(super) is_loaded: bool,
    pub(super) waiting: Vec<oneshot::Sender<()>>,
}

/// A watcher's part in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) read_seq: Seq,
    pub(super) muted: bool,
}

/// A room with watchers.
pub(super) struct Watched {
    pub(super) users: HashSet<UserId>,
    /// The newest message told to all of them.
    pub(super) told: Seq,
    /// The newest message whose author has been looked at.
    pub(super) looked: Seq,
}

/// The watchers to be told of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::inbox) enum Audience {
    All,
    Some(HashSet<UserId>),
}

impl Audience {
    pub(super) fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::All, _) => {}
            (audience, Self::All) => *audience = Self::All,
            (Self::Some(users), Self::Some(others)) => users.extend(others),
        }
    }

    pub(super) fn has(&self, user: &UserId) -> bool {
        match self {
            Self::All => true,
            Self::Some(users) => users.contains(user),
        }
    }
}

impl State {
    /// Adds a room to the news. Returns false when nobody watches it.
    pub(super) fn add_news(&mut self, room: &RoomId, audience: Audience) -> bool {
        let Some((room, _)) = self.rooms.get_key_value(room) else {
            return false;
        };
        match self.news.entry(room.clone()) {
            Entry::Occupied(known) => known.into_mut().merge(audience),
            Entry::Vacant(vacant) => _ = vacant.insert(audience),
        }
        true
    }

    /// Moves a watcher's position. Returns false when the watcher is there already.
    pub(super) fn advance(&mut self, room: &RoomId, user: &UserId, seq: Seq) -> bool {
        let watcher = self.users.get_mut(user);
        let place = watcher.and_then(|watcher| watcher.rooms.get_mut(room));
        match place {
            Some(place) if place.read_seq < seq => {
                place.read_seq = seq;
                true
            }
            _ => false,
        }
    }

    /// Replaces a watcher's list. Returns the rooms that left it.
    pub(super) fn load(
        &mut self,
        user: UserId,
        list: HashMap<RoomId, Place>,
        ends: &HashMap<RoomId, Seq>,
    ) -> Vec<(UserId, RoomActivity)> {
        let Some(watcher) = self.users.get_mut(&user) else {
            return vec![];
        };
        let is_first = !mem::replace(&mut watcher.is_loaded, true);
        for done in watcher.waiting.drain(..) {
            done.send(()).ok();
        }
        let mut before = mem::take(&mut watcher.rooms);
        self.entries = self.entries - before.len() + list.len();
        let mut rooms = HashMap::with_capacity(list.len());
        let mut changed = vec![];
        for (room, mut place) in list {
            let known = before.remove(&room);
            place.read_seq = place
                .read_seq
                .max(known.map_or(Seq::ZERO, |known| known.read_seq));
            let end = ends.get(&room).copied().unwrap_or_default();
            let (room, watched) = self.watched(room, end);
            if watched.users.insert(user.clone()) {
                // The user's own messages count as read: they are looked for once.
                watched.looked = Seq::ZERO;
            }
            if known != Some(place) && !is_first {
                changed.push(room.clone());
            }
            rooms.insert(room, place);
        }
        if let Some(watcher) = self.users.get_mut(&user) {
            watcher.rooms = rooms;
        }
        for room in changed {
            self.add_news(&room, Audience::Some([user.clone()].into()));
        }
        let left = before.into_keys().map(|room_id| {
            self.forget(&room_id, &user);
            let followed = false;
            (user.clone(), RoomActivity::Unfollowed { room_id, followed })
        });
        left.collect()
    }

    /// Returns a room's watchers, none if it is new, and its name as it is kept: all lists share it.
    fn watched(&mut self, room: RoomId, end: Seq) -> (RoomId, &mut Watched) {
        let room = match self.rooms.get_key_value(&room) {
            Some((known, _)) => known.clone(),
            None => room,
        };
        let watched = self.rooms.entry(room.clone()).or_insert_with(|| Watched {
            users: HashSet::new(),
            told: end,
            looked: Seq::ZERO,
        });
        (room, watched)
    }

    pub(super) fn forget(&mut self, room: &RoomId, user: &UserId) {
        if let Some(watched) = self.rooms.get_mut(room) {
            watched.users.remove(user);
            if watched.users.is_empty() {
                self.rooms.remove(room);
                self.news.remove(room);
            }
        }
    }
}
