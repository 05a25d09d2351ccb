//! Group commit: what has queued up while one batch commits goes out as the next one.
//!
//! Persisting a message alone costs a round trip and a flush to disk; a batch of hundreds costs
//! little more. One task commits for all rooms, so sends are stored in the order in which they were
//! queued. Two or four tasks, each for a part of the rooms, were not clearly faster
//! (`bench/PROFILE.md`).
//!
//! A room that somebody else has locked in the database is parked: its sends keep their order and
//! wait, the others go on.

mod commits;
mod parked;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::{
    commits::{Batch, Commits},
    parked::Parked,
};
use crate::{
    error::Error,
    model::{Draft, EncodedMessage, Outcome, Stored},
    store::MessageStore,
};

/// The most messages in a batch. With 512 the database was the bottleneck: 38 to 41 thousand acks/s
/// instead of 45 (`bench/`, workload `persist`, medians of four alternating runs).
pub const MAX_BATCH_MESSAGES: usize = 2048;
/// The most bytes of message bodies in a batch (one message alone may have more).
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// How many sends may wait to be stored before further ones are refused.
pub const QUEUE_CAPACITY: usize = 16 * 1024;
/// How many bytes of sends may wait to be stored before further ones are refused.
pub const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// The bytes that a send takes beside its texts.
const SEND_OVERHEAD: usize = 512;
/// How many sends may wait for one room that somebody else has locked before further ones are
/// refused.
pub const MAX_PARKED_PER_ROOM: usize = 1024;
/// How much longer than its time a send waits when the database is just storing it: its sender
/// learns the outcome.
pub const OUTCOME_GRACE: Duration = Duration::from_secs(2);
/// The pause after a first failed attempt to store a batch; each further one doubles it.
pub const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The longest pause between two attempts.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long a failed attempt says that the log takes no messages, when nobody has sent any since.
pub const UNHEALTHY_FOR: Duration = Duration::from_secs(10);
/// How often in a row a batch may meet a faster writer before it counts as refused.
const MAX_CONFLICTS: u32 = 8;

/// Told of every outcome, before the senders are.
pub type Observer = Box<dyn Fn(Outcome) + Send + Sync>;

/// A send that waits for its commit.
struct Waiting {
    draft: Draft,
    answer: oneshot::Sender<Result<Stored<EncodedMessage>, Error>>,
    deadline: Instant,
    under_way: UnderWay,
    /// The last moment at which an attempt with an unknown outcome may come into the log; none when
    /// there was no such attempt.
    may_land_until: Option<Instant>,
    _bytes: OwnedSemaphorePermit,
}

impl Waiting {
    /// Tells whether nobody waits for it any more.
    fn is_over(&self) -> bool {
        self.answer.is_closed() || self.deadline <= Instant::now()
    }
}

/// A mark on a send while the database is storing it.
#[derive(Debug, Clone, Default)]
struct UnderWay(Arc<AtomicBool>);

impl UnderWay {
    fn set(&self, under_way: bool) {
        self.0.store(under_way, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Whether the log takes messages, as far as the last attempt to store some tells.
///
/// A full disk shows in no other way: the database still answers.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Option<Instant>>>);

impl Health {
    /// Whether the last attempt did not fail, or is longer ago than [`UNHEALTHY_FOR`].
    pub fn is_good(&self) -> bool {
        let failed_at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_none_or(|failed_at| failed_at.elapsed() > UNHEALTHY_FOR)
    }

    fn note(&self, failed_at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failed_at;
    }
}

/// Queues messages for the one task that commits them.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Waiting>,
    bytes: Arc<Semaphore>,
    timeout: Duration,
    health: Health,
}

impl Writer {
    /// Starts the committing task. It ends once `stop` is cancelled and all that was queued before
    /// is settled.
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
        let commits = Arc::new(Commits::new(store, observer, health.clone()));
        let task = tokio::spawn(Committer::new(commits, waiting).run(stop));
        (
            Self {
                queue,
                bytes: Arc::new(Semaphore::new(QUEUE_BYTES)),
                timeout,
                health,
            },
            task,
        )
    }

    /// Whether what is sent now is likely to be stored.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Queues a message; from here on its place among this caller's messages to the room is
    /// settled.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the queue is full or the server is stopping.
    pub fn enqueue(&self, draft: Draft) -> Result<Receipt, Error> {
        let permit = self.bytes.clone().try_acquire_many_owned(size(&draft));
        let bytes = permit.map_err(|_| Error::Unavailable)?;
        let (sender, answer) = oneshot::channel();
        let (under_way, deadline) = (UnderWay::default(), Instant::now() + self.timeout);
        let receipt = Receipt {
            answer,
            deadline,
            under_way: under_way.clone(),
        };
        let waiting = Waiting {
            draft,
            answer: sender,
            deadline,
            under_way,
            may_land_until: None,
            _bytes: bytes,
        };
        self.queue
            .try_send(waiting)
            .map_err(|_| Error::Unavailable)?;
        Ok(receipt)
    }
}

/// The bytes that a message takes while it waits.
fn size(draft: &Draft) -> u32 {
    (SEND_OVERHEAD + draft.body.as_str().len())
        .try_into()
        .unwrap_or(u32::MAX)
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
    answer: oneshot::Receiver<Result<Stored<EncodedMessage>, Error>>,
    deadline: Instant,
    under_way: UnderWay,
}

impl Receipt {
    /// Waits for the commit, and a little longer than its time when the database is just storing
    /// it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it has not happened in time (it may have, or may still),
    /// [`Error::Internal`] when the database refuses the message.
    pub async fn stored(mut self) -> Result<Stored<EncodedMessage>, Error> {
        let mut answer = timeout_at(self.deadline, &mut self.answer).await;
        if answer.is_err() && self.under_way.is_set() {
            answer = timeout_at(self.deadline + OUTCOME_GRACE, &mut self.answer).await;
        }
        match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Error::Unavailable),
        }
    }
}

struct Committer {
    commits: Arc<Commits>,
    queue: mpsc::Receiver<Waiting>,
    /// Whether nothing comes from the queue any more.
    drained: bool,
    /// Taken from the queue, but too large for the batch that it would have joined.
    held_over: Option<Waiting>,
    parked: Parked,
}

impl Committer {
    fn new(commits: Arc<Commits>, queue: mpsc::Receiver<Waiting>) -> Self {
        Self {
            parked: Parked::new(commits.clone()),
            commits,
            queue,
            drained: false,
            held_over: None,
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        while let Some(batch) = self.next_batch(&stop).await {
            let blocked = self.commits.commit(batch).await;
            self.parked.park(blocked);
        }
    }

    /// All that has queued up, within the bounds of a batch; nothing once stopped and empty.
    async fn next_batch(&mut self, stop: &CancellationToken) -> Option<Vec<Waiting>> {
        let mut next = Some(self.first(stop).await?);
        let mut batch = Batch::default();
        while let Some(send) = next.take() {
            if let Some(send) = self.parked.pass(send)
                && let Some(one_too_many) = batch.push(send)
            {
                self.held_over = Some(one_too_many);
                break;
            }
            if !batch.is_full() {
                next = self.queue.try_recv().ok();
            }
        }
        Some(batch.into_sends())
    }

    /// The next send of a room that is not parked. Those that are parked are tried again meanwhile.
    async fn first(&mut self, stop: &CancellationToken) -> Option<Waiting> {
        let mut next = self.held_over.take();
        loop {
            if let Some(send) = next.take().and_then(|send| self.parked.pass(send)) {
                return Some(send);
            }
            tokio::select! {
                () = stop.cancelled(), if !self.queue.is_closed() => self.queue.close(),
                received = self.queue.recv(), if !self.drained => {
                    self.drained = received.is_none();
                    next = received;
                }
                () = self.parked.progress(), if !self.parked.is_empty() => {}
                else => return None,
            }
        }
    }
}
