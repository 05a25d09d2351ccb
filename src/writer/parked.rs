//! Entries of locked rooms, retried beside the commits of the other rooms.

use std::{
    collections::{HashMap, VecDeque},
    iter,
    sync::Arc,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::{backoff::Backoff, batch::Batch, commits::Commits, pending::Pending};
use crate::model::RoomId;

/// The most waiting entries of one locked room; further ones are refused.
pub const MAX_PARKED_PER_ROOM: usize = 1024;

/// The parked rooms. One attempt is in flight at a time, on a connection of its own. A room keeps
/// its order, as it stays parked until none of its entries wait.
pub(super) struct Parked {
    commits: Arc<Commits>,
    rooms: HashMap<RoomId, VecDeque<Pending>>,
    /// The attempt in flight; it returns the entries of rooms still locked.
    attempt: Option<AbortOnDropHandle<Vec<Pending>>>,
    backoff: Backoff,
    retry_at: Instant,
}

impl Parked {
    pub(super) fn new(commits: Arc<Commits>) -> Self {
        let rooms = HashMap::new();
        Self {
            commits,
            rooms,
            attempt: None,
            backoff: Backoff::new(),
            retry_at: Instant::now(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Returns the entry unless its room is parked: then it queues up behind the earlier ones.
    pub(super) fn pass(&mut self, pending: Pending) -> Option<Pending> {
        let Some(room) = self.rooms.get_mut(pending.room_id()) else {
            return Some(pending);
        };
        if room.len() < MAX_PARKED_PER_ROOM {
            room.push_back(pending);
        } else {
            self.commits.give_up(iter::once(pending));
        }
        None
    }

    /// Parks entries and their rooms.
    pub(super) fn park(&mut self, blocked: Vec<Pending>) {
        if blocked.is_empty() {
            return;
        }
        tracing::warn!(
            messages = blocked.len(),
            "rooms are locked by another session of the database; their messages wait"
        );
        if self.rooms.is_empty() {
            self.backoff = Backoff::new();
            self.retry_at = Instant::now() + self.backoff.next_delay();
        }
        for pending in blocked {
            self.queue(pending.room_id().clone()).push_back(pending);
        }
        self.count_rooms();
    }

    fn count_rooms(&self) {
        let rooms = i64::try_from(self.rooms.len()).unwrap_or(i64::MAX);
        self.commits.metrics.parked_rooms.set(rooms);
    }

    fn queue(&mut self, room: RoomId) -> &mut VecDeque<Pending> {
        self.rooms.entry(room).or_default()
    }

    /// Takes the next step: begins an attempt when it is due, or waits for the end of the one in
    /// flight. Cancel safe.
    pub(super) async fn progress(&mut self) {
        let Some(attempt) = &mut self.attempt else {
            sleep_until(self.retry_at).await;
            return self.begin_attempt();
        };
        let blocked = attempt.await.unwrap_or_default();
        self.attempt = None;
        self.end_attempt(blocked);
    }

    fn begin_attempt(&mut self) {
        let entries = self.next_batch().into_entries();
        let commits = self.commits.clone();
        let attempt = async move { commits.commit(entries).await };
        self.attempt = Some(AbortOnDropHandle::new(tokio::spawn(attempt)));
    }

    /// Fills a batch room by room, and gives up abandoned entries on the way.
    fn next_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        for room in self.rooms.values_mut() {
            let (over, waiting) = room
                .drain(..)
                .partition::<VecDeque<_>, _>(Pending::is_abandoned);
            self.commits.give_up(over.into_iter());
            *room = waiting;
            while let Some(pending) = room.pop_front() {
                if let Some(pending) = batch.push(pending) {
                    room.push_front(pending);
                    return batch;
                }
            }
        }
        batch
    }

    fn end_attempt(&mut self, blocked: Vec<Pending>) {
        self.retry_at = Instant::now();
        if blocked.is_empty() {
            self.backoff = Backoff::new();
        } else {
            self.retry_at += self.backoff.next_delay();
        }
        for pending in blocked.into_iter().rev() {
            self.queue(pending.room_id().clone()).push_front(pending);
        }
        self.rooms.retain(|_, waiting| !waiting.is_empty());
        self.count_rooms();
    }
}
