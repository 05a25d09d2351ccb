//! Watched rooms: those followed by users with watching clients here, and the news of them.

mod state;

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

pub(super) use self::state::Audience;
use self::state::{Place, State};
use super::{delivery::RoomActivity, summary::RoomSummary};
use crate::{
    error::Error,
    model::{EncodedMessage, Followed, Latest, RoomId, Seq, UserId},
};

/// The most rooms watched on a node, each counted once for each of its watchers; about 200 bytes
/// each. Beyond it, no further user can begin to watch.
const MAX_WATCHED: usize = 500_000;
/// The pause before a user may try again to watch.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The watched rooms of a node.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    /// The number of watching users, for a look without the lock.
    watchers: AtomicUsize,
    /// Told of new entries of `stale`.
    pub(super) reloading: Notify,
    /// Told of new entries of `news`.
    pub(super) telling: Notify,
}

impl Watch {
    /// Begins the watch of a client. Returns a receiver that waits for the user's list, unless it is
    /// known.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when the node watches too many rooms.
    pub(super) fn begin(&self, user: &UserId) -> Result<Option<oneshot::Receiver<()>>, Error> {
        let mut state = self.lock();
        if state.entries >= MAX_WATCHED && !state.users.contains_key(user) {
            return Err(Error::RateLimited {
                retry_after: RETRY_AFTER,
            });
        }
        let watcher = state.users.entry(user.clone()).or_default();
        watcher.clients += 1;
        let mut loaded = None;
        if !watcher.is_loaded {
            let (done, waiting) = oneshot::channel();
            watcher.waiting.push(done);
            loaded = Some(waiting);
            state.stale.insert(user.clone());
            self.reloading.notify_one();
        }
        self.watchers.store(state.users.len(), Ordering::Relaxed);
        Ok(loaded)
    }

    /// Ends the watch of a client.
    pub(super) fn end(&self, user: &UserId) {
        let state = &mut *self.lock();
        let Entry::Occupied(mut watcher) = state.users.entry(user.clone()) else {
            return;
        };
        watcher.get_mut().clients -= 1;
        if watcher.get().clients > 0 {
            return;
        }
        let rooms = watcher.remove().rooms;
        state.entries -= rooms.len();
        state.stale.remove(user);
        for room in rooms.keys() {
            state.forget(room, user);
        }
        self.watchers.store(state.users.len(), Ordering::Relaxed);
    }

    /// Notes that a user's list may have changed.
    pub(super) fn changed(&self, user: &UserId) {
        if self.has_watchers() {
            let mut state = self.lock();
            if state.users.contains_key(user) {
                state.stale.insert(user.clone());
                self.reloading.notify_one();
            }
        }
    }

    /// Notes activity in a room.
    pub(super) fn active(&self, room: &RoomId) {
        if self.has_watchers() && self.lock().add_news(room, Audience::All) {
            self.telling.notify_one();
        }
    }

    /// Notes a user's new message in a room; it counts as read.
    pub(super) fn sent(&self, room: &RoomId, user: &UserId, seq: Seq) {
        if self.has_watchers() {
            let mut state = self.lock();
            state.advance(room, user, seq);
            if state.add_news(room, Audience::All) {
                self.telling.notify_one();
            }
        }
    }

    /// Notes a user's new position in a room.
    pub(super) fn read(&self, room: &RoomId, user: &UserId, seq: Seq) {
        if self.has_watchers() {
            let mut state = self.lock();
            if state.advance(room, user, seq) {
                state.add_news(room, Audience::Some([user.clone()].into()));
                self.telling.notify_one();
            }
        }
    }

    /// Notes that news may have been missed: all lists are read again, and all rooms compared.
    pub(super) fn lost(&self) {
        if self.has_watchers() {
            let state = &mut *self.lock();
            state.stale.extend(state.users.keys().cloned());
            let rooms = state.rooms.keys();
            state.news = rooms.map(|room| (room.clone(), Audience::All)).collect();
            self.reloading.notify_one();
            self.telling.notify_one();
        }
    }

    /// Returns the watched rooms with the newest messages told.
    pub(super) fn told(&self) -> HashMap<RoomId, Seq> {
        let state = self.lock();
        let rooms = state.rooms.iter();
        rooms
            .map(|(room, watched)| (room.clone(), watched.told))
            .collect()
    }

    /// Returns at most `most` users whose lists have to be read.
    pub(super) fn take_stale(&self, most: usize) -> Vec<UserId> {
        let mut state = self.lock();
        let users: Vec<_> = state.stale.iter().take(most).cloned().collect();
        for user in &users {
            state.stale.remove(user);
        }
        users
    }

    /// Notes that the lists of some users have to be read, after a failure or as a precaution.
    pub(super) fn stale(&self, users: impl IntoIterator<Item = UserId>) {
        let state = &mut *self.lock();
        let watching = users
            .into_iter()
            .filter(|user| state.users.contains_key(user));
        state.stale.extend(watching);
        self.reloading.notify_one();
    }

    /// Returns at most `most` watching users, any.
    pub(super) fn some(&self, most: usize) -> Vec<UserId> {
        let state = self.lock();
        let skipped = fastrand::usize(..state.users.len().max(1));
        let users = state.users.keys();
        users
            .cycle()
            .skip(skipped)
            .take(most.min(state.users.len()))
            .cloned()
            .collect()
    }

    /// Takes in the lists of some users. Returns the rooms that left the list of a user who had been
    /// told of it.
    pub(super) fn load(
        &self,
        users: &[UserId],
        followed: Vec<Followed>,
    ) -> Vec<(UserId, RoomActivity)> {
        let mut lists: HashMap<_, HashMap<_, _>> = users
            .iter()
            .map(|user| (user.clone(), HashMap::new()))
            .collect();
        let mut ends = HashMap::new();
        for row in followed {
            ends.insert(row.room_id.clone(), row.last_seq);
            let place = Place {
                read_seq: row.read_seq,
                muted: row.muted,
            };
            lists
                .entry(row.user_id)
                .or_default()
                .insert(row.room_id, place);
        }
        let mut state = self.lock();
        let left = lists
            .into_iter()
            .flat_map(|(user, list)| state.load(user, list, &ends));
        let left = left.collect();
        self.telling.notify_one();
        left
    }

    /// Takes the rooms to tell of, each with the newest message looked at.
    pub(super) fn take_news(&self) -> Vec<(RoomId, Seq, Audience)> {
        let state = &mut *self.lock();
        let news = mem::take(&mut state.news).into_iter();
        news.filter_map(|(room, audience)| {
            let looked = state.rooms.get(&room)?.looked;
            Some((room, looked, audience))
        })
        .collect()
    }

    /// Puts back rooms that could not be told of.
    pub(super) fn put_back(&self, news: impl IntoIterator<Item = (RoomId, Seq, Audience)>) {
        let mut state = self.lock();
        for (room, _, audience) in news {
            state.add_news(&room, audience);
        }
        self.telling.notify_one();
    }

    /// Returns the activity of a room for each user of an audience.
    pub(super) fn tell(&self, latest: &Latest, audience: &Audience) -> Vec<(UserId, RoomActivity)> {
        let state = &mut *self.lock();
        for author in &latest.authors {
            state.advance(&latest.room_id, &author.user_id, author.seq);
        }
        let Some(watched) = state.rooms.get_mut(&latest.room_id) else {
            return vec![];
        };
        watched.looked = latest.last_seq;
        if *audience == Audience::All {
            watched.told = latest.last_seq;
        }
        let message = latest.last_message.as_ref().map(EncodedMessage::from);
        let users = watched.users.iter().filter(|user| audience.has(user));
        let told = users.filter_map(|user| {
            let place = state.users.get(user)?.rooms.get(&latest.room_id)?;
            let room = RoomSummary {
                room_id: latest.room_id.clone(),
                title: latest.title.clone(),
                last_seq: latest.last_seq,
                last_message: message.clone(),
                read_seq: place.read_seq,
                unread: latest.last_seq.since(place.read_seq),
                muted: place.muted,
            };
            let followed = true;
            Some((user.clone(), RoomActivity::Active { room, followed }))
        });
        told.collect()
    }

    fn has_watchers(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
