//! What carries a session: one connection, several one after the other, or many requests.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::task::AbortOnDropHandle;

use crate::net::{ConnectionHandle, SessionPlace};

/// The sessions of an endpoint that began by requests, by their ids.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    idle_timeout: Duration,
    by_id: Mutex<HashMap<String, Weak<Carrier>>>,
}

impl Sessions {
    /// None yet; one that nobody takes part by is cut after `idle_timeout`.
    pub fn new(idle_timeout: Duration) -> Self {
        Self(Arc::new(Shared { idle_timeout, by_id: Mutex::default() }))
    }

    /// The session with this id, if it began by requests and goes on.
    pub fn find(&self, id: &str) -> Option<Transport> {
        self.by_id().get(id)?.upgrade().map(Transport)
    }

    fn by_id(&self) -> MutexGuard<'_, HashMap<String, Weak<Carrier>>> {
        self.0.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a session goes on.
#[derive(Debug, Clone)]
pub enum Way {
    /// By a WebSocket, on a connection of its own.
    WebSocket(ConnectionHandle),
    /// By requests, on connections that others may use, too, as they may be a proxy's.
    Polling,
    /// Not at all: its requests are refused.
    Nowhere,
}

/// What carries one session, as long as that lives.
#[derive(Debug, Clone)]
pub struct Transport(Arc<Carrier>);

#[derive(Debug)]
struct Carrier {
    sessions: Sessions,
    way: Mutex<Way>,
    polls: OnceLock<Box<Polls>>,
    /// Cuts the session, unless it is dropped before.
    timer: Mutex<Option<AbortOnDropHandle<()>>>,
    _place: SessionPlace,
}

/// Of a session that began by requests.
#[derive(Debug)]
struct Polls {
    id: String,
    /// How many bytes polls were answered with.
    bytes: AtomicU64,
}

impl Transport {
    /// For a session that begins, and takes a place.
    pub fn new(way: Way, sessions: Sessions, place: SessionPlace) -> Self {
        let (way, polls) = (Mutex::new(way), OnceLock::new());
        Self(Arc::new(Carrier { sessions, way, polls, timer: Mutex::default(), _place: place }))
    }

    /// The session has got its id, by which its requests are known.
    pub fn is_named(&self, id: &str) {
        let polls = self.0.polls.get_or_init(|| Box::new(Polls { id: id.to_owned(), bytes: AtomicU64::new(0) }));
        self.0.sessions.by_id().insert(polls.id.clone(), Arc::downgrade(&self.0));
    }

    /// The session goes on by a WebSocket.
    pub fn moves_to(&self, connection: ConnectionHandle) {
        *self.0.way() = Way::WebSocket(connection);
    }

    /// A poll is answered with so many bytes.
    pub fn polls(&self, bytes: u64) {
        if let Some(polls) = self.0.polls.get() {
            polls.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// How many bytes the client has taken so far, as far as the operating system tells.
    pub fn taken(&self) -> u64 {
        let polled = self.0.polls.get().map_or(0, |polls| polls.bytes.load(Ordering::Relaxed));
        match &*self.0.way() {
            Way::WebSocket(connection) => polled + connection.written(),
            Way::Polling | Way::Nowhere => polled,
        }
    }

    /// Ends the session, so that its client comes back by another one: closes its connection, or refuses its requests.
    pub fn cut(&self) {
        self.0.cut();
    }

    /// Whether the session's requests are refused.
    pub fn is_cut(&self) -> bool {
        matches!(*self.0.way(), Way::Nowhere)
    }

    /// Reads nothing more from the session's own connection for so long; what the client sends waits with the client. Without
    /// effect, and false, where the session has none.
    pub fn rest(&self, time: Duration) -> bool {
        let way = self.0.way();
        if let Way::WebSocket(connection) = &*way {
            connection.rest(time);
        }
        matches!(*way, Way::WebSocket(_))
    }

    /// Nobody takes part by the session: it is cut after a time, unless somebody does by then.
    pub fn idle(&self) {
        let mut timer = self.0.timer();
        if timer.is_none() {
            *timer = Some(AbortOnDropHandle::new(tokio::spawn(self.cut_later())));
        }
    }

    fn cut_later(&self) -> impl Future<Output = ()> + use<> {
        let carrier = Arc::downgrade(&self.0);
        let idle_timeout = self.0.sessions.0.idle_timeout;
        async move {
            tokio::time::sleep(idle_timeout).await;
            if let Some(carrier) = carrier.upgrade() {
                carrier.cut();
            }
        }
    }

    /// Somebody takes part by the session.
    pub fn in_use(&self) {
        self.0.timer().take();
    }
}

impl Carrier {
    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timer(&self) -> MutexGuard<'_, Option<AbortOnDropHandle<()>>> {
        self.timer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self) {
        let mut way = self.way();
        match &*way {
            Way::WebSocket(connection) => connection.close(),
            Way::Polling | Way::Nowhere => *way = Way::Nowhere,
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if let Some(polls) = self.polls.get() {
            let mut by_id = self.sessions.by_id();
            by_id.remove(&polls.id);
            // After a storm of sessions its room is given back.
            if by_id.len() < by_id.capacity() / 8 {
                let len = by_id.len();
                by_id.shrink_to(2 * len);
            }
        }
    }
}
