//! The registry of an endpoint's polling sessions: requests find their session by its id.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{extract::Request, http::uri::PathAndQuery};

use super::{
    library::Library,
    polling_state::{Endpoint, PollingState},
    query::Version,
    session::{Session, WeakSession},
};

/// The open sessions of an endpoint that began by polling.
#[derive(Debug, Clone)]
pub(super) struct Sessions(Arc<Shared>);

struct Shared {
    library: Arc<dyn Library>,
    by_id: Mutex<HashMap<String, WeakSession>>,
}

impl Sessions {
    pub(super) fn new(library: Arc<dyn Library>) -> Self {
        Self(Arc::new(Shared {
            library,
            by_id: Mutex::default(),
        }))
    }

    /// Returns the open session with this id, if it began by polling.
    pub(super) fn find(&self, id: &str) -> Option<Session> {
        self.0.by_id().get(id)?.upgrade()
    }

    /// Registers a new polling session under its id from the library.
    pub(super) fn register(
        &self,
        session: &Session,
        id: &str,
        target: PathAndQuery,
        version: Version,
    ) {
        session.start_polling(PollingState::new(id, target, version, self.0.clone()));
        self.0.by_id().insert(id.to_owned(), session.downgrade());
    }
}

impl Shared {
    fn by_id(&self) -> MutexGuard<'_, HashMap<String, WeakSession>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint for Shared {
    fn close(&self, request: Request) {
        tokio::spawn(self.library.request(request));
    }

    fn forget(&self, id: &str) {
        let mut by_id = self.by_id();
        by_id.remove(id);
        // After a storm of sessions the map gives back its memory.
        if by_id.len() < by_id.capacity() / 8 {
            let len = by_id.len();
            by_id.shrink_to(2 * len);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("known", &self.by_id().len())
            .finish()
    }
}
