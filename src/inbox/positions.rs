//! Positions of readers who join a room, looked up for many joiners at once.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use crate::{
    model::{RoomId, Seq, UserId},
    store::MembershipStore,
};

/// The most joiners in one statement.
const MAX_ASKED: usize = 1_000;
/// The most joiners that wait. Further ones get no position.
const MAX_WAITING: usize = 16_384;
/// The time for a look-up. A join works without the database, so it does not wait for long.
const PATIENCE: Duration = Duration::from_secs(1);

type Asked = ((RoomId, UserId), oneshot::Sender<Seq>);

/// The joiners whose positions are looked up next.
#[derive(Default)]
pub(super) struct Positions {
    waiting: Mutex<Vec<Asked>>,
    added: Notify,
}

impl Positions {
    /// Returns a user's position in a room; none when it cannot be read soon.
    pub(super) async fn of(&self, room: RoomId, user: UserId) -> Option<Seq> {
        let (found, answer) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.len() >= MAX_WAITING {
                return None;
            }
            waiting.push(((room, user), found));
        }
        self.added.notify_one();
        timeout(PATIENCE, answer).await.ok()?.ok()
    }

    /// Looks up positions for ever. After a failure, those who wait get none.
    pub(super) async fn look_up(&self, store: &dyn MembershipStore) {
        loop {
            let asked = self.take();
            if asked.is_empty() {
                self.added.notified().await;
                continue;
            }
            let places: Vec<_> = asked.iter().map(|(place, _)| place.clone()).collect();
            match store.positions(&places).await {
                Ok(positions) => {
                    for (place, found) in asked {
                        found
                            .send(positions.get(&place).copied().unwrap_or_default())
                            .ok();
                    }
                }
                Err(cause) => tracing::debug!(%cause, "positions of readers not read"),
            }
        }
    }

    fn take(&self) -> Vec<Asked> {
        let mut waiting = self.waiting();
        waiting.retain(|(_, found)| !found.is_closed());
        let asked = waiting.len().min(MAX_ASKED);
        let rest = waiting.split_off(asked);
        mem::replace(&mut *waiting, rest)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
