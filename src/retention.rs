//! The end of old messages: they are removed by small batches, beside running sends.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    model::RoomId,
    room::Rooms,
    store::{ArchiveStore, MessageStore, StoreError},
};

/// The time between two passes through all rooms. Jitter adds up to as much, as servers start
/// together.
const PASS_INTERVAL: Duration = Duration::from_secs(1_800);
/// The pause after a failed pass.
const RETRY_DELAY: Duration = Duration::from_secs(30);
/// The pause after each statement that has removed something.
const PAUSE: Duration = Duration::from_millis(100);
/// The most rooms looked at by a statement.
const MAX_ROOMS: usize = 200;
/// The most messages removed by a statement.
pub const MAX_REMOVED: usize = 1_000;

/// Removes the messages older than an age.
pub struct Retention {
    store: Arc<dyn MessageStore>,
    rooms: Rooms,
    age: Duration,
}

impl Retention {
    /// Creates the task of a node.
    pub fn new(store: Arc<dyn MessageStore>, rooms: Rooms, age: Duration) -> Self {
        Self { store, rooms, age }
    }

    /// Removes old messages until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Some(archive) = self.store.archive() else {
            return;
        };
        stop.run_until_cancelled(async {
            loop {
                match self.pass(archive).await {
                    Ok(removed) => {
                        tracing::debug!(removed, "old messages removed");
                        sleep(PASS_INTERVAL.mul_f64(1.0 + fastrand::f64())).await;
                    }
                    Err(cause) => {
                        tracing::warn!(%cause, "old messages not removed, trying again");
                        sleep(RETRY_DELAY).await;
                    }
                }
            }
        })
        .await;
    }

    /// Goes through all rooms once, and returns the number of removed messages.
    async fn pass(&self, archive: &dyn ArchiveStore) -> Result<usize, StoreError> {
        let before = Utc::now() - self.age;
        let (mut last, mut removed) = (None, 0);
        loop {
            let rooms = archive.rooms(last.as_ref(), MAX_ROOMS).await?;
            let Some(newest) = rooms.last() else {
                break;
            };
            last = Some(newest.clone());
            removed += remove(archive, &rooms, before).await?;
        }
        self.forget(archive).await?;
        Ok(removed)
    }

    /// Lets the active rooms forget what any server has removed.
    async fn forget(&self, archive: &dyn ArchiveStore) -> Result<(), StoreError> {
        for rooms in self.rooms.ids().chunks(MAX_ROOMS) {
            let oldest = archive.oldest(rooms).await?;
            for room in rooms {
                self.rooms.forget_before(room, oldest.get(room).copied());
            }
        }
        Ok(())
    }
}

/// Removes the old messages of some rooms.
async fn remove(
    archive: &dyn ArchiveStore,
    rooms: &[RoomId],
    before: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let mut all = 0;
    loop {
        let removed = archive.expire(rooms, before, MAX_REMOVED).await?;
        all += removed;
        if removed == 0 {
            return Ok(all);
        }
        sleep(PAUSE).await;
    }
}
