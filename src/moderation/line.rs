//! Lines: the messages of one sender that wait for their verdicts, in order.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::error::Error;

/// The most questions about one sender's messages in flight.
pub const MAX_ASKED: usize = 8;
/// The most bytes of one sender's waiting messages; a larger message waits alone.
pub const LINE_BYTES: usize = 1024 * 1024;
/// The approximate memory of a waiting message besides its text.
const OVERHEAD_BYTES: usize = 2 * 1024;

/// The pause before a sender with too many waiting messages may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Returns the bytes that a message counts for while it waits.
pub(super) fn cost(bytes: usize) -> u32 {
    let cost = (bytes + OVERHEAD_BYTES).min(LINE_BYTES);
    u32::try_from(cost).unwrap_or(u32::MAX)
}

/// The order of one sender's messages. Most senders are idle, so the first message makes the rest.
#[derive(Default)]
pub struct Line(OnceLock<Arc<Bounds>>);

struct Bounds {
    /// The one permit of the message whose turn it is. Others get it in the order of their requests.
    turn: Arc<Semaphore>,
    asking: Semaphore,
    bytes: Arc<Semaphore>,
}

impl Bounds {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            turn: Arc::new(Semaphore::new(1)),
            asking: Semaphore::new(MAX_ASKED),
            bytes: Arc::new(Semaphore::new(LINE_BYTES)),
        })
    }
}

/// A queued request for the turn.
type Waiting =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + Sync>>;

/// A message's place in a line. Later messages have no turn until it is dropped.
pub struct Place {
    bounds: Arc<Bounds>,
    turn: Turn,
    _bytes: OwnedSemaphorePermit,
    /// Its part of the messages of the node that wait.
    _waiting: OwnedSemaphorePermit,
}

/// The turn of a place.
enum Turn {
    Ready { _permit: OwnedSemaphorePermit },
    Waiting(Waiting),
}

impl Line {
    /// Returns true while no message waits.
    pub fn is_empty(&self) -> bool {
        let bounds = self.0.get();
        bounds.is_none_or(|bounds| bounds.turn.available_permits() > 0)
    }

    /// Takes the place behind all places so far, for a message of so many bytes that has its part of the
    /// node's.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] while the messages that wait have more bytes than [`LINE_BYTES`].
    pub(super) fn enter(
        &self,
        bytes: usize,
        waiting: OwnedSemaphorePermit,
    ) -> Result<Place, Error> {
        let bounds = self.0.get_or_init(Bounds::new).clone();
        let bytes = bounds.bytes.clone().try_acquire_many_owned(cost(bytes));
        let bytes = bytes.map_err(|_| Error::RateLimited {
            retry_after: RETRY_AFTER,
        })?;
        let mut queued: Waiting = Box::pin(bounds.turn.clone().acquire_owned());
        // The first poll queues the request.
        let turn = match (&mut queued).now_or_never() {
            Some(Ok(permit)) => Turn::Ready { _permit: permit },
            _ => Turn::Waiting(queued),
        };
        Ok(Place {
            bounds,
            turn,
            _bytes: bytes,
            _waiting: waiting,
        })
    }
}

impl Place {
    /// Waits until fewer than [`MAX_ASKED`] questions about the line's messages are in flight.
    pub(super) async fn asking(&self) -> Option<SemaphorePermit<'_>> {
        self.bounds.asking.acquire().await.ok()
    }

    /// Waits until the places before have ended.
    pub async fn turn(&mut self) {
        if let Turn::Waiting(waiting) = &mut self.turn
            && let Ok(permit) = waiting.await
        {
            self.turn = Turn::Ready { _permit: permit };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(line: &Line, bytes: usize) -> Result<Place, Error> {
        let node = Arc::new(Semaphore::new(1));
        line.enter(bytes, node.try_acquire_owned().unwrap())
    }

    #[tokio::test]
    async fn turns_come_in_order_though_a_place_between_them_is_given_up() {
        let line = Line::default();
        assert!(line.is_empty());
        let [first, second, mut third] = [1, 2, 3].map(|bytes| enter(&line, bytes).unwrap());
        assert!(!line.is_empty());
        drop(second);
        assert!(third.turn().now_or_never().is_none());
        drop(first);
        third.turn().now_or_never().unwrap();
        drop(third);
        assert!(line.is_empty());
    }

    #[test]
    fn too_many_bytes_are_refused_until_some_have_gone() {
        let line = Line::default();
        let large = enter(&line, LINE_BYTES * 2).unwrap();
        let code = || enter(&line, 1).map(drop).map_err(|error| error.code());
        assert_eq!(code(), Err("RATE_LIMITED"));
        drop(large);
        let small = (0..LINE_BYTES / OVERHEAD_BYTES).map(|_| enter(&line, 0).unwrap());
        let small = Vec::from_iter(small);
        assert_eq!(code(), Err("RATE_LIMITED"));
        drop(small);
        assert_eq!(code(), Ok(()));
    }
}
