//! Sends that come before their connection has joined a room, and wait for its first join.
//!
//! A client that was away emits what it has buffered as soon as it is connected again, before the
//! app's `connect` handler can join:
//! <https://socket.io/docs/v4/client-offline-behavior/#buffered-events>. A waiting send has given
//! on its turn, so that the join behind it is handled; the join then queues it, before any later
//! send.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, sleep_until},
};

use super::{protocol::SendMessage, turn::Turns};
use crate::{error::Error, model::RoomId, writer::Receipt};

/// The time that a connection has for its first join; sends wait until then.
pub const JOIN_WAIT: Duration = Duration::from_secs(5);

/// The most sends of one connection that wait for a join.
pub const MAX_EARLY_SENDS: usize = 256;

/// The most bytes of waiting sends, of all connections together.
pub const MAX_EARLY_BYTES: usize = 32 * 1024 * 1024;

/// About what a waiting send takes besides its text: its task, above all.
const OVERHEAD_BYTES: usize = 2 * 1024;

/// What is left of [`MAX_EARLY_BYTES`].
#[derive(Debug, Clone)]
pub struct EarlyBytes(Arc<Semaphore>);

impl Default for EarlyBytes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_EARLY_BYTES)))
    }
}

/// One connection's sends that wait for its first join.
pub struct EarlySends {
    until: Instant,
    bytes: EarlyBytes,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// A room has been joined, or the connection has ended: later sends do not wait.
    over: bool,
    /// In the order in which they came.
    sends: Vec<Early>,
    /// How many have come.
    count: u64,
}

/// A waiting send, and the way to its task. One that a join has taken out gets its outcome from the
/// join.
struct Early {
    number: u64,
    send: SendMessage,
    outcome: oneshot::Sender<Result<Receipt, Error>>,
    _bytes: OwnedSemaphorePermit,
}

/// The place of a waiting send; its outcome comes once the room is joined.
pub struct Place {
    number: u64,
    outcome: oneshot::Receiver<Result<Receipt, Error>>,
}

impl EarlySends {
    /// None yet; [`JOIN_WAIT`] begins.
    pub fn new(bytes: EarlyBytes) -> Self {
        Self {
            until: Instant::now() + JOIN_WAIT,
            bytes,
            waiting: Mutex::default(),
        }
    }

    /// Lets a send wait.
    ///
    /// # Errors
    /// [`Error::NotInRoomYet`] after the first join, after [`JOIN_WAIT`], or when too many wait.
    pub fn push(&self, send: SendMessage) -> Result<Place, Error> {
        let mut waiting = self.waiting();
        if waiting.over || waiting.sends.len() >= MAX_EARLY_SENDS || Instant::now() >= self.until {
            return Err(Error::NotInRoomYet);
        }
        let bytes = u32::try_from(send.message.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let bytes = self
            .bytes
            .0
            .clone()
            .try_acquire_many_owned(bytes)
            .map_err(|_| Error::NotInRoomYet)?;
        let (outcome, place) = oneshot::channel();
        let number = waiting.count;
        waiting.count += 1;
        waiting.sends.push(Early {
            number,
            send,
            outcome,
            _bytes: bytes,
        });
        Ok(Place {
            number,
            outcome: place,
        })
    }

    /// Queues the sends that wait for a room which has just been joined, in their order.
    pub fn joined(&self, room: &RoomId, queue: impl Fn(&SendMessage) -> Result<Receipt, Error>) {
        let ready = {
            let mut waiting = self.waiting();
            let sends = mem::take(&mut waiting.sends).into_iter();
            let (ready, others) = sends.partition::<Vec<_>, _>(|early| early.send.room_id == *room);
            waiting.sends = others;
            ready
        };
        for early in ready {
            early.outcome.send(queue(&early.send)).ok();
        }
    }

    /// Lets no further send wait: from now on, one without a join is a mistake.
    pub fn end(&self) {
        self.waiting().over = true;
    }

    /// The connection has ended: no send waits any more.
    pub fn clear(&self) {
        let mut waiting = self.waiting();
        waiting.over = true;
        waiting.sends = vec![];
    }

    /// Takes out a send that waits no longer; false when a join was faster.
    fn remove(&self, number: u64) -> bool {
        let sends = &mut self.waiting().sends;
        let index = sends.iter().position(|early| early.number == number);
        index.map(|index| sends.remove(index)).is_some()
    }

    /// Waits until the time for the first join is over, and the events that came meanwhile have had
    /// their turns.
    async fn expired(&self, turns: &Turns) {
        sleep_until(self.until).await;
        if let Ok(mut turn) = turns.draw(0) {
            turn.wait().await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits for the join, for at most [`JOIN_WAIT`], and longer for a join that is under way then.
    /// `stopped` ends when the server stops.
    ///
    /// # Errors
    /// [`Error::NotInRoomYet`] without a join in time, [`Error::Unavailable`] when the server
    /// stops; otherwise as the send.
    pub async fn outcome(
        mut self,
        early: &EarlySends,
        turns: &Turns,
        stopped: impl Future<Output = ()>,
    ) -> Result<Receipt, Error> {
        let error = tokio::select! {
            biased;
            outcome = &mut self.outcome => return outcome.unwrap_or(Err(Error::NotInRoomYet)),
            () = stopped => Error::Unavailable,
            () = early.expired(turns) => Error::NotInRoomYet,
        };
        if early.remove(self.number) {
            return Err(error);
        }
        self.outcome.await.unwrap_or(Err(error))
    }
}
