//! The task that keeps the index of words, beside the sends and a moment behind them.
//!
//! A server indexes the rooms that it writes to. A slow round over all rooms makes up for servers
//! that ended before they were done. Each room's place is in the database, so the task goes on where
//! any server stopped.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    model::{Outcome, RoomId},
    store::{MessageStore, SearchStore, StoreError},
};

/// The time between two rounds over all rooms. Jitter takes off up to half.
const ROUND_INTERVAL: Duration = Duration::from_secs(300);
/// The least pause between two statements.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// The pause after a statement, in its own time: the index may take a tenth of a connection's time.
const PAUSE_FACTOR: u32 = 9;
/// The pause after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The most messages and changes in a statement.
const MAX_INDEXED: usize = 500;
/// The most rooms in a statement.
const MAX_ROOMS: usize = 100;
/// The most rooms that wait. Further ones are found by the next round.
const MAX_WAITING: usize = 16_384;

/// The keeper of the index.
pub struct Search {
    store: Arc<dyn MessageStore>,
    /// The rooms with new messages or changes.
    waiting: Mutex<HashSet<RoomId>>,
    added: Notify,
}

impl Search {
    /// Creates the keeper of a node.
    pub fn new(store: Arc<dyn MessageStore>) -> Self {
        Self {
            store,
            waiting: Mutex::default(),
            added: Notify::new(),
        }
    }

    /// Notes the rooms of a commit.
    pub fn observe(&self, outcome: &Outcome) {
        let mut waiting = self.waiting();
        let is_first = waiting.is_empty();
        let mut add = |room: &RoomId| {
            if waiting.len() < MAX_WAITING && !waiting.contains(room) {
                waiting.insert(room.clone());
            }
        };
        match outcome {
            Outcome::Stored {
                messages, changes, ..
            } => {
                messages
                    .iter()
                    .for_each(|stored| add(&stored.message.room_id));
                changes.iter().for_each(|revised| add(&revised.room_id));
            }
            Outcome::Unknown(rooms) => rooms.iter().for_each(add),
        }
        if is_first {
            self.added.notify_one();
        }
    }

    /// Keeps the index until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let Some(index) = self.store.search() else {
            return;
        };
        stop.run_until_cancelled(async {
            let mut round_at = Instant::now();
            loop {
                let done = tokio::select! {
                    () = self.added.notified() => self.index_waiting(index).await,
                    () = sleep_until(round_at) => {
                        round_at = Instant::now() + ROUND_INTERVAL.mul_f64(1.0 - fastrand::f64() / 2.0);
                        self.round(index).await
                    }
                };
                if let Err(cause) = done {
                    tracing::debug!(%cause, "words not indexed, trying again");
                    sleep(RETRY_DELAY).await;
                    round_at = Instant::now();
                }
            }
        })
        .await;
    }

    /// Indexes the rooms with new messages.
    async fn index_waiting(&self, index: &dyn SearchStore) -> Result<(), StoreError> {
        loop {
            let waiting = mem::take(&mut *self.waiting());
            if waiting.is_empty() {
                return Ok(());
            }
            let rooms = Vec::from_iter(waiting);
            for rooms in rooms.chunks(MAX_ROOMS) {
                self.index(index, rooms).await?;
            }
        }
    }

    /// Indexes all rooms that are behind.
    async fn round(&self, index: &dyn SearchStore) -> Result<(), StoreError> {
        let mut last = None;
        loop {
            let rooms = index.unindexed(last.as_ref(), MAX_ROOMS).await?;
            let Some(newest) = rooms.last() else {
                return Ok(());
            };
            last = Some(newest.clone());
            self.index(index, &rooms).await?;
        }
    }

    /// Indexes some rooms to the end, with pauses for the senders.
    async fn index(&self, index: &dyn SearchStore, rooms: &[RoomId]) -> Result<(), StoreError> {
        loop {
            let begun = Instant::now();
            let indexed = index.index(rooms, MAX_INDEXED).await?;
            sleep((begun.elapsed() * PAUSE_FACTOR).max(MIN_PAUSE)).await;
            if indexed == 0 {
                return Ok(());
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<RoomId>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
