//! A room: one task through which everything that happens in it on this node passes, in order.
//!
//! A joiner's history is read, answered and followed by the subscription in one step of the task,
//! so what it gets live begins just where its history ends. The task lives as long as somebody
//! holds its [`RoomHandle`].

mod answer;
mod budget;
mod fanout;
mod members;
mod recent;
mod registry;
mod tail;
mod task;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use uuid::Uuid;

pub use self::{
    answer::MAX_ANSWER_BYTES,
    budget::{ALL_ROOMS_BYTES, ROOM_BYTES},
    fanout::{Fanout, Joined, MAX_LISTED, Presence, Reset, Welcome},
    members::{ClientId, Departure, INTERVAL, LARGE_INTERVAL, PresenceSettings},
    recent::CAPACITY,
    registry::Rooms,
    tail::{DOUBT, FIRST_LOOK},
};
pub(crate) use self::{answer::fit, budget::Budget, task::Room};
use crate::{
    error::Error,
    model::{EncodedMessage, Seq, Signal, Stored, UserId},
    store::{MessageStore, StoreError},
};

/// How many commands may wait for a room. When there are more, newly stored messages are not queued
/// but read from the log.
pub const MAILBOX_CAPACITY: usize = 1024;
/// How many bytes of newly stored messages may wait for a room before further ones are read from
/// the log likewise.
pub const MAILBOX_BYTES: usize = 1024 * 1024;
/// How long a join waits for the log.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before what could not be read from the log is tried again.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A connection's wish to be in the room.
pub struct Join {
    /// The connection.
    pub client: ClientId,
    /// Whom it speaks for.
    pub user_id: UserId,
    /// The newest message that it has.
    pub last_seq: Option<Seq>,
    /// How many messages it wants at most.
    pub limit: usize,
    /// When it stops waiting.
    pub deadline: Instant,
    /// Called when the answer is ready.
    pub welcome: Welcome,
    /// Told how it ended.
    pub done: oneshot::Sender<Result<(), Error>>,
}

/// What a room's task is asked to do.
pub enum Command {
    /// Let a connection in.
    Join(Join),
    /// Let a connection out; the sender is dropped when that is done.
    Leave(ClientId, Departure, oneshot::Sender<()>),
    /// Deliver what the writer has stored, or found stored.
    Stored(Vec<Stored<EncodedMessage>>),
    /// Look into the log if it is not as the room knows it: it was read, and held this message.
    Seen(Seq, Uuid),
    /// Look into the log now and for a while: it may hold, or come to hold, something that nobody
    /// will tell of.
    Wake,
    /// Pass a signal to the members.
    Signal(Signal),
    /// Look into the log if a command was missed.
    Look,
}

/// What a room's task shares with those who give it commands.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// A command could not be queued.
    pub(crate) missed: AtomicBool,
    /// The newest `seq` that the room knows of; 0 before its first read.
    pub(crate) cursor: AtomicI64,
    /// The bytes of the messages that are queued.
    pub(crate) queued: AtomicUsize,
}

/// Keeps a room's task alive, and gives it commands.
#[derive(Debug, Clone)]
pub struct RoomHandle {
    pub(crate) mailbox: mpsc::Sender<Command>,
    pub(crate) shared: Arc<Shared>,
}

impl RoomHandle {
    /// Lets a connection in; see [`Join`].
    ///
    /// Errors: [`Error::Unavailable`] when the log cannot be read by the deadline, or the
    /// connection is gone.
    pub async fn join(
        &self,
        join: impl FnOnce(oneshot::Sender<Result<(), Error>>) -> Join,
    ) -> Result<(), Error> {
        let (done, ended) = oneshot::channel();
        let join = join(done);
        let sending = timeout_at(join.deadline, self.mailbox.send(Command::Join(join)));
        if !matches!(sending.await, Ok(Ok(()))) {
            return Err(Error::Unavailable);
        }
        ended.await.unwrap_or(Err(Error::Unavailable))
    }

    /// Lets a connection out, and waits until the room has forgotten it.
    pub async fn leave(&self, client: ClientId, how: Departure) {
        let (done, ended) = oneshot::channel();
        if self
            .mailbox
            .send(Command::Leave(client, how, done))
            .await
            .is_ok()
        {
            ended.await.ok();
        }
    }

    /// Passes a signal to the members, unless the room is busy. Never waits.
    pub fn signal(&self, signal: Signal) {
        self.mailbox.try_send(Command::Signal(signal)).ok();
    }

    /// Tells the room the newest message of a part of its log that somebody has read. Never waits.
    pub fn saw(&self, seq: Seq, id: Uuid) {
        tell(&self.mailbox, &self.shared, Command::Seen(seq, id));
    }
}

/// Gives a room a command without waiting: what its mailbox cannot take, it reads from the log.
pub(crate) fn tell(mailbox: &mpsc::Sender<Command>, shared: &Shared, command: Command) {
    let bytes = command.bytes();
    let waiting = shared.queued.fetch_add(bytes, Ordering::Relaxed);
    if (bytes == 0 || waiting <= MAILBOX_BYTES) && mailbox.try_send(command).is_ok() {
        return;
    }
    shared.queued.fetch_sub(bytes, Ordering::Relaxed);
    shared.missed.store(true, Ordering::Release);
    // In case the mailbox has been emptied since: with nothing in it, nobody would look at the
    // flag.
    mailbox.try_send(Command::Look).ok();
}

impl Command {
    fn bytes(&self) -> usize {
        match self {
            Self::Stored(stored) => queued_bytes(stored),
            _ => 0,
        }
    }
}

fn queued_bytes(stored: &[Stored<EncodedMessage>]) -> usize {
    stored
        .iter()
        .map(|stored| stored.message.json().len())
        .sum()
}

/// What every room of a node shares.
pub struct RoomContext {
    /// The log.
    pub store: Arc<dyn MessageStore>,
    /// The way to the members.
    pub fanout: Arc<dyn Fanout>,
    /// How many messages a room reads when it starts.
    pub history_limit: usize,
    /// How presence is told.
    pub presence: PresenceSettings,
}

/// What a failed read means to whoever asked for it.
pub(crate) fn unread(cause: StoreError) -> Error {
    match cause {
        StoreError::Unavailable(cause)
        | StoreError::Conflict(cause)
        | StoreError::Locked { cause, .. } => {
            tracing::warn!(%cause, "log not read");
            Error::Unavailable
        }
        cause @ (StoreError::Rejected(_) | StoreError::Unreadable(_)) => Error::internal(cause),
    }
}
