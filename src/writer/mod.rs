//! Group commit: entries queue up while one batch commits and go out together as the next one.
//!
//! Storing a message alone costs a round trip and a flush to disk; a batch of hundreds costs little
//! more. One task commits for all rooms, so entries are stored in the order in which they were
//! queued. Two or four tasks, each for a part of the rooms, were not clearly faster
//! (`bench/PROFILE.md`).
//!
//! A room whose row another session of the database has locked is parked: its entries wait in
//! order, and the other rooms go on.

mod backoff;
mod batch;
mod commits;
mod committer;
mod health;
mod parked;
mod pending;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::{
    batch::{MAX_BATCH_BYTES, MAX_BATCH_ENTRIES},
    commits::Observer,
    health::{Health, UNHEALTHY_FOR},
    parked::MAX_PARKED_PER_ROOM,
    pending::Receipt,
};
use self::{
    commits::Commits,
    committer::Committer,
    pending::{Pending, Sender},
};
use crate::{
    error::Error,
    metrics,
    model::{Change, Changed, Draft, EncodedMessage, Entry, Message, Outcome, Stored},
    store::MessageStore,
};

/// The most entries in the queue; further ones are refused.
pub const QUEUE_CAPACITY: usize = 16 * 1024;
/// The most bytes of entries in the queue; further ones are refused.
pub const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// An entry's bytes in memory besides its texts.
const ENTRY_OVERHEAD: usize = 512;

/// The queue in front of the committing task.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Pending>,
    bytes: Arc<Semaphore>,
    timeout: Duration,
    health: Health,
    observer: Arc<Observer>,
}

impl Writer {
    /// Spawns the committing task. Once `stop` is cancelled, it settles the queued entries and
    /// ends.
    ///
    /// An entry waits for its commit at most `timeout`.
    pub fn spawn(
        store: Arc<dyn MessageStore>,
        timeout: Duration,
        observer: Observer,
        stop: CancellationToken,
        metrics: metrics::Writer,
    ) -> (Self, JoinHandle<()>) {
        let (queue, received) = mpsc::channel(QUEUE_CAPACITY);
        let health = Health::default();
        let observer = Arc::new(observer);
        let commits = Commits::new(store, observer.clone(), health.clone(), metrics);
        let commits = Arc::new(commits);
        let task = tokio::spawn(Committer::new(commits, received).run(stop));
        let writer = Self {
            queue,
            bytes: Arc::new(Semaphore::new(QUEUE_BYTES)),
            timeout,
            health,
            observer,
        };
        (writer, task)
    }

    /// Returns the health of the log, as the commits show it.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Tells of a message that was stored together with something else, as of the writer's own.
    pub fn tell(&self, message: &Message) {
        (self.observer)(Outcome::Stored {
            messages: vec![Stored {
                message: EncodedMessage::from(message),
                duplicate: false,
            }],
            authors: vec![message.user_id.clone()],
            changes: vec![],
            conversations: vec![],
        });
    }

    /// Returns the number of queued entries.
    pub fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Returns the bytes of the entries that are queued, parked or being stored.
    pub fn queued_bytes(&self) -> usize {
        QUEUE_BYTES - self.bytes.available_permits()
    }

    /// Queues a message. Its place among the caller's entries for the room is fixed from here on.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the queue is full or the server is stopping.
    pub fn enqueue(&self, draft: Draft) -> Result<Receipt<Stored<EncodedMessage>>, Error> {
        self.push(draft.into(), Sender::Message)
    }

    /// Queues a change, in the same order as messages.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the queue is full or the server is stopping.
    pub fn enqueue_change(
        &self,
        change: Change,
    ) -> Result<Receipt<Changed<EncodedMessage>>, Error> {
        self.push(change.into(), Sender::Change)
    }

    fn push<T>(
        &self,
        entry: Entry,
        sender: fn(oneshot::Sender<Result<T, Error>>) -> Sender,
    ) -> Result<Receipt<T>, Error> {
        let size = u32::try_from(ENTRY_OVERHEAD + entry.size()).unwrap_or(u32::MAX);
        let bytes = self.bytes.clone().try_acquire_many_owned(size);
        let bytes = bytes.map_err(|_| Error::Unavailable)?;
        let deadline = Instant::now() + self.timeout;
        let (pending, receipt) = Pending::new(entry, sender, deadline, bytes);
        let queued = self.queue.try_send(pending);
        queued.map(|()| receipt).map_err(|_| Error::Unavailable)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("queued", &self.queued())
            .finish()
    }
}
