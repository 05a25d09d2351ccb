//! Commits of batches: retries, the halving of refused batches, and the announcement of outcomes.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    backoff::Backoff,
    batch::{halves, halves_by_room},
    health::Health,
    pending::Pending,
};
use crate::{
    error::Error,
    metrics::{self, ChangeKind},
    model::{Action, Change, Committed, Draft, Entry, Outcome, Revised, RoomId, Settled},
    store::{MessageStore, STATEMENT_TIMEOUT, StoreError},
};

/// The most conflicts in a row with faster writers before a batch counts as refused.
const MAX_CONFLICTS: u32 = 8;

/// A callback for every outcome, called before the senders are answered.
pub type Observer = Box<dyn Fn(Outcome) + Send + Sync>;

/// A batch that could not be stored as it is.
struct Unstored {
    entries: Vec<Pending>,
    why: Why,
}

enum Why {
    /// The database refuses something in it.
    Refused(StoreError),
    /// Another database session has locked some of its rooms; the list is empty when they are
    /// unknown.
    Locked(Vec<RoomId>),
}

impl Unstored {
    fn new(entries: Vec<Pending>, cause: StoreError) -> Self {
        let why = match cause {
            StoreError::Locked { rooms, .. } => Why::Locked(rooms),
            cause => Why::Refused(cause),
        };
        Self { entries, why }
    }
}

/// Locked rooms, and their waiting entries.
#[derive(Default)]
struct Blocked {
    rooms: HashSet<RoomId>,
    entries: Vec<Pending>,
}

impl Blocked {
    /// Takes the entries of locked rooms out of a batch: no entry may overtake a waiting one.
    fn hold_back(&mut self, entries: &mut Vec<Pending>) {
        let waiting = entries.extract_if(.., |pending| self.rooms.contains(pending.room_id()));
        self.entries.extend(waiting);
    }
}

/// The way of batches into the store.
pub(super) struct Commits {
    store: Arc<dyn MessageStore>,
    observer: Arc<Observer>,
    health: Health,
    pub(super) metrics: metrics::Writer,
    /// Second reports of unknown outcomes, due later; aborted on drop.
    reminders: Mutex<JoinSet<()>>,
}

impl Commits {
    pub(super) fn new(
        store: Arc<dyn MessageStore>,
        observer: Arc<Observer>,
        health: Health,
        metrics: metrics::Writer,
    ) -> Self {
        Self {
            store,
            observer,
            health,
            metrics,
            reminders: Mutex::default(),
        }
    }

    /// Stores entries, and returns those of locked rooms, in order.
    ///
    /// A refused batch is halved until the entry at fault stands alone and cannot fail its
    /// neighbours. A batch held up by a lock on an unknown room is halved, too.
    pub(super) async fn commit(&self, entries: Vec<Pending>) -> Vec<Pending> {
        let mut blocked = Blocked::default();
        let mut parts = vec![entries];
        while let Some(mut part) = parts.pop() {
            blocked.hold_back(&mut part);
            if let Err(unstored) = self.store(part).await {
                parts.extend(divide(unstored, &mut blocked).into_iter().rev());
            }
        }
        blocked.entries
    }

    /// Retries until the batch is stored, cannot be stored as it is, or has no waiting sender left.
    async fn store(&self, mut entries: Vec<Pending>) -> Result<(), Unstored> {
        let mut backoff = Backoff::new();
        let mut conflicts = 0;
        loop {
            self.give_up(entries.extract_if(.., |pending| pending.is_abandoned()));
            if entries.is_empty() {
                return Ok(());
            }
            let begun = Instant::now();
            match self.attempt(&entries).await {
                Ok(committed) => {
                    self.health.note_success();
                    self.metrics.note_commit(entries.len(), begun.elapsed());
                    self.announce(entries, &committed);
                    return Ok(());
                }
                Err(StoreError::Conflict(_)) if conflicts < MAX_CONFLICTS => conflicts += 1,
                Err(StoreError::Unavailable(cause)) => {
                    tracing::warn!(%cause, messages = entries.len(), "batch not stored, trying again");
                    self.note_unknown(&mut entries, begun);
                    sleep(backoff.next_delay()).await;
                }
                Err(cause) => return Err(Unstored::new(entries, cause)),
            }
        }
    }

    async fn attempt(&self, entries: &[Pending]) -> Result<Committed, StoreError> {
        let (mut drafts, mut changes) = (Vec::with_capacity(entries.len()), vec![]);
        for pending in entries {
            match pending.entry() {
                Entry::Message(draft) => drafts.push(draft.clone()),
                Entry::Change(change) => changes.push(change.clone()),
            }
        }
        entries
            .iter()
            .for_each(|pending| pending.set_in_flight(true));
        let result = self.commit_to_store(&drafts, &changes).await;
        entries
            .iter()
            .for_each(|pending| pending.set_in_flight(false));
        result
    }

    /// Stores plain messages by the shortest way.
    async fn commit_to_store(
        &self,
        drafts: &[Draft],
        changes: &[Change],
    ) -> Result<Committed, StoreError> {
        if !changes.is_empty() || !drafts.iter().all(Draft::is_alone) {
            return self.store.commit(drafts, changes).await;
        }
        let stored = self.store.append(drafts).await?;
        Ok(Committed {
            messages: stored.into_iter().map(Ok).collect(),
            ..Committed::default()
        })
    }

    /// Notes an attempt with an unknown outcome, begun at `begun`: it may have stored the entries,
    /// or may yet. Gives up the abandoned ones.
    fn note_unknown(&self, entries: &mut Vec<Pending>, begun: Instant) {
        self.health.note_failure();
        self.metrics.failures.inc();
        for pending in entries.iter_mut() {
            pending.may_land_until = Some(begun + STATEMENT_TIMEOUT);
        }
        self.give_up(entries.extract_if(.., |pending| pending.is_abandoned()));
    }

    fn announce(&self, entries: Vec<Pending>, committed: &Committed) {
        let messages = committed.messages.iter().map(|answer| match answer {
            Ok(stored) => Ok(stored.encode()),
            Err(refusal) => Err(refusal.clone().into()),
        });
        let messages: Vec<Result<_, Error>> = messages.collect();
        let authors = committed.messages.iter().flatten();
        (self.observer)(Outcome::Stored {
            messages: messages.iter().flatten().cloned().collect(),
            authors: authors
                .map(|stored| stored.message.user_id.clone())
                .collect(),
            changes: committed.rooms.iter().map(Revised::encode).collect(),
            conversations: committed.conversations.clone(),
        });
        let mut messages = messages.into_iter();
        let mut changes = committed.changes.iter().map(|answer| match answer {
            Ok(changed) => Ok(Settled::Changed(changed.encode())),
            Err(refusal) => Err(refusal.clone().into()),
        });
        for pending in entries {
            let answer = match pending.entry() {
                Entry::Message(_) => messages.next().map(|stored| stored.map(Settled::Stored)),
                Entry::Change(_) => changes.next(),
            };
            if let (Entry::Change(change), Some(Ok(Settled::Changed(changed)))) =
                (pending.entry(), &answer)
                && changed.changed
            {
                self.metrics.changes.note(kind(&change.action));
            }
            pending.settle(answer.unwrap_or(Err(Error::Unavailable)));
        }
    }

    /// Answers entries with [`Error::Unavailable`]. Rooms that may hold one of them nevertheless
    /// are told at once, and again when none of them can reach the log any more.
    pub(super) fn give_up(&self, entries: impl Iterator<Item = Pending>) {
        let (mut rooms, mut last) = (BTreeSet::new(), None);
        for pending in entries {
            if pending.may_land_until.is_some() {
                rooms.insert(pending.room_id().clone());
                last = last.max(pending.may_land_until);
            }
            pending.settle(Err(Error::Unavailable));
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

/// Splits an unstored batch into the parts to try next, in order.
///
/// An entry refused alone is answered; entries of locked rooms are held back.
fn divide(unstored: Unstored, blocked: &mut Blocked) -> Vec<Vec<Pending>> {
    let Unstored { mut entries, why } = unstored;
    match why {
        Why::Refused(cause) => halves(entries).map_or_else(
            |alone| {
                refuse(alone, cause);
                vec![]
            },
            Vec::from,
        ),
        Why::Locked(rooms) if rooms.is_empty() => halves_by_room(entries).map_or_else(
            |mut alone| {
                blocked
                    .rooms
                    .extend(alone.first().map(|pending| pending.room_id().clone()));
                blocked.hold_back(&mut alone);
                vec![]
            },
            Vec::from,
        ),
        Why::Locked(rooms) => {
            blocked.rooms.extend(rooms);
            blocked.hold_back(&mut entries);
            vec![entries]
        }
    }
}

/// Returns the kind of a change, for the figures.
fn kind(action: &Action) -> ChangeKind {
    match action {
        Action::Edit(_) => ChangeKind::Edit,
        Action::Delete => ChangeKind::Delete,
        Action::React { .. } => ChangeKind::Reaction,
        Action::Pin { .. } => ChangeKind::Pin,
    }
}

fn refuse(entries: Vec<Pending>, cause: StoreError) {
    let error = Error::internal(cause);
    for pending in entries {
        pending.settle(Err(error.clone()));
    }
}
