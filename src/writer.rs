//! Group commit: what has queued up while one batch commits goes out as the next one.
//!
//! Persisting a message alone costs a round trip and a flush to disk; a batch of hundreds costs little more. One task
//! commits for all rooms, so sends are stored in the order in which they were queued. Two or four tasks, each for a part of the rooms,
//! were not clearly faster (`bench/PROFILE.md`).

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    model::{Draft, Posted, RoomId, Stored},
    store::{MessageStore, StoreError},
};

/// The most messages in a batch. With 512 the database was the bottleneck: 38 to 41 thousand acks/s instead of 45 (`bench/`,
/// workload `persist`, medians of four alternating runs).
pub const MAX_BATCH_MESSAGES: usize = 2048;
/// The most bytes of message bodies in a batch (one message alone may have more).
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// How many sends may wait to be stored before further ones are refused.
pub const QUEUE_CAPACITY: usize = 16 * 1024;
/// The pause after a first failed attempt to store a batch; each further one doubles it.
pub const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The longest pause between two attempts.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long a failed attempt says that the log takes no messages, when nobody has sent any since.
pub const DOUBT: Duration = Duration::from_secs(10);
/// How often in a row a batch may meet a faster writer before it counts as refused.
const MAX_CONFLICTS: u32 = 8;

/// What the writer has to say about the log.
#[derive(Debug)]
pub enum Outcome {
    /// These sends were committed, in this order.
    Stored(Vec<Posted>),
    /// Messages may have been committed to these rooms; their senders do not wait any more.
    Unknown(Vec<RoomId>),
}

/// Told of every outcome, before the senders are.
pub type Observer = Box<dyn Fn(Outcome) + Send + Sync>;

/// A send that waits for its commit.
struct Waiting {
    draft: Draft,
    answer: oneshot::Sender<Result<Posted, Error>>,
}

/// Whether the log takes messages, as far as the last attempt to store some tells.
///
/// A full disk shows in no other way: the database still answers.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Option<Instant>>>);

impl Health {
    /// Whether the last attempt did not fail, or is longer ago than [`DOUBT`].
    pub fn is_good(&self) -> bool {
        let failed_at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_none_or(|failed_at| failed_at.elapsed() > DOUBT)
    }

    fn note(&self, failed_at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failed_at;
    }
}

/// Queues messages for the one task that commits them.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Waiting>,
    timeout: Duration,
    health: Health,
}

impl Writer {
    /// Starts the committing task. It ends once `stop` is cancelled and all that was queued before is settled.
    ///
    /// A send waits for its commit at most `timeout`.
    pub fn start(
        store: Arc<dyn MessageStore>,
        timeout: Duration,
        observer: Observer,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(QUEUE_CAPACITY);
        let health = Health::default();
        let committer = Committer { store, observer, queue: waiting, held_over: None, health: health.clone() };
        let task = tokio::spawn(committer.run(stop));
        (Self { queue, timeout, health }, task)
    }

    /// Whether what is sent now is likely to be stored.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Queues a message; from here on its place among this caller's messages is settled.
    ///
    /// Errors: [`Error::Unavailable`] when the queue is full or the server is stopping.
    pub fn enqueue(&self, draft: Draft) -> Result<Receipt, Error> {
        let (sender, answer) = oneshot::channel();
        let waiting = Waiting { draft, answer: sender };
        self.queue.try_send(waiting).map_err(|_| Error::Unavailable)?;
        Ok(Receipt { answer, deadline: Instant::now() + self.timeout })
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued = self.queue.max_capacity() - self.queue.capacity();
        f.debug_struct("Writer").field("queued", &queued).finish()
    }
}

/// A queued message's outcome to come.
#[derive(Debug)]
pub struct Receipt {
    answer: oneshot::Receiver<Result<Posted, Error>>,
    deadline: Instant,
}

impl Receipt {
    /// Waits for the commit.
    ///
    /// Errors: [`Error::Unavailable`] when it has not happened in time (it may still happen), [`Error::Internal`] when
    /// the database refuses the message.
    pub async fn stored(self) -> Result<Posted, Error> {
        match tokio::time::timeout_at(self.deadline, self.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Error::Unavailable),
        }
    }
}

/// A batch that the database will not take as it is.
struct Refused {
    batch: Vec<Waiting>,
    cause: StoreError,
}

struct Committer {
    store: Arc<dyn MessageStore>,
    observer: Observer,
    queue: mpsc::Receiver<Waiting>,
    /// Taken from the queue, but too large for the batch that it would have joined.
    held_over: Option<Waiting>,
    health: Health,
}

impl Committer {
    async fn run(mut self, stop: CancellationToken) {
        while let Some(batch) = self.next_batch(&stop).await {
            self.commit(batch).await;
        }
    }

    /// All that has queued up, within the bounds of a batch; nothing once stopped and empty.
    async fn next_batch(&mut self, stop: &CancellationToken) -> Option<Vec<Waiting>> {
        let first = match self.held_over.take() {
            Some(first) => first,
            None => self.first(stop).await?,
        };
        let mut bytes = first.draft.body.as_str().len();
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH_MESSAGES {
            let Ok(next) = self.queue.try_recv() else {
                break;
            };
            bytes += next.draft.body.as_str().len();
            if bytes > MAX_BATCH_BYTES {
                self.held_over = Some(next);
                break;
            }
            batch.push(next);
        }
        Some(batch)
    }

    async fn first(&mut self, stop: &CancellationToken) -> Option<Waiting> {
        tokio::select! {
            () = stop.cancelled(), if !self.queue.is_closed() => {
                self.queue.close();
                self.queue.recv().await
            }
            first = self.queue.recv() => first,
        }
    }

    /// Stores a batch; one that the database refuses is halved until the message at fault stands alone, so that it
    /// cannot fail its neighbours.
    async fn commit(&self, batch: Vec<Waiting>) {
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            let Err(Refused { mut batch, cause }) = self.store(part).await else {
                continue;
            };
            let second_half = batch.split_off(batch.len() / 2);
            if batch.is_empty() {
                let error = Error::internal(cause);
                settle(second_half, || Err(error.clone()));
            } else {
                parts.extend([second_half, batch]);
            }
        }
    }

    /// Tries until the batch is stored, is refused, or nobody waits for it any more.
    async fn store(&self, batch: Vec<Waiting>) -> Result<(), Refused> {
        let mut doubtful = Doubtful::default();
        let result = self.try_to_store(batch, &mut doubtful).await;
        if !doubtful.rooms.is_empty() {
            (self.observer)(Outcome::Unknown(doubtful.rooms));
        }
        result
    }

    async fn try_to_store(&self, mut batch: Vec<Waiting>, doubtful: &mut Doubtful) -> Result<(), Refused> {
        let mut delay = MIN_RETRY_DELAY;
        let mut conflicts = 0;
        loop {
            doubtful.drop_abandoned(&mut batch);
            if batch.is_empty() {
                return Ok(());
            }
            let drafts: Vec<_> = batch.iter().map(|waiting| waiting.draft.clone()).collect();
            match self.store.append(&drafts).await {
                Ok(stored) => {
                    self.health.note(None);
                    self.announce(batch, &stored);
                    return Ok(());
                }
                Err(StoreError::Conflict(_)) if conflicts < MAX_CONFLICTS => conflicts += 1,
                Err(StoreError::Unavailable(cause)) => {
                    tracing::warn!(%cause, messages = batch.len(), "batch not stored, trying again");
                    doubtful.attempted = true;
                    self.health.note(Some(Instant::now()));
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(MAX_RETRY_DELAY);
                }
                Err(cause) => return Err(Refused { batch, cause }),
            }
        }
    }

    fn announce(&self, batch: Vec<Waiting>, stored: &[Stored]) {
        let posted: Vec<_> = stored.iter().map(Posted::from).collect();
        (self.observer)(Outcome::Stored(posted.clone()));
        let mut posted = posted.into_iter();
        settle(batch, || posted.next().ok_or(Error::Unavailable));
    }
}

/// Answers every sender of a batch; one that has stopped waiting has its answer already.
fn settle(batch: Vec<Waiting>, mut answer: impl FnMut() -> Result<Posted, Error>) {
    for waiting in batch {
        waiting.answer.send(answer()).ok();
    }
}

/// Rooms that may hold a message whose sender gave up waiting.
#[derive(Default)]
struct Doubtful {
    /// Whether an attempt ended without saying whether it went through.
    attempted: bool,
    rooms: Vec<RoomId>,
}

impl Doubtful {
    /// Takes those out of the batch whose senders wait no more. Before the first attempt they are certainly not stored.
    fn drop_abandoned(&mut self, batch: &mut Vec<Waiting>) {
        let abandoned = batch.extract_if(.., |waiting| waiting.answer.is_closed());
        let rooms = abandoned.map(|waiting| waiting.draft.room_id).filter(|_| self.attempted);
        self.rooms.extend(rooms);
    }
}
