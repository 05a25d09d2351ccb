//! Early sends: they come before their client's first join, and wait for it.
//!
//! A reconnected client emits its buffered events at once, before the app's `connect` handler can
//! join: <https://socket.io/docs/v4/client-offline-behavior/#buffered-events>. An early send ends
//! its turn, so the join behind it is handled; the join then queues it, before any later send.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, sleep_until},
};

use super::turn::Turns;
use crate::{chat::Sent, contract::SendMessage, error::Error, model::RoomId};

/// The time for a client's first join; early sends wait until then.
pub const JOIN_WAIT: Duration = Duration::from_secs(5);

/// The most early sends of one client.
pub const MAX_EARLY_SENDS: usize = 256;

/// The most bytes of early sends, of all clients together.
pub const MAX_EARLY_BYTES: usize = 32 * 1024 * 1024;

/// The approximate memory of an early send besides its text, above all its task.
const OVERHEAD_BYTES: usize = 2 * 1024;

/// The rest of [`MAX_EARLY_BYTES`], shared by all clients.
#[derive(Debug, Clone)]
pub struct EarlyBytes(Arc<Semaphore>);

impl Default for EarlyBytes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_EARLY_BYTES)))
    }
}

/// The early sends of one client.
pub struct EarlySends {
    until: Instant,
    bytes: EarlyBytes,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Set by the first join and by the end of the client: later sends do not wait.
    over: bool,
    /// In order of arrival.
    sends: Vec<Early>,
    /// The number of early sends so far.
    count: u64,
}

/// An early send, and the way to its task. A join that takes it out gives it its outcome.
struct Early {
    number: u64,
    send: SendMessage,
    outcome: oneshot::Sender<Result<Sent, Error>>,
    _bytes: OwnedSemaphorePermit,
}

/// The place of an early send; its outcome comes once the room is joined.
pub struct Place {
    number: u64,
    outcome: oneshot::Receiver<Result<Sent, Error>>,
}

impl EarlySends {
    /// Starts [`JOIN_WAIT`], without early sends.
    pub fn new(bytes: EarlyBytes) -> Self {
        Self {
            until: Instant::now() + JOIN_WAIT,
            bytes,
            waiting: Mutex::default(),
        }
    }

    /// Keeps an early send.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoomYet`] after the first join, after [`JOIN_WAIT`], or when too many wait.
    pub fn push(&self, send: SendMessage) -> Result<Place, Error> {
        let mut waiting = self.waiting();
        if waiting.over || waiting.sends.len() >= MAX_EARLY_SENDS || Instant::now() >= self.until {
            return Err(Error::NotInRoomYet);
        }
        let bytes = u32::try_from(send.size() + OVERHEAD_BYTES).unwrap_or(u32::MAX);
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

    /// Queues the sends for a joined room, in order of arrival.
    pub fn joined(&self, room: &RoomId, queue: impl Fn(&SendMessage) -> Result<Sent, Error>) {
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

    /// Stops keeping early sends: from now on, a send without a join is a mistake.
    pub fn end(&self) {
        self.waiting().over = true;
    }

    /// Drops all early sends of a client at its end.
    pub fn clear(&self) {
        let mut waiting = self.waiting();
        waiting.over = true;
        waiting.sends = vec![];
    }

    /// Takes out an early send; returns false when a join was faster.
    fn remove(&self, number: u64) -> bool {
        let sends = &mut self.waiting().sends;
        let index = sends.iter().position(|early| early.number == number);
        index.map(|index| sends.remove(index)).is_some()
    }

    /// Waits for the end of [`JOIN_WAIT`], and until the events of that time have had their turns.
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
    /// Waits for the join: for the rest of [`JOIN_WAIT`], and longer if a join is under way then.
    /// `stopped` ends when the server stops.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoomYet`] without a join in time, [`Error::Unavailable`] when the server
    /// stops; otherwise as [`Chat::send`](crate::chat::Chat::send).
    pub async fn outcome(
        mut self,
        early: &EarlySends,
        turns: &Turns,
        stopped: impl Future<Output = ()>,
    ) -> Result<Sent, Error> {
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
