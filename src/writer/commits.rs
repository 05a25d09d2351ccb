//! Batches on their way into the store.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Health, MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, MAX_CONFLICTS, MAX_RETRY_DELAY, MIN_RETRY_DELAY,
    Observer, Waiting,
};
use crate::{
    error::Error,
    model::{EncodedMessage, Message, Outcome, RoomId, Stored},
    store::{MessageStore, STATEMENT_TIMEOUT, StoreError},
};

/// Sends that are stored together.
#[derive(Default)]
pub(super) struct Batch {
    sends: Vec<Waiting>,
    bytes: usize,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.sends.len() == MAX_BATCH_MESSAGES
    }

    /// Takes a send in, or gives it back when it is one too many or too large.
    pub(super) fn push(&mut self, send: Waiting) -> Option<Waiting> {
        let bytes = self.bytes + send.draft.body.as_str().len();
        if self.is_full() || (bytes > MAX_BATCH_BYTES && !self.sends.is_empty()) {
            return Some(send);
        }
        self.bytes = bytes;
        self.sends.push(send);
        None
    }

    pub(super) fn into_sends(self) -> Vec<Waiting> {
        self.sends
    }
}

/// A batch that the database will not take as it is.
struct Unstored {
    sends: Vec<Waiting>,
    why: Why,
}

enum Why {
    /// It holds something that the database refuses.
    Refused(StoreError),
    /// Somebody else has locked rooms of it; these, if that can be seen.
    Locked(Vec<RoomId>),
}

/// Stores batches, and tells of them.
pub(super) struct Commits {
    store: Arc<dyn MessageStore>,
    observer: Arc<Observer>,
    health: Health,
    /// Rooms to be told once more; aborted with this.
    reminders: Mutex<JoinSet<()>>,
}

impl Commits {
    pub(super) fn new(store: Arc<dyn MessageStore>, observer: Observer, health: Health) -> Self {
        Self {
            store,
            observer: Arc::new(observer),
            health,
            reminders: Mutex::default(),
        }
    }

    /// Stores a batch, but for the rooms that somebody else has locked; their sends are returned,
    /// in order.
    ///
    /// A batch that the database refuses is halved until the message at fault stands alone, so that
    /// it cannot fail its neighbours. So is one that meets a lock which cannot be seen.
    pub(super) async fn commit(&self, sends: Vec<Waiting>) -> Vec<Waiting> {
        let (mut blocked, mut blocked_rooms) = (vec![], HashSet::new());
        let mut parts = vec![sends];
        while let Some(mut part) = parts.pop() {
            // A later send must not overtake one that waits.
            blocked.extend(part.extract_if(.., |send| blocked_rooms.contains(&send.draft.room_id)));
            let Err(Unstored { mut sends, why }) = self.store(part).await else {
                continue;
            };
            match why {
                Why::Refused(cause) => match halves(sends) {
                    Ok([first, second]) => parts.extend([second, first]),
                    Err(alone) => {
                        let error = Error::internal(cause);
                        settle(alone, || Err(error.clone()));
                    }
                },
                Why::Locked(rooms) if rooms.is_empty() => match halves_by_room(sends) {
                    Ok([first, second]) => parts.extend([second, first]),
                    Err(alone) => {
                        blocked_rooms.extend(alone.first().map(|send| send.draft.room_id.clone()));
                        blocked.extend(alone);
                    }
                },
                Why::Locked(rooms) => {
                    blocked_rooms.extend(rooms);
                    blocked.extend(
                        sends.extract_if(.., |send| blocked_rooms.contains(&send.draft.room_id)),
                    );
                    parts.push(sends);
                }
            }
        }
        blocked
    }

    /// Tries until the batch is stored, is not to be stored as it is, or nobody waits for it any
    /// more.
    async fn store(&self, mut sends: Vec<Waiting>) -> Result<(), Unstored> {
        let mut delay = MIN_RETRY_DELAY;
        let mut conflicts = 0;
        loop {
            self.give_up(sends.extract_if(.., |send| send.is_over()));
            if sends.is_empty() {
                return Ok(());
            }
            let begun = Instant::now();
            match self.attempt(&sends).await {
                Ok(stored) => {
                    self.health.note(None);
                    self.announce(sends, &stored);
                    return Ok(());
                }
                Err(StoreError::Conflict(_)) if conflicts < MAX_CONFLICTS => conflicts += 1,
                Err(StoreError::Unavailable(cause)) => {
                    tracing::warn!(%cause, messages = sends.len(), "batch not stored, trying again");
                    self.health.note(Some(Instant::now()));
                    for send in &mut sends {
                        send.may_land_until = Some(begun + STATEMENT_TIMEOUT);
                    }
                    self.give_up(sends.extract_if(.., |send| send.is_over()));
                    sleep(delay).await;
                    delay = (delay * 2).min(MAX_RETRY_DELAY);
                }
                Err(StoreError::Locked { rooms, .. }) => {
                    return Err(Unstored {
                        sends,
                        why: Why::Locked(rooms),
                    });
                }
                Err(cause) => {
                    return Err(Unstored {
                        sends,
                        why: Why::Refused(cause),
                    });
                }
            }
        }
    }

    async fn attempt(&self, sends: &[Waiting]) -> Result<Vec<Stored<Arc<Message>>>, StoreError> {
        let drafts: Vec<_> = sends.iter().map(|send| send.draft.clone()).collect();
        sends.iter().for_each(|send| send.under_way.set(true));
        let result = self.store.append(&drafts).await;
        sends.iter().for_each(|send| send.under_way.set(false));
        result
    }

    fn announce(&self, sends: Vec<Waiting>, stored: &[Stored<Arc<Message>>]) {
        let stored: Vec<_> = stored.iter().map(Stored::encode).collect();
        (self.observer)(Outcome::Stored(stored.clone()));
        let mut stored = stored.into_iter();
        settle(sends, || stored.next().ok_or(Error::Unavailable));
    }

    /// Refuses sends that have waited long enough. Rooms that may hold one of them nevertheless are
    /// told so at once, and again when none can come into the log any more.
    pub(super) fn give_up(&self, sends: impl Iterator<Item = Waiting>) {
        let (mut rooms, mut last) = (BTreeSet::new(), None);
        for send in sends {
            if send.may_land_until.is_some() {
                rooms.insert(send.draft.room_id.clone());
                last = last.max(send.may_land_until);
            }
            send.answer.send(Err(Error::Unavailable)).ok();
        }
        let (Some(last), rooms) = (last, Vec::from_iter(rooms)) else {
            return;
        };
        (self.observer)(Outcome::Unknown(rooms.clone()));
        if last > Instant::now() {
            self.remind(last, rooms);
        }
    }

    fn remind(&self, at: Instant, rooms: Vec<RoomId>) {
        let observer = self.observer.clone();
        let mut reminders = self
            .reminders
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while reminders.try_join_next().is_some() {}
        reminders.spawn(async move {
            sleep_until(at).await;
            observer(Outcome::Unknown(rooms));
        });
    }
}

/// Two halves, or what cannot be halved.
fn halves(mut sends: Vec<Waiting>) -> Result<[Vec<Waiting>; 2], Vec<Waiting>> {
    if sends.len() < 2 {
        return Err(sends);
    }
    let second = sends.split_off(sends.len() / 2);
    Ok([sends, second])
}

/// The sends of half of the rooms, and those of the others; or those of the only room.
fn halves_by_room(mut sends: Vec<Waiting>) -> Result<[Vec<Waiting>; 2], Vec<Waiting>> {
    let rooms: BTreeSet<_> = sends
        .iter()
        .map(|send| send.draft.room_id.clone())
        .collect();
    let Some(middle) = rooms
        .iter()
        .nth(rooms.len() / 2)
        .filter(|_| rooms.len() > 1)
    else {
        return Err(sends);
    };
    let second = sends
        .extract_if(.., |send| send.draft.room_id >= *middle)
        .collect();
    Ok([sends, second])
}

/// Answers every sender of a batch; one that has stopped waiting has its answer already.
fn settle(sends: Vec<Waiting>, mut answer: impl FnMut() -> Result<Stored<EncodedMessage>, Error>) {
    for send in sends {
        send.answer.send(answer()).ok();
    }
}
