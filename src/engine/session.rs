//! A session: what carries it, whether its client is in the chat, and how fast it may go.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::task::AbortOnDropHandle;

use super::{packet::Kind, polling::Polling, query::Version, sessions::Sessions};
use crate::{
    error::Error,
    net::{ConnectionHandle, Place},
    rates::DirectLimiter,
};

/// An event of more bytes counts as several.
pub const EVENT_BYTES: usize = 4096;

/// The events that a session may bring again after a pause: at least as many as come by one read.
const EVENTS_AFTER_PAUSE: u32 = 50;

/// The carrier of a session.
#[derive(Debug)]
enum Carrier {
    /// A WebSocket, on a connection of its own.
    WebSocket(ConnectionHandle),
    /// Requests, on connections that others may use as well, as they may be a proxy's.
    Polling,
    /// Nothing: its requests are refused.
    Nothing,
}

/// A client's place in relation to the chat, which is Socket.IO's main namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Outside,
    /// Its CONNECT is being looked at; it may send no other meanwhile.
    Entering,
    Inside,
    /// Its socket is being put away: the library ignores a CONNECT that comes before that is done.
    Leaving,
}

/// A verdict on a packet, before the library sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// What comes behind it waits until [`Session::settled`].
    PassAlone,
    /// It waits until [`Session::settled`], and is then looked at again.
    Wait,
    /// No client sends that, here and now.
    Refuse,
}

/// Places that a session takes.
pub(super) struct Places {
    /// Kept as long as the session.
    pub(super) session: Place,
    /// Kept until its client has entered the chat, where these are limited.
    pub(super) entering: Option<OwnedSemaphorePermit>,
}

/// An Engine.IO session, as long as that lives.
#[derive(Debug, Clone)]
pub struct Session(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    sessions: Sessions,
    carrier: Mutex<Carrier>,
    entry: Mutex<Entry>,
    settled: Notify,
    /// Kept until the client has entered the chat for the first time.
    entering: Mutex<Option<OwnedSemaphorePermit>>,
    limiter: DirectLimiter,
    polling: OnceLock<Box<Polling>>,
    /// Bytes that polls were answered with.
    polled: AtomicU64,
    /// Cuts the session, unless it is dropped before.
    timer: Mutex<Option<AbortOnDropHandle<()>>>,
    _place: Place,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A new session, on a WebSocket's connection or, without one, by polling.
    pub(super) fn new(
        websocket: Option<ConnectionHandle>,
        version: Version,
        sessions: Sessions,
        places: Places,
    ) -> Self {
        // The library lets an old client enter as its session begins.
        let entry = if version == Version::V3 {
            Entry::Entering
        } else {
            Entry::Outside
        };
        Self(Arc::new(Inner {
            limiter: DirectLimiter::new(sessions.settings().packets),
            sessions,
            carrier: Mutex::new(websocket.map_or(Carrier::Polling, Carrier::WebSocket)),
            entry: Mutex::new(entry),
            settled: Notify::new(),
            entering: Mutex::new(places.entering),
            polling: OnceLock::new(),
            polled: AtomicU64::new(0),
            timer: Mutex::default(),
            _place: places.session,
        }))
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Returns the state of a session that began by polling.
    pub(super) fn polling(&self) -> Option<&Polling> {
        self.0.polling.get().map(Box::as_ref)
    }

    /// Takes the id that the library gave a session that began by polling.
    pub(super) fn begin_polling(&self, polling: Polling) {
        self.0.polling.get_or_init(|| Box::new(polling));
    }

    /// Returns whether requests carry the session now.
    pub(super) fn is_polling(&self) -> bool {
        matches!(*lock(&self.0.carrier), Carrier::Polling)
    }

    /// Lets the session go on by a WebSocket; false where it has ended or moved already.
    pub(super) fn move_to(&self, connection: ConnectionHandle) -> bool {
        let mut carrier = lock(&self.0.carrier);
        let moves = matches!(*carrier, Carrier::Polling);
        if moves {
            *carrier = Carrier::WebSocket(connection);
        }
        moves
    }

    /// Counts bytes that a poll is answered with.
    pub(super) fn count_polled(&self, bytes: usize) {
        self.0.polled.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns how many bytes the client has taken so far, as far as the operating system tells.
    pub fn taken(&self) -> u64 {
        let polled = self.0.polled.load(Ordering::Relaxed);
        match &*lock(&self.0.carrier) {
            Carrier::WebSocket(connection) => polled + connection.written(),
            Carrier::Polling | Carrier::Nothing => polled,
        }
    }

    /// Ends the session, so that its client comes back by another one: closes its own connection,
    /// or refuses its requests.
    pub fn cut(&self) {
        self.0.cut();
    }

    /// Counts an event that came by polling; a WebSocket is not read for a while instead.
    ///
    /// # Errors
    /// [`Error::RateLimited`]
    pub fn count_event(&self, bytes: usize) -> Result<(), Error> {
        if self.is_polling() {
            self.0.limiter.check(cost(bytes))
        } else {
            Ok(())
        }
    }

    /// Counts a packet of so many bytes. Returns the pause that is due where it is one too many;
    /// then it is not counted.
    pub(super) fn count(&self, bytes: usize) -> Option<Duration> {
        let cost = cost(bytes);
        self.0.limiter.check(cost).err()?;
        Some(self.0.limiter.time_for(cost.max(EVENTS_AFTER_PAUSE)))
    }

    /// Decides on a packet of this kind, and notes that the client enters or leaves by it.
    pub(super) fn admit(&self, kind: Kind) -> Verdict {
        if !self.0.sessions.settings().guarded || kind == Kind::Engine {
            return Verdict::Pass;
        }
        let mut entry = lock(&self.0.entry);
        match (*entry, kind) {
            (Entry::Entering | Entry::Leaving, _) => Verdict::Wait,
            (Entry::Outside, Kind::Connect) => {
                *entry = Entry::Entering;
                Verdict::PassAlone
            }
            // Each one that the library saw would leave a close packet in the session's queue.
            (Entry::Outside, Kind::Binary | Kind::Message | Kind::Disconnect) => Verdict::Refuse,
            (Entry::Inside, Kind::Disconnect) => {
                *entry = Entry::Leaving;
                Verdict::PassAlone
            }
            _ => Verdict::Pass,
        }
    }

    /// Returns the most bytes that a packet may have now: few before the client is in the chat.
    pub(super) fn max_packet_bytes(&self) -> usize {
        let settings = self.0.sessions.settings();
        let outside = settings.guarded && *lock(&self.0.entry) != Entry::Inside;
        if outside {
            settings.max_payload.min(super::MAX_ENTRY_BYTES)
        } else {
            settings.max_payload
        }
    }

    /// Waits until the client is neither entering the chat nor leaving it.
    pub(super) fn settled(&self) -> impl Future<Output = ()> + Send + use<> {
        let session = self.0.clone();
        async move {
            loop {
                let settled = session.settled.notified();
                if !matches!(*lock(&session.entry), Entry::Entering | Entry::Leaving) {
                    return;
                }
                settled.await;
            }
        }
    }

    pub(super) fn payload_timeout(&self) -> Duration {
        self.0.sessions.settings().payload_timeout
    }

    fn settle(&self, entry: Entry) {
        *lock(&self.0.entry) = entry;
        self.0.settled.notify_waiters();
    }

    /// Notes that the client is in the chat.
    pub fn enter(&self) {
        lock(&self.0.timer).take();
        lock(&self.0.entering).take();
        self.settle(Entry::Inside);
    }

    /// Notes that the client's socket is about to be put away.
    pub fn begin_leaving(&self) {
        *lock(&self.0.entry) = Entry::Leaving;
    }

    /// Notes that the client is not in the chat: it was refused, or has left. The session is cut
    /// unless it enters in time.
    pub fn leave(&self) {
        self.settle(Entry::Outside);
        lock(&self.0.timer)
            .get_or_insert_with(|| AbortOnDropHandle::new(tokio::spawn(self.cut_later())));
    }

    fn cut_later(&self) -> impl Future<Output = ()> + use<> {
        let session = Arc::downgrade(&self.0);
        let timeout = self.0.sessions.settings().handshake_timeout;
        async move {
            tokio::time::sleep(timeout).await;
            if let Some(session) = session.upgrade() {
                session.cut();
            }
        }
    }
}

impl From<Arc<Inner>> for Session {
    fn from(inner: Arc<Inner>) -> Self {
        Self(inner)
    }
}

impl Inner {
    pub(super) fn cut(&self) {
        let mut carrier = lock(&self.carrier);
        match &*carrier {
            Carrier::WebSocket(connection) => connection.close(),
            Carrier::Polling => {
                *carrier = Carrier::Nothing;
                if let Some(polling) = self.polling.get() {
                    self.sessions.end(polling);
                }
            }
            Carrier::Nothing => {}
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(polling) = self.polling.get() {
            self.sessions.forget(polling.id());
        }
    }
}

/// As how many events a packet counts.
fn cost(bytes: usize) -> u32 {
    u32::try_from(bytes / EVENT_BYTES)
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}
