//! The sessions of an endpoint that began by polling, found again by their ids.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{
    Settings,
    library::Library,
    polling::Polling,
    session::{Inner, Session},
};

/// The most polling sessions whose clients have not entered the chat; with more the oldest is cut. Each takes some 20 kB, and a client
/// enters within a round trip.
pub const MAX_ENTERING_SESSIONS: usize = 4096;

/// The sessions of an endpoint.
#[derive(Clone)]
pub(super) struct Sessions(Arc<Shared>);

struct Shared {
    settings: Settings,
    library: Arc<dyn Library>,
    by_id: Mutex<HashMap<String, Weak<Inner>>>,
    /// Those that were under way into the chat, the oldest first; some may have entered it since. Another lock than that of the ids,
    /// which a session takes as it is dropped.
    entering: Mutex<VecDeque<Weak<Inner>>>,
}

impl Sessions {
    pub(super) fn new(settings: Settings, library: Arc<dyn Library>) -> Self {
        Self(Arc::new(Shared { settings, library, by_id: Mutex::default(), entering: Mutex::default() }))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the session with this id, if it began by polling and goes on.
    pub(super) fn find(&self, id: &str) -> Option<Session> {
        self.by_id().get(id)?.upgrade().map(Session::from)
    }

    /// Registers a session that begins by polling; the oldest that has not entered the chat makes way for it, if need be.
    pub(super) fn insert(&self, id: &str, session: &Session) {
        self.by_id().insert(id.to_owned(), Arc::downgrade(session.inner()));
        if let Some(oldest) = self.make_way_for(session) {
            oldest.cut();
        }
    }

    fn make_way_for(&self, session: &Session) -> Option<Arc<Inner>> {
        let mut entering = self.0.entering.lock().unwrap_or_else(PoisonError::into_inner);
        let is_under_way = |session: &Weak<Inner>| session.upgrade().is_some_and(|session| session.is_outside());
        while entering.front().is_some_and(|oldest| !is_under_way(oldest)) {
            entering.pop_front();
        }
        entering.push_back(Arc::downgrade(session.inner()));
        if entering.len() > MAX_ENTERING_SESSIONS { entering.pop_front()?.upgrade() } else { None }
    }

    /// Forgets a session that has ended.
    pub(super) fn forget(&self, id: &str) {
        let mut by_id = self.by_id();
        by_id.remove(id);
        // After a storm of sessions its room is given back.
        if by_id.len() < by_id.capacity() / 8 {
            let len = by_id.len();
            by_id.shrink_to(2 * len);
        }
    }

    /// Ends a session in the library.
    pub(super) fn end(&self, polling: &Polling) {
        tokio::spawn(self.0.library.request(polling.closing_request()));
    }

    fn by_id(&self) -> MutexGuard<'_, HashMap<String, Weak<Inner>>> {
        self.0.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("known", &self.by_id().len()).finish()
    }
}
