//! Read marks on their way into the database: many readers in one statement, at most twice a
//! second.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::Inbox;
use crate::{
    error::Error,
    model::{Mark, Marked, RoomId, Seq, UserId},
    room::READ_TIMEOUT,
    store::StoreError,
};

/// The least time between two statements for marks.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// The most marks in a statement. Each may become a signal to other servers, which have room for a
/// few more.
pub const MAX_FLUSHED: usize = 1_000;
/// The most marks that wait, and the most clients that wait for them.
const MAX_WAITING: usize = 65_536;
/// The pause before a client may mark again when too many wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

type Key = (RoomId, UserId);
type Done = oneshot::Sender<Result<Seq, Error>>;

/// The marks that wait for the database.
#[derive(Default)]
pub(super) struct Marks {
    queue: Mutex<Queue>,
    added: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: HashMap<Key, Waiting>,
    /// The keys of `waiting`, the first to come first.
    order: VecDeque<Key>,
    /// The clients that wait, those of `in_flight` included.
    clients: usize,
    /// The marks in a statement.
    in_flight: HashMap<Key, Waiting>,
}

/// A reader's latest mark in a room.
#[derive(Default)]
struct Waiting {
    seq: Seq,
    clients: Vec<Done>,
}

/// A queued mark.
#[must_use]
#[derive(Debug)]
pub struct Marking(oneshot::Receiver<Result<Seq, Error>>);

impl Marking {
    /// Waits until the mark is stored, and returns the reader's position.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it is not stored within [`READ_TIMEOUT`]: it may be yet.
    pub async fn settled(self) -> Result<Seq, Error> {
        match timeout(READ_TIMEOUT, self.0).await {
            Ok(Ok(settled)) => settled,
            _ => Err(Error::Unavailable),
        }
    }
}

impl Marks {
    /// Queues a reader's mark.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when too many wait.
    pub(super) fn queue(&self, mark: Mark) -> Result<Marking, Error> {
        let (done, settled) = oneshot::channel();
        let mut queue = self.lock();
        if queue.waiting.len() >= MAX_WAITING || queue.clients >= MAX_WAITING {
            return Err(Error::RateLimited {
                retry_after: RETRY_AFTER,
            });
        }
        queue.clients += 1;
        queue.merge((mark.room_id, mark.user_id), mark.seq, vec![done]);
        drop(queue);
        self.added.notify_one();
        Ok(Marking(settled))
    }

    /// Queues a mark that nobody waits for, unless too many wait.
    pub(super) fn add(&self, mark: Mark) {
        let mut queue = self.lock();
        if queue.waiting.len() < MAX_WAITING {
            queue.merge((mark.room_id, mark.user_id), mark.seq, vec![]);
            self.added.notify_one();
        }
    }

    /// Returns a user's latest mark in a room that is not stored yet, or [`Seq::ZERO`].
    pub(super) fn queued(&self, room: &RoomId, user: &UserId) -> Seq {
        let (queue, key) = (self.lock(), (room.clone(), user.clone()));
        let marks = [queue.waiting.get(&key), queue.in_flight.get(&key)];
        let seqs = marks.into_iter().flatten().map(|waiting| waiting.seq);
        seqs.max().unwrap_or_default()
    }

    /// Takes the next marks for a statement.
    fn begin(&self) -> Vec<Mark> {
        let mut queue = self.lock();
        let mut marks = vec![];
        while marks.len() < MAX_FLUSHED
            && let Some(key) = queue.order.pop_front()
        {
            let Some(waiting) = queue.waiting.remove(&key) else {
                continue;
            };
            let (room_id, user_id) = key.clone();
            marks.push(Mark {
                room_id,
                user_id,
                seq: waiting.seq,
            });
            queue.in_flight.insert(key, waiting);
        }
        marks
    }

    /// Answers the clients of a statement's marks; those without an answer are of rooms without
    /// messages. Returns the stored marks, each with true if a client had asked for it.
    fn settle(&self, marked: Vec<Marked>) -> Vec<(Marked, bool)> {
        let mut in_flight = {
            let mut queue = self.lock();
            let in_flight = mem::take(&mut queue.in_flight);
            queue.clients -= clients(&in_flight);
            in_flight
        };
        let settled = marked.into_iter().map(|marked| {
            let key = (marked.mark.room_id.clone(), marked.mark.user_id.clone());
            let waiting = in_flight.remove(&key).unwrap_or_default();
            let asked = !waiting.clients.is_empty();
            answer(waiting, &Ok(marked.mark.seq));
            (marked, asked)
        });
        let settled = settled.collect();
        for waiting in in_flight.into_values() {
            answer(waiting, &Ok(Seq::ZERO));
        }
        settled
    }

    /// Refuses the marks of a statement.
    fn refuse(&self, error: &Error) {
        let mut queue = self.lock();
        let in_flight = mem::take(&mut queue.in_flight);
        queue.clients -= clients(&in_flight);
        drop(queue);
        for waiting in in_flight.into_values() {
            answer(waiting, &Err(error.clone()));
        }
    }

    /// Queues the marks of a failed statement again.
    fn put_back(&self) {
        let mut queue = self.lock();
        for (key, mut waiting) in mem::take(&mut queue.in_flight) {
            let waited = waiting.clients.len();
            waiting.clients.retain(|client| !client.is_closed());
            queue.clients -= waited - waiting.clients.len();
            queue.merge(key, waiting.seq, waiting.clients);
        }
        self.added.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn merge(&mut self, key: Key, seq: Seq, clients: Vec<Done>) {
        let waiting = match self.waiting.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                self.order.push_back(vacant.key().clone());
                vacant.insert(Waiting::default())
            }
        };
        waiting.seq = waiting.seq.max(seq);
        waiting.clients.extend(clients);
    }
}

fn clients(waiting: &HashMap<Key, Waiting>) -> usize {
    waiting.values().map(|waiting| waiting.clients.len()).sum()
}

fn answer(waiting: Waiting, settled: &Result<Seq, Error>) {
    for client in waiting.clients {
        client.send(settled.clone()).ok();
    }
}

impl Inbox {
    /// Stores marks until `stop`, and those still queued then.
    pub(super) async fn keep_marks(&self, stop: &CancellationToken) {
        while stop
            .run_until_cancelled(self.marks.added.notified())
            .await
            .is_some()
        {
            self.flush().await;
            stop.run_until_cancelled(tokio::time::sleep(FLUSH_INTERVAL))
                .await;
        }
        self.flush().await;
    }

    /// Stores queued marks in one statement. After a failure that may pass they are queued again.
    async fn flush(&self) {
        let marks = self.marks.begin();
        if marks.is_empty() {
            return;
        }
        if marks.len() == MAX_FLUSHED {
            self.marks.added.notify_one();
        }
        match self.context.memberships().mark(&marks).await {
            Ok(marked) => {
                self.context.metrics.receipts.inc_by(marked.len() as u64);
                for (marked, asked) in self.marks.settle(marked) {
                    self.tell_marked(marked, asked);
                }
            }
            Err(cause @ (StoreError::Rejected(_) | StoreError::Unreadable(_))) => {
                self.marks.refuse(&Error::internal(cause));
            }
            Err(cause) => {
                tracing::debug!(%cause, marks = marks.len(), "read marks not stored, trying again");
                self.marks.put_back();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(user: impl ToString, seq: i64) -> Mark {
        Mark {
            room_id: "r".try_into().unwrap(),
            user_id: user.to_string().as_str().try_into().unwrap(),
            seq: seq.try_into().unwrap(),
        }
    }

    fn stored(mark: Mark) -> Marked {
        let (moved, is_new) = (true, false);
        Marked {
            mark,
            moved,
            is_new,
        }
    }

    #[tokio::test]
    async fn marks_of_one_reader_become_one_and_each_client_is_answered() {
        let marks = Marks::default();
        let markings: Vec<_> = [3, 9, 5]
            .map(|seq| marks.queue(mark("ann", seq)).unwrap())
            .into();
        assert_eq!(marks.begin(), [mark("ann", 9)]);
        let later = marks.queue(mark("ann", 10)).unwrap();
        assert_eq!(
            marks.queued(&mark("ann", 0).room_id, &mark("ann", 0).user_id),
            10.try_into().unwrap()
        );
        assert_eq!(marks.settle(vec![stored(mark("ann", 9))]).len(), 1);
        for marking in markings {
            assert_eq!(marking.settled().await, Ok(9.try_into().unwrap()));
        }
        assert_eq!(marks.begin(), [mark("ann", 10)]);
        marks.refuse(&Error::Unavailable);
        assert_eq!(later.settled().await, Err(Error::Unavailable));
        assert_eq!(marks.lock().clients, 0);
    }

    #[tokio::test]
    async fn a_failed_statements_marks_come_again_with_the_latest_position() {
        let marks = Marks::default();
        let (first, gone) = (
            marks.queue(mark("ann", 3)).unwrap(),
            marks.queue(mark("bob", 1)),
        );
        marks.begin();
        drop(gone);
        let second = marks.queue(mark("ann", 2)).unwrap();
        marks.put_back();
        let again = marks.begin();
        assert!(again.contains(&mark("ann", 3)), "{again:?}");
        marks.settle(vec![stored(mark("ann", 3))]);
        assert_eq!(first.settled().await, second.settled().await);
        assert_eq!(marks.lock().clients, 0);
    }

    #[tokio::test]
    async fn a_statement_and_the_queue_are_bounded_and_marks_come_in_order() {
        let marks = Marks::default();
        let markings: Vec<_> = (0..MAX_WAITING)
            .map(|user| marks.queue(mark(user, 1)).unwrap())
            .collect();
        assert_eq!(
            marks.queue(mark("late", 1)).unwrap_err().code(),
            "RATE_LIMITED"
        );
        let first = marks.begin();
        assert_eq!(first.len(), MAX_FLUSHED);
        assert_eq!(first[7], mark(7, 1));
        marks.settle(vec![]);
        assert_eq!(
            markings.into_iter().next().unwrap().settled().await,
            Ok(Seq::ZERO)
        );
        assert!(marks.queue(mark("late", 1)).is_ok());
    }
}
