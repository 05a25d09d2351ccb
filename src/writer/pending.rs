//! Entries on their way to a commit, and their senders' receipts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::{Instant, timeout_at},
};

use crate::{
    error::Error,
    model::{Changed, EncodedMessage, Entry, RoomId, Settled, Stored},
};

/// The extra wait of a receipt beyond its deadline while the entry's commit is in flight, so that
/// the sender learns the outcome.
pub const OUTCOME_GRACE: Duration = Duration::from_secs(2);

/// A sender's answer.
pub(super) type Answer = Result<Settled, Error>;

/// The way back to a sender.
pub(super) enum Sender {
    Message(oneshot::Sender<Result<Stored<EncodedMessage>, Error>>),
    Change(oneshot::Sender<Result<Changed<EncodedMessage>, Error>>),
}

impl Sender {
    fn is_closed(&self) -> bool {
        match self {
            Self::Message(sender) => sender.is_closed(),
            Self::Change(sender) => sender.is_closed(),
        }
    }

    fn send(self, answer: Answer) {
        match (self, answer) {
            (Self::Message(sender), Ok(Settled::Stored(stored))) => _ = sender.send(Ok(stored)),
            (Self::Change(sender), Ok(Settled::Changed(changed))) => _ = sender.send(Ok(changed)),
            (Self::Message(sender), Err(error)) => _ = sender.send(Err(error)),
            (Self::Change(sender), Err(error)) => _ = sender.send(Err(error)),
            // Dropping the sender is an answer, too.
            (_, Ok(_)) => {}
        }
    }
}

/// An entry on its way to a commit.
pub(super) struct Pending {
    entry: Entry,
    sender: Sender,
    deadline: Instant,
    in_flight: InFlight,
    /// The last moment at which an attempt with an unknown outcome may still reach the log; none
    /// without such an attempt.
    pub(super) may_land_until: Option<Instant>,
    _bytes: OwnedSemaphorePermit,
}

impl Pending {
    /// Returns the entry, which waits until `deadline`, and its sender's receipt.
    pub(super) fn new<T>(
        entry: Entry,
        sender: fn(oneshot::Sender<Result<T, Error>>) -> Sender,
        deadline: Instant,
        bytes: OwnedSemaphorePermit,
    ) -> (Self, Receipt<T>) {
        let (answering, answer) = oneshot::channel();
        let in_flight = InFlight::default();
        let receipt = Receipt {
            answer,
            deadline,
            in_flight: in_flight.clone(),
        };
        let pending = Self {
            entry,
            sender: sender(answering),
            deadline,
            in_flight,
            may_land_until: None,
            _bytes: bytes,
        };
        (pending, receipt)
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(super) fn room_id(&self) -> &RoomId {
        self.entry.room_id()
    }

    /// Returns true once the sender has stopped waiting.
    pub(super) fn is_abandoned(&self) -> bool {
        self.sender.is_closed() || self.deadline <= Instant::now()
    }

    /// Marks a commit of the entry as in flight, or as over.
    pub(super) fn set_in_flight(&self, in_flight: bool) {
        self.in_flight.set(in_flight);
    }

    /// Answers the sender, unless it has stopped waiting.
    pub(super) fn settle(self, answer: Answer) {
        self.sender.send(answer);
    }
}

/// A flag shared by an entry and its receipt, set while a commit is in flight.
#[derive(Debug, Clone, Default)]
struct InFlight(Arc<AtomicBool>);

impl InFlight {
    fn set(&self, in_flight: bool) {
        self.0.store(in_flight, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A queued entry's outcome to come.
#[derive(Debug)]
pub struct Receipt<T> {
    answer: oneshot::Receiver<Result<T, Error>>,
    deadline: Instant,
    in_flight: InFlight,
}

impl<T> Receipt<T> {
    /// Waits for the commit until the deadline, and up to [`OUTCOME_GRACE`] longer while the commit
    /// is in flight.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the outcome is not known in time: the entry may have been stored
    /// or may be yet. [`Error::Internal`] when the database refuses the entry. For a reply,
    /// [`Error::NotFound`]; for a change, that, [`Error::Conflict`] or [`Error::Forbidden`].
    pub async fn settled(mut self) -> Result<T, Error> {
        let mut answer = timeout_at(self.deadline, &mut self.answer).await;
        if answer.is_err() && self.in_flight.is_set() {
            answer = timeout_at(self.deadline + OUTCOME_GRACE, &mut self.answer).await;
        }
        match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Error::Unavailable),
        }
    }
}
