//! Positions of readers who join a room, looked up for many joiners at once.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::{sleep, timeout},
};

use crate::{
    model::{RoomId, Seq, UserId},
    store::MembershipStore,
};

/// The most joiners in one statement.
const MAX_ASKED: usize = 1_000;
/// The most joiners that wait. Further ones get no position.
const MAX_WAITING: usize = 16_384;
/// The pause between two statements: a storm of joins shares few of them.
const PAUSE: Duration = Duration::from_millis(5);
/// The time for a look-up. A join works without the database, so it does not wait for long.
const PATIENCE: Duration = Duration::from_secs(1);

type Asked = ((RoomId, UserId), oneshot::Sender<Seq>);

/// The joiners whose positions are looked up next.
#[derive(Default)]
pub(super) struct Positions {
    waiting: Mutex<Vec<Asked>>,
    added: Notify,
    /// True after a failure or a long wait: nobody waits until the database answers again.
    is_away: AtomicBool,
}

impl Positions {
    /// Returns a user's position in a room; none when it cannot be read soon.
    pub(super) async fn of(&self, room: RoomId, user: UserId) -> Option<Seq> {
        let answer = self.ask(room, user)?;
        if self.is_away.load(Ordering::Relaxed) {
            return None;
        }
        let found = timeout(PATIENCE, answer).await.ok().and_then(Result::ok);
        self.is_away.store(found.is_none(), Ordering::Relaxed);
        found
    }

    fn ask(&self, room: RoomId, user: UserId) -> Option<oneshot::Receiver<Seq>> {
        let (found, answer) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_WAITING {
            return None;
        }
        waiting.push(((room, user), found));
        self.added.notify_one();
        Some(answer)
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
            let read = store.positions(&places).await;
            self.is_away.store(read.is_err(), Ordering::Relaxed);
            if let Ok(positions) = read {
                for (place, found) in asked {
                    let position = positions.get(&place).copied();
                    found.send(position.unwrap_or_default()).ok();
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Takes the next joiners. One who waits no longer is asked for, too, while the database is
    /// away: the answer shows that it is back.
    fn take(&self) -> Vec<Asked> {
        let mut waiting = self.waiting();
        let asked = waiting.len().min(MAX_ASKED);
        let rest = waiting.split_off(asked);
        mem::replace(&mut *waiting, rest)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
