//! Keeps one socket's events in the order in which they came.
//!
//! The library spawns a task for every event, so that events of one socket overtake each other; but
//! it takes a handler's arguments out of the packet in wire order, before it spawns. So an argument
//! can draw a ticket.

use std::{
    convert::Infallible,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socketioxide::{
    adapter::LocalAdapter,
    extract::Event,
    handler::{FromMessageParts, Value},
    socket::Socket,
};
use tokio::sync::oneshot;

use super::{Client, protocol, reply::Reply, session};
use crate::error::Error;

/// How many events of one socket may wait for their turn before further ones are refused.
pub const MAX_WAITING: usize = 4096;

/// How many bytes of payloads may wait with them, and one more payload.
pub const MAX_PAYLOADS_BYTES: usize = 1024 * 1024;

/// How many events a connection may bring at once after a pause.
pub const EVENT_BURST: NonZeroU32 =
    NonZeroU32::new(MAX_WAITING as u32).expect("some events may wait");

/// When a client may try again whose events wait for something slow.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The queue of one socket's events.
#[derive(Debug)]
pub struct Turns {
    /// Ends when the last event in the queue gives on its turn.
    last: Mutex<Option<oneshot::Receiver<Infallible>>>,
    waiting: Arc<Waiting>,
    /// The first turn, which is the connection's own.
    connecting: Mutex<Option<Ticket>>,
}

/// An event's place in the queue.
#[derive(Debug)]
pub struct Turn(Ticket);

/// An event that came too fast has been answered, and goes no further.
#[derive(Debug, thiserror::Error)]
#[error("refused")]
pub struct Refused;

#[derive(Debug)]
struct Ticket {
    before: Option<oneshot::Receiver<Infallible>>,
    turn: OnTurn,
}

/// Holds up the socket's later events until it is dropped.
#[derive(Debug)]
pub struct OnTurn {
    _after: oneshot::Sender<Infallible>,
    waiting: Arc<Waiting>,
    bytes: usize,
}

/// Events that have not given on their turns.
#[derive(Debug, Default)]
struct Waiting {
    events: AtomicUsize,
    bytes: AtomicUsize,
}

impl Drop for OnTurn {
    fn drop(&mut self) {
        self.waiting.leave(self.bytes);
    }
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
    /// A queue whose first turn is the connection's own.
    ///
    /// The library tells a client that it is connected, and takes its events, a moment before it
    /// lets anything be emitted to it: what was handled in between would be answered to nobody.
    pub fn while_connecting() -> Self {
        let turns = Self {
            last: Mutex::default(),
            waiting: Arc::default(),
            connecting: Mutex::default(),
        };
        *turns.connecting() = turns.draw(0).ok();
        turns
    }

    /// Lets events have their turns.
    pub fn connected(&self) {
        self.connecting().take();
    }

    fn connecting(&self) -> MutexGuard<'_, Option<Ticket>> {
        self.connecting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the queue, behind every event that has come so far.
    ///
    /// # Errors
    /// [`Error::RateLimited`] while [`MAX_WAITING`] events wait.
    pub fn queue(&self) -> Result<Turn, Error> {
        self.draw(0).map(Turn)
    }

    fn draw(&self, bytes: usize) -> Result<Ticket, Error> {
        if !self.waiting.enter(bytes) {
            return Err(Error::RateLimited {
                retry_after: RETRY_AFTER,
            });
        }
        let (after, next) = oneshot::channel();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Ticket {
            before: last.replace(next),
            turn: OnTurn {
                _after: after,
                waiting: self.waiting.clone(),
                bytes,
            },
        })
    }
}

impl Turn {
    /// Waits until the socket's earlier events have given on their turns.
    pub async fn come(self) -> OnTurn {
        let Ticket { before, turn } = self.0;
        if let Some(before) = before {
            // Nothing is ever sent: the sender's end, by whatever way, is what counts.
            before.await.ok();
        }
        turn
    }
}

impl FromMessageParts<LocalAdapter> for Turn {
    type Error = Refused;

    /// An event without a place is answered here: the library makes a task only of those that have
    /// all their arguments, and one payload can bring a hundred thousand.
    fn from_message_parts(
        socket: &Arc<Socket>,
        packet: &mut Value,
        ack_id: &Option<i64>,
    ) -> Result<Self, Refused> {
        let client = Client::of(socket);
        let bytes = packet.as_str().map_or(0, |text| text.len());
        let counted = session(socket).map_or(Ok(()), |session| session.count_event(bytes));
        let drawn = counted.and_then(|()| client.turns.draw(bytes));
        drawn.map(Self).map_err(|error| {
            let event = Event::from_message_parts(socket, packet, ack_id).map(|Event(name)| name);
            let Ok(reply) = Reply::from_message_parts(socket, packet, ack_id);
            reply.error(&protocol::echoed(&event.unwrap_or_default()), &error);
            Refused
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(turns: &Turns) -> Turn {
        Turn(turns.draw(10).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn no_event_has_its_turn_before_the_socket_is_connected() {
        let turns = Turns::while_connecting();
        let mut first = tokio::spawn(turn(&turns).come());
        let waiting = tokio::time::timeout(Duration::from_secs(3600), &mut first);
        assert!(waiting.await.is_err());
        turns.connected();
        first.await.unwrap();
    }

    #[tokio::test]
    async fn turns_come_in_the_order_of_the_tickets_whoever_asks_first() {
        let turns = Turns::while_connecting();
        turns.connected();
        let order = Arc::new(Mutex::new(Vec::new()));
        let tickets: Vec<_> = (0..100).map(|number| (number, turn(&turns))).collect();
        let events = tickets.into_iter().rev().map(|(number, turn)| {
            let order = order.clone();
            tokio::spawn(async move {
                let _turn = turn.come().await;
                tokio::task::yield_now().await;
                order.lock().unwrap().push(number);
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
        turns.connected();
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| turn(&turns)).collect();
        assert_eq!(turns.draw(10).unwrap_err().code(), "RATE_LIMITED");
        drop(waiting.remove(0).come().await);
        waiting.push(turn(&turns));
        for turn in waiting {
            turn.come().await;
        }
    }
    #[tokio::test]
    async fn events_whose_payloads_are_too_much_together_are_refused_until_some_have_gone() {
        let turns = Turns::while_connecting();
        turns.connected();
        let large = Turn(turns.draw(MAX_PAYLOADS_BYTES + 1).unwrap());
        for _ in 0..2 {
            assert_eq!(turns.draw(1).unwrap_err().code(), "RATE_LIMITED");
        }
        drop(large.come().await);
        let all: Vec<_> = (0..MAX_WAITING).map(|_| turn(&turns)).collect();
        assert_eq!(turns.draw(1).unwrap_err().code(), "RATE_LIMITED");
        drop(all);
        turn(&turns).come().await;
    }
}
