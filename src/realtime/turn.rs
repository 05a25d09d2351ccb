//! Keeps one socket's events in the order in which they came.
//!
//! The library spawns a task for every event, so that events of one socket overtake each other; but it takes a handler's
//! arguments out of the packet in wire order, before it spawns. So an argument can draw a ticket.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socketioxide::{
    adapter::LocalAdapter,
    handler::{FromMessageParts, Value},
    socket::Socket,
};
use tokio::sync::oneshot;

use super::Connection;
use crate::error::Error;

/// How many events of one socket may wait for their turn before further ones are refused.
pub const MAX_WAITING: usize = 4096;

/// When a client that was too fast may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The queue of one socket's events.
#[derive(Debug, Default)]
pub struct Turns {
    /// Ends when the last event in the queue gives on its turn.
    last: Mutex<Option<oneshot::Receiver<Infallible>>>,
    waiting: Arc<AtomicUsize>,
}

/// An event's place in the queue.
#[derive(Debug)]
pub struct Turn(Result<Ticket, Error>);

#[derive(Debug)]
struct Ticket {
    before: Option<oneshot::Receiver<Infallible>>,
    turn: OnTurn,
}

/// Holds up the socket's later events until it is dropped.
#[derive(Debug)]
pub struct OnTurn {
    _after: oneshot::Sender<Infallible>,
    waiting: Arc<AtomicUsize>,
}

impl Drop for OnTurn {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    fn draw(&self) -> Result<Ticket, Error> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::RateLimited { retry_after: RETRY_AFTER });
        }
        let (after, next) = oneshot::channel();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Ticket { before: last.replace(next), turn: OnTurn { _after: after, waiting: self.waiting.clone() } })
    }
}

impl Turn {
    /// Waits until the socket's earlier events have given on their turns.
    ///
    /// Errors: [`Error::RateLimited`] when too many were waiting already.
    pub async fn come(self) -> Result<OnTurn, Error> {
        let Ticket { before, turn } = self.0?;
        if let Some(before) = before {
            // Nothing is ever sent: the sender's end, by whatever way, is what counts.
            before.await.ok();
        }
        Ok(turn)
    }
}

impl FromMessageParts<LocalAdapter> for Turn {
    type Error = Infallible;

    fn from_message_parts(socket: &Arc<Socket>, _: &mut Value, _: &Option<i64>) -> Result<Self, Infallible> {
        Ok(Self(Connection::of(socket).turns.draw()))
    }
}
