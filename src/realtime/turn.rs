//! Turns: they keep one socket's events in wire order.
//!
//! The library spawns a task for every event, so events of one socket overtake each other. But it
//! calls the extractors in wire order, before it spawns: an extractor can draw a turn.

use std::{
    convert::Infallible,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use crate::error::Error;

/// The most events of one socket with a turn; further ones are refused.
pub const MAX_WAITING: usize = 4096;

/// The most bytes of payloads with a turn, not counting the last one.
pub const MAX_PAYLOADS_BYTES: usize = 1024 * 1024;

/// The events of a session's burst.
pub const EVENT_BURST: NonZeroU32 =
    NonZeroU32::new(MAX_WAITING as u32).expect("some events may wait");

/// The pause before a client with too many waiting events may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The queue of one socket's events.
#[derive(Debug)]
pub struct Turns {
    /// Ends with the turn of the last event in the queue.
    last: Mutex<Option<oneshot::Receiver<Infallible>>>,
    waiting: Arc<Waiting>,
    /// The first turn, which is the connect handler's.
    connecting: Mutex<Option<Turn>>,
}

/// An event's place in the queue. The socket's later events wait until it is dropped.
#[derive(Debug)]
pub struct Turn {
    before: Option<oneshot::Receiver<Infallible>>,
    _after: oneshot::Sender<Infallible>,
    waiting: Arc<Waiting>,
    bytes: usize,
}

/// The events with a turn.
#[derive(Debug, Default)]
struct Waiting {
    events: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    fn enter(&self, bytes: usize) -> bool {
        let events = self.events.fetch_add(1, Ordering::Relaxed);
        let fits = events < MAX_WAITING
            && self.bytes.fetch_add(bytes, Ordering::Relaxed) <= MAX_PAYLOADS_BYTES;
        if !fits {
            self.leave(if events < MAX_WAITING { bytes } else { 0 });
        }
        fits
    }

    fn leave(&self, bytes: usize) {
        self.events.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Turns {
    /// A queue whose first turn is the connect handler's.
    ///
    /// The library confirms a connection and takes the client's events a moment before it can emit
    /// to the client: an event handled in between would get no answer.
    pub fn while_connecting() -> Self {
        let turns = Self {
            last: Mutex::default(),
            waiting: Arc::default(),
            connecting: Mutex::default(),
        };
        *turns.connecting() = turns.draw(0).ok();
        turns
    }

    /// Ends the connect handler's turn.
    pub fn end_connecting(&self) {
        self.connecting().take();
    }

    fn connecting(&self) -> MutexGuard<'_, Option<Turn>> {
        self.connecting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws a turn, behind all turns drawn so far.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] while [`MAX_WAITING`] events wait, or more bytes of payloads than
    /// [`MAX_PAYLOADS_BYTES`].
    pub fn draw(&self, bytes: usize) -> Result<Turn, Error> {
        if !self.waiting.enter(bytes) {
            return Err(Error::RateLimited {
                retry_after: RETRY_AFTER,
            });
        }
        let (after, next) = oneshot::channel();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Turn {
            before: last.replace(next),
            _after: after,
            waiting: self.waiting.clone(),
            bytes,
        })
    }
}

impl Turn {
    /// Waits until the turns of the socket's earlier events have ended.
    pub async fn wait(&mut self) {
        if let Some(before) = &mut self.before {
            // Nothing is ever sent: the earlier turn ends by dropping its sender.
            before.await.ok();
            self.before = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.waiting.leave(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(turns: &Turns) -> Turn {
        turns.draw(10).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn no_event_has_its_turn_before_the_connect_handler_has_run() {
        let turns = Turns::while_connecting();
        let mut first = turn(&turns);
        let waiting = tokio::time::timeout(Duration::from_secs(3600), first.wait());
        assert!(waiting.await.is_err());
        turns.end_connecting();
        first.wait().await;
    }

    #[tokio::test]
    async fn turns_come_in_the_order_in_which_they_were_drawn() {
        let turns = Turns::while_connecting();
        turns.end_connecting();
        let order = Arc::new(Mutex::new(Vec::new()));
        let drawn: Vec<_> = (0..100).map(|number| (number, turn(&turns))).collect();
        let events = drawn.into_iter().rev().map(|(number, mut turn)| {
            let order = order.clone();
            tokio::spawn(async move {
                turn.wait().await;
                tokio::task::yield_now().await;
                order.lock().unwrap().push(number);
                drop(turn);
            })
        });
        for event in events.collect::<Vec<_>>() {
            event.await.unwrap();
        }
        assert!(order.lock().unwrap().iter().copied().eq(0..100));
    }

    #[tokio::test]
    async fn too_many_waiting_events_are_refused_until_some_have_gone() {
        let turns = Turns::while_connecting();
        turns.end_connecting();
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| turn(&turns)).collect();
        assert_eq!(turns.draw(10).unwrap_err().code(), "RATE_LIMITED");
        waiting.remove(0).wait().await;
        waiting.push(turn(&turns));
        for mut turn in waiting {
            turn.wait().await;
        }
    }

    #[tokio::test]
    async fn too_many_bytes_of_payloads_are_refused_until_some_have_gone() {
        let turns = Turns::while_connecting();
        turns.end_connecting();
        let mut large = turns.draw(MAX_PAYLOADS_BYTES + 1).unwrap();
        for _ in 0..2 {
            assert_eq!(turns.draw(1).unwrap_err().code(), "RATE_LIMITED");
        }
        large.wait().await;
        drop(large);
        let all: Vec<_> = (0..MAX_WAITING).map(|_| turn(&turns)).collect();
        assert_eq!(turns.draw(1).unwrap_err().code(), "RATE_LIMITED");
        drop(all);
        turn(&turns).wait().await;
    }
}
