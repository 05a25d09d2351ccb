//! Sends to rooms that somebody else has locked, tried again beside those of the other rooms.

use std::{
    collections::{HashMap, VecDeque},
    iter,
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::{
    MAX_PARKED_PER_ROOM, MAX_RETRY_DELAY, MIN_RETRY_DELAY, Waiting,
    commits::{Batch, Commits},
};
use crate::model::RoomId;

/// The parked rooms. One attempt is under way at a time, on a connection of its own; a room stays
/// parked until nothing waits for it, so that its order is kept.
pub(super) struct Parked {
    commits: Arc<Commits>,
    rooms: HashMap<RoomId, VecDeque<Waiting>>,
    /// Gives back what is still locked.
    attempt: Option<AbortOnDropHandle<Vec<Waiting>>>,
    delay: Duration,
    retry_at: Instant,
}

impl Parked {
    pub(super) fn new(commits: Arc<Commits>) -> Self {
        let rooms = HashMap::new();
        Self {
            commits,
            rooms,
            attempt: None,
            delay: MIN_RETRY_DELAY,
            retry_at: Instant::now(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Gives a send back unless its room is parked: then it waits there, behind those before it.
    pub(super) fn pass(&mut self, send: Waiting) -> Option<Waiting> {
        let Some(room) = self.rooms.get_mut(&send.draft.room_id) else {
            return Some(send);
        };
        if room.len() < MAX_PARKED_PER_ROOM {
            room.push_back(send);
        } else {
            self.commits.give_up(iter::once(send));
        }
        None
    }

    /// Parks sends and their rooms.
    pub(super) fn park(&mut self, blocked: Vec<Waiting>) {
        if blocked.is_empty() {
            return;
        }
        tracing::warn!(
            messages = blocked.len(),
            "rooms are locked by another session of the database; their sends wait"
        );
        if self.rooms.is_empty() {
            self.delay = MIN_RETRY_DELAY;
            self.retry_at = Instant::now() + self.delay;
        }
        for send in blocked {
            self.rooms
                .entry(send.draft.room_id.clone())
                .or_default()
                .push_back(send);
        }
    }

    /// Takes the next step: begins an attempt when it is time, or waits for the end of the one
    /// under way. May be given up while it waits.
    pub(super) async fn progress(&mut self) {
        let Some(attempt) = &mut self.attempt else {
            sleep_until(self.retry_at).await;
            return self.try_again();
        };
        let blocked = attempt.await.unwrap_or_default();
        self.attempt = None;
        self.end_attempt(blocked);
    }

    fn try_again(&mut self) {
        let mut batch = Batch::default();
        'full: for room in self.rooms.values_mut() {
            let (over, waiting) = room.drain(..).partition::<VecDeque<_>, _>(Waiting::is_over);
            self.commits.give_up(over.into_iter());
            *room = waiting;
            while let Some(send) = room.pop_front() {
                if let Some(send) = batch.push(send) {
                    room.push_front(send);
                    break 'full;
                }
            }
        }
        let commits = self.commits.clone();
        let attempt = async move { commits.commit(batch.into_sends()).await };
        self.attempt = Some(AbortOnDropHandle::new(tokio::spawn(attempt)));
    }

    fn end_attempt(&mut self, blocked: Vec<Waiting>) {
        if blocked.is_empty() {
            self.delay = Duration::ZERO;
        } else {
            self.delay = (self.delay * 2).clamp(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
        }
        self.retry_at = Instant::now() + self.delay;
        for send in blocked.into_iter().rev() {
            self.rooms
                .entry(send.draft.room_id.clone())
                .or_default()
                .push_front(send);
        }
        self.rooms.retain(|_, waiting| !waiting.is_empty());
    }
}
