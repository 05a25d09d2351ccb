//! The sessions of an endpoint that began by polling, found again by their ids.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Settings,
    library::Library,
    polling::Polling,
    session::{Inner, Session},
};
use crate::error::Error;

/// The most sessions whose clients have not entered the chat; further ones are refused. Each takes
/// some 20 kB. A client enters within a round trip, but the library keeps a session that ends
/// before until the time to enter is over.
pub const MAX_ENTERING_SESSIONS: usize = 8192;

/// The time after which a client may try again for whose session there is no room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The sessions of an endpoint.
#[derive(Clone)]
pub(super) struct Sessions(Arc<Shared>);

struct Shared {
    settings: Settings,
    library: Arc<dyn Library>,
    by_id: Mutex<HashMap<String, Weak<Inner>>>,
    /// Room for those that have not entered the chat.
    entering: Arc<Semaphore>,
}

impl Sessions {
    pub(super) fn new(settings: Settings, library: Arc<dyn Library>) -> Self {
        let entering = Arc::new(Semaphore::new(MAX_ENTERING_SESSIONS));
        Self(Arc::new(Shared {
            settings,
            library,
            by_id: Mutex::default(),
            entering,
        }))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the session with this id, if it began by polling and goes on.
    pub(super) fn find(&self, id: &str) -> Option<Session> {
        self.by_id().get(id)?.upgrade().map(Session::from)
    }

    /// Registers a session that begins by polling.
    pub(super) fn insert(&self, id: &str, session: &Session) {
        self.by_id()
            .insert(id.to_owned(), Arc::downgrade(session.inner()));
    }

    /// Takes room for a session whose client has not entered the chat; an endpoint that is not
    /// guarded has no limit.
    ///
    /// # Errors
    /// [`Error::RateLimited`] when there is none left.
    pub(super) fn room_to_enter(&self) -> Result<Option<OwnedSemaphorePermit>, Error> {
        if !self.0.settings.guarded {
            return Ok(None);
        }
        let room = self.0.entering.clone().try_acquire_owned();
        room.map(Some).map_err(|_| Error::RateLimited {
            retry_after: RETRY_AFTER,
        })
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
        f.debug_struct("Sessions")
            .field("known", &self.by_id().len())
            .finish()
    }
}
