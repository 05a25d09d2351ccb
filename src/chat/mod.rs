//! What one can do: join, leave, send, read the history, type. Knows no sockets and no HTTP.

mod history;
mod join;
mod participant;
mod send;
mod signal;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio_util::sync::CancellationToken;

pub use self::{
    history::{MAX_HISTORY, Range, Reading},
    participant::{Participant, READS_AT_ONCE},
};
use crate::{
    auth::Identity,
    error::Error,
    model::UserId,
    rates::{Limiter, Rate},
    room::Rooms,
    store::MessageStore,
    writer::Writer,
};

/// What a deployment may set.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes of UTF-8 in a message.
    pub max_message_bytes: usize,
    /// How many messages an answer carries when the client does not say; at most [`MAX_HISTORY`].
    pub history_limit: usize,
    /// The most rooms that one connection may be in: each costs memory, whether anybody speaks in
    /// it or not.
    pub max_rooms: usize,
    /// How often a user may send; and likewise, counted apart, say that it is typing, which as many
    /// others are told.
    pub messages: Rate,
    /// How often a user may ask for what the server has to look up: joins, history reads, new
    /// tokens.
    pub requests: Rate,
}

/// The use cases, for all connections of this node.
pub struct Chat {
    rooms: Rooms,
    writer: Writer,
    store: Arc<dyn MessageStore>,
    limits: Limits,
    messages: Limiter<UserId>,
    typing: Limiter<UserId>,
    requests: Limiter<UserId>,
    clients: AtomicU64,
    stopping: CancellationToken,
}

impl Chat {
    /// Puts the use cases together.
    pub fn new(rooms: Rooms, writer: Writer, store: Arc<dyn MessageStore>, limits: Limits) -> Self {
        Self {
            rooms,
            writer,
            store,
            limits,
            messages: Limiter::new(limits.messages),
            typing: Limiter::new(limits.messages),
            requests: Limiter::new(limits.requests),
            clients: AtomicU64::new(1),
            stopping: CancellationToken::new(),
        }
    }

    /// Begins a connection's part in the chat.
    pub fn connect(&self, identity: Option<Identity>) -> Participant {
        Participant::new(self.clients.fetch_add(1, Ordering::Relaxed), identity)
    }

    /// From now on every request is answered with [`Error::Unavailable`]; those under way go on.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits until [`Chat::stop`].
    pub async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Returns the most rooms that a client may be in.
    pub fn max_rooms(&self) -> usize {
        self.limits.max_rooms
    }

    /// Charges the user's request limit for a request that is handled elsewhere.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`].
    pub fn charge_request(&self, participant: &Participant) -> Result<(), Error> {
        participant
            .identity()
            .map_or(Ok(()), |identity| self.requests.check(identity.user_id()))
    }

    fn check_running(&self) -> Result<(), Error> {
        if self.stopping.is_cancelled() {
            return Err(Error::Unavailable);
        }
        Ok(())
    }
}
