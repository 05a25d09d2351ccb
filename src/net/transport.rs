//! What carries a session: one connection, several one after the other, or many requests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio_util::task::AbortOnDropHandle;

use super::{ConnectionHandle, Place};

/// How many entries [`Sessions`] has at least before it is swept.
const MIN_SWEPT: usize = 64;

/// Where the sessions of an endpoint are that do not live and die with the connection that they began by.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    idle_timeout: Duration,
    moves: Mutex<Moves>,
}

#[derive(Debug, Default)]
struct Moves {
    by_id: HashMap<String, Move>,
    sweep_at: usize,
}

#[derive(Debug)]
enum Move {
    /// The session goes on by this connection.
    To(ConnectionHandle),
    /// The session goes on by no connection at all.
    Nowhere,
}

impl Sessions {
    /// None yet; one that nobody takes part by is cut after `idle_timeout`.
    pub fn new(idle_timeout: Duration) -> Self {
        Self(Arc::new(Shared { idle_timeout, moves: Mutex::default() }))
    }

    /// Notes that a session goes on by a connection.
    pub fn moved(&self, id: String, connection: ConnectionHandle) {
        let mut moves = self.moves();
        if moves.by_id.len() >= moves.sweep_at {
            moves.by_id.retain(|_, moved| !matches!(moved, Move::To(connection) if !connection.is_open()));
            moves.sweep_at = MIN_SWEPT.max(2 * moves.by_id.len());
        }
        moves.by_id.insert(id, Move::To(connection));
    }

    /// Whether requests of a session are to be refused.
    pub fn is_refused(&self, id: &str) -> bool {
        matches!(self.moves().by_id.get(id), Some(Move::Nowhere))
    }

    fn moves(&self) -> MutexGuard<'_, Moves> {
        self.0.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a session begins.
#[derive(Debug, Clone)]
pub enum Beginning {
    /// By a WebSocket, on a connection of its own.
    WebSocket(ConnectionHandle),
    /// By requests, on connections that others may use, too, as they may be a proxy's.
    Polling,
}

/// What carries one session, as long as that lives.
#[derive(Debug, Clone)]
pub struct Transport(Arc<Carrier>);

#[derive(Debug)]
struct Carrier {
    beginning: Beginning,
    sessions: Sessions,
    /// Of a session whose requests are refused.
    refused: OnceLock<String>,
    /// Cuts the session, unless it is dropped before.
    timer: Mutex<Option<AbortOnDropHandle<()>>>,
    _place: Place,
}

impl Transport {
    /// For a session that begins, and takes a place.
    pub fn new(beginning: Beginning, sessions: Sessions, place: Place) -> Self {
        let carrier = Carrier { beginning, sessions, refused: OnceLock::new(), timer: Mutex::default(), _place: place };
        Self(Arc::new(carrier))
    }

    /// Ends the session, so that its client comes back by another one: closes its connection, or refuses its requests.
    pub fn cut(&self, id: &str) {
        self.0.cut(id);
    }

    /// Reads nothing more from the session's own connection for so long; what the client sends waits with the client. Without
    /// effect, and false, where the session has none: it goes by requests, on connections that others may use, too.
    pub fn rest(&self, id: &str, time: Duration) -> bool {
        match (self.0.sessions.moves().by_id.get(id), &self.0.beginning) {
            (Some(Move::To(connection)), _) | (None, Beginning::WebSocket(connection)) => connection.rest(time),
            _ => return false,
        }
        true
    }

    /// Nobody takes part by the session: it is cut after a time, unless somebody does by then.
    pub fn idle(&self, id: &str) {
        let mut timer = self.0.timer();
        if timer.is_none() {
            *timer = Some(AbortOnDropHandle::new(tokio::spawn(self.cut_later(id.to_owned()))));
        }
    }

    fn cut_later(&self, id: String) -> impl Future<Output = ()> + use<> {
        let carrier = Arc::downgrade(&self.0);
        let idle_timeout = self.0.sessions.0.idle_timeout;
        async move {
            tokio::time::sleep(idle_timeout).await;
            if let Some(carrier) = carrier.upgrade() {
                carrier.cut(&id);
            }
        }
    }

    /// Somebody takes part by the session.
    pub fn in_use(&self) {
        self.0.timer().take();
    }
}

impl Carrier {
    fn timer(&self) -> MutexGuard<'_, Option<AbortOnDropHandle<()>>> {
        self.timer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self, id: &str) {
        let mut moves = self.sessions.moves();
        match (moves.by_id.get(id), &self.beginning) {
            (Some(Move::To(connection)), _) | (None, Beginning::WebSocket(connection)) => connection.close(),
            (Some(Move::Nowhere), _) => {}
            (None, Beginning::Polling) => {
                moves.by_id.insert(self.refused.get_or_init(|| id.to_owned()).clone(), Move::Nowhere);
            }
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if let Some(id) = self.refused.get() {
            self.sessions.moves().by_id.remove(id);
        }
    }
}
