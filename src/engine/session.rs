//! A session: its carrier, its client's entry into the chat, and the limiter of its packets.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::task::AbortOnDropHandle;

use super::{packet::PacketKind, polling_state::PollingState, query::Version};
use crate::{
    error::Error,
    metrics,
    net::{ConnectionHandle, Slot},
    rates::{DirectLimiter, Rate},
};

/// The most bytes of a packet before its client has entered the chat: enough for a token, and the
/// rooms to join.
pub const MAX_ENTRY_BYTES: usize = 128 * 1024;

/// The bytes of one event; a larger event counts as several.
pub const EVENT_BYTES: usize = 4096;

/// The burst of events after a pause: at least as many as one read brings.
const EVENTS_AFTER_PAUSE: u32 = 50;

/// Settings of an endpoint's sessions.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The rate at which one address may begin sessions.
    pub sessions: Rate,
    /// The time limit for a client outside the chat to enter it, after which its session is closed.
    pub handshake_timeout: Duration,
    /// The time limit for the arrival of a payload, or of a large packet.
    pub payload_timeout: Duration,
    /// The most bytes of a payload, or of a packet on a WebSocket.
    pub max_payload: usize,
    /// The rate at which one session may send packets.
    pub packets: Rate,
    /// True if the layers above report each client's entry into the chat, and its leaving. A client
    /// then does one of them at a time, and sends little before it has entered.
    pub guarded: bool,
}

/// The carrier of a session.
#[derive(Debug)]
pub(super) enum Carrier {
    /// A WebSocket, on a connection of its own.
    WebSocket(ConnectionHandle),
    /// Requests, on connections shared with other sessions if they are a proxy's.
    Polling,
    /// None: the session's requests are refused.
    Closed,
}

impl Carrier {
    /// Returns the transport; none for a closed session.
    fn transport(&self) -> Option<metrics::Transport> {
        match self {
            Self::WebSocket(_) => Some(metrics::Transport::WebSocket),
            Self::Polling => Some(metrics::Transport::Polling),
            Self::Closed => None,
        }
    }
}

/// A client's place in relation to the chat: Socket.IO's main namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Outside,
    /// The client's CONNECT is being handled; it may send no other meanwhile.
    Entering,
    Inside,
    /// The client's socket is being removed: until then the library ignores a CONNECT.
    Leaving,
}

/// A verdict on a packet, before the library sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// It passes; later packets wait for [`Session::wait_until_settled`].
    PassAlone,
    /// It waits for [`Session::wait_until_settled`], and is then judged again.
    Wait,
    /// No client sends such a packet at this point.
    Refuse,
}

/// The slots of a session.
pub(super) struct SessionSlots {
    /// Held as long as the session.
    pub(super) session: Slot,
    /// Held until the client has entered the chat; `None` if such clients are not limited.
    pub(super) entering: Option<OwnedSemaphorePermit>,
}

/// An Engine.IO session.
#[derive(Debug, Clone)]
pub struct Session(Arc<Inner>);

/// A weak reference to a session.
#[derive(Debug)]
pub(super) struct WeakSession(Weak<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Arc<Settings>,
    metrics: Arc<metrics::Sessions>,
    carrier: Mutex<Carrier>,
    entry: Mutex<Entry>,
    settled: Notify,
    /// Held until the client has entered the chat for the first time.
    entering: Mutex<Option<OwnedSemaphorePermit>>,
    limiter: DirectLimiter,
    polling: OnceLock<Box<PollingState>>,
    /// The bytes of all answers to polls.
    polled: AtomicU64,
    /// Closes the session when it expires; dropping it stops it.
    idle_timer: Mutex<Option<AbortOnDropHandle<()>>>,
    _slot: Slot,
}

impl Inner {
    /// Moves the session to another carrier in the figures of both.
    fn replace(&self, carrier: &mut Carrier, by: Carrier) {
        self.metrics.count(by.transport(), 1);
        self.metrics.count(carrier.transport(), -1);
        *carrier = by;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let carrier = self.carrier.get_mut();
        let transport = carrier.unwrap_or_else(PoisonError::into_inner).transport();
        self.metrics.count(transport, -1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(super) fn new(
        carrier: Carrier,
        version: Version,
        settings: Arc<Settings>,
        slots: SessionSlots,
        metrics: Arc<metrics::Sessions>,
    ) -> Self {
        metrics.count(carrier.transport(), 1);
        // The library enters an old client into the chat as soon as the session begins.
        let entry = if version == Version::V3 {
            Entry::Entering
        } else {
            Entry::Outside
        };
        Self(Arc::new(Inner {
            limiter: DirectLimiter::new(settings.packets),
            settings,
            metrics,
            carrier: Mutex::new(carrier),
            entry: Mutex::new(entry),
            settled: Notify::new(),
            entering: Mutex::new(slots.entering),
            polling: OnceLock::new(),
            polled: AtomicU64::new(0),
            idle_timer: Mutex::default(),
            _slot: slots.session,
        }))
    }

    pub(super) fn downgrade(&self) -> WeakSession {
        WeakSession(Arc::downgrade(&self.0))
    }

    /// Returns the state of a session that began by polling.
    pub(super) fn polling(&self) -> Option<&PollingState> {
        self.0.polling.get().map(Box::as_ref)
    }

    /// Starts polling, with the id from the library.
    pub(super) fn start_polling(&self, state: PollingState) {
        self.0.polling.get_or_init(|| Box::new(state));
    }

    /// Returns true while requests carry the session.
    pub(super) fn is_polling(&self) -> bool {
        matches!(*lock(&self.0.carrier), Carrier::Polling)
    }

    /// Moves the session from polling to a WebSocket; returns false if it has moved or ended
    /// already.
    pub(super) fn upgrade_to(&self, connection: ConnectionHandle) -> bool {
        let mut carrier = lock(&self.0.carrier);
        let moves = matches!(*carrier, Carrier::Polling);
        if moves {
            self.0.replace(&mut carrier, Carrier::WebSocket(connection));
        }
        moves
    }

    /// Counts the bytes of the answer to a poll.
    pub(super) fn count_polled(&self, bytes: usize) {
        self.0.polled.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the bytes taken by the client so far, as far as the operating system tells.
    pub fn bytes_taken(&self) -> u64 {
        let polled = self.0.polled.load(Ordering::Relaxed);
        match &*lock(&self.0.carrier) {
            Carrier::WebSocket(connection) => polled + connection.bytes_written(),
            Carrier::Polling | Carrier::Closed => polled,
        }
    }

    /// Closes the session, so that its client comes back with a new one: closes its connection, or
    /// refuses its further requests.
    pub fn close(&self) {
        let mut carrier = lock(&self.0.carrier);
        match &*carrier {
            Carrier::WebSocket(connection) => connection.close(),
            Carrier::Polling => {
                self.0.replace(&mut carrier, Carrier::Closed);
                if let Some(polling) = self.polling() {
                    polling.close();
                }
            }
            Carrier::Closed => {}
        }
    }

    /// Counts an event under polling. On a WebSocket, events are counted as packets, and reading
    /// pauses after too many.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] if there are too many; the event is not counted then.
    pub fn count_event(&self, bytes: usize) -> Result<(), Error> {
        if self.is_polling() {
            self.0.limiter.check(cost(bytes))
        } else {
            Ok(())
        }
    }

    /// Counts a packet. If there are too many, does not count it, and returns the due pause.
    pub(super) fn count_packet(&self, bytes: usize) -> Option<Duration> {
        let cost = cost(bytes);
        self.0.limiter.check(cost).err()?;
        Some(self.0.limiter.time_for(cost.max(EVENTS_AFTER_PAUSE)))
    }

    /// Judges a packet by its kind, and records the client's entering or leaving.
    pub(super) fn judge(&self, kind: PacketKind) -> Verdict {
        if !self.0.settings.guarded || kind == PacketKind::Engine {
            return Verdict::Pass;
        }
        let mut entry = lock(&self.0.entry);
        match (*entry, kind) {
            (Entry::Entering | Entry::Leaving, _) => Verdict::Wait,
            (Entry::Outside, PacketKind::Connect) => {
                *entry = Entry::Entering;
                Verdict::PassAlone
            }
            // For each of these, the library would leave a close packet in the session's queue.
            (Entry::Outside, PacketKind::Binary | PacketKind::Message | PacketKind::Disconnect) => {
                Verdict::Refuse
            }
            (Entry::Inside, PacketKind::Disconnect) => {
                *entry = Entry::Leaving;
                Verdict::PassAlone
            }
            _ => Verdict::Pass,
        }
    }

    /// Returns the most bytes of the next packet: few until the client has entered the chat.
    pub(super) fn max_packet_bytes(&self) -> usize {
        let settings = &self.0.settings;
        let outside = settings.guarded && *lock(&self.0.entry) != Entry::Inside;
        if outside {
            settings.max_payload.min(MAX_ENTRY_BYTES)
        } else {
            settings.max_payload
        }
    }

    /// Waits until the client is neither entering the chat nor leaving it.
    pub(super) fn wait_until_settled(&self) -> impl Future<Output = ()> + Send + use<> {
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
        self.0.settings.payload_timeout
    }

    fn set_entry(&self, entry: Entry) {
        *lock(&self.0.entry) = entry;
        self.0.settled.notify_waiters();
    }

    /// Records that the client has entered the chat.
    pub fn enter(&self) {
        lock(&self.0.idle_timer).take();
        lock(&self.0.entering).take();
        self.set_entry(Entry::Inside);
    }

    /// Records that the client's socket is about to be removed.
    pub fn begin_leaving(&self) {
        *lock(&self.0.entry) = Entry::Leaving;
    }

    /// Records that the client is outside the chat, refused or gone, and starts the idle timer: the
    /// session is closed unless the client enters in time.
    pub fn leave(&self) {
        self.set_entry(Entry::Outside);
        lock(&self.0.idle_timer)
            .get_or_insert_with(|| AbortOnDropHandle::new(tokio::spawn(self.close_when_idle())));
    }

    fn close_when_idle(&self) -> impl Future<Output = ()> + use<> {
        let session = self.downgrade();
        let handshake_timeout = self.0.settings.handshake_timeout;
        async move {
            tokio::time::sleep(handshake_timeout).await;
            if let Some(session) = session.upgrade() {
                session.close();
            }
        }
    }
}

impl WeakSession {
    pub(super) fn upgrade(&self) -> Option<Session> {
        self.0.upgrade().map(Session)
    }
}

/// Returns the number of events that a packet counts as.
fn cost(bytes: usize) -> u32 {
    u32::try_from(bytes / EVENT_BYTES)
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}
