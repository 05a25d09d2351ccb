//! Sessions, which may go from one connection to another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::ConnectionHandle;

/// How many entries [`Sessions`] has at least before it is swept.
const MIN_SWEPT: usize = 64;

/// Sessions that do not live and die with the connection that they began by, by their ids.
#[derive(Debug, Clone, Default)]
pub struct Sessions(Arc<Mutex<Moves>>);

#[derive(Debug, Default)]
struct Moves {
    moves: HashMap<String, Move>,
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
    /// Notes that a session goes on by a connection.
    pub fn moved(&self, id: String, connection: ConnectionHandle) {
        let mut state = self.state();
        if state.moves.len() >= state.sweep_at {
            state.moves.retain(|_, moved| !matches!(moved, Move::To(connection) if !connection.is_open()));
            state.sweep_at = MIN_SWEPT.max(2 * state.moves.len());
        }
        state.moves.insert(id, Move::To(connection));
    }

    /// Whether requests of a session are to be refused.
    pub fn is_refused(&self, id: &str) -> bool {
        matches!(self.state().moves.get(id), Some(Move::Nowhere))
    }

    fn state(&self) -> MutexGuard<'_, Moves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What carries one session, be it one connection or many requests.
#[derive(Debug, Clone)]
pub struct Transport {
    /// The connection that the session began by.
    pub connection: ConnectionHandle,
    /// Where it may have gone from there.
    pub sessions: Sessions,
}

impl Transport {
    /// Closes the connection that the session is on.
    pub fn close(&self, id: &str) {
        match self.sessions.state().moves.get(id) {
            Some(Move::To(connection)) => connection.close(),
            Some(Move::Nowhere) => {}
            None => self.connection.close(),
        }
    }

    /// Refuses the session's requests from now on, until it is forgotten.
    pub fn refuse(&self, id: &str) {
        self.sessions.state().moves.insert(id.to_owned(), Move::Nowhere);
    }

    /// Forgets a session that has ended.
    pub fn forget(&self, id: &str) {
        self.sessions.state().moves.remove(id);
    }
}
