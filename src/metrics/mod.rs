//! Figures for Prometheus: each layer counts into handles of its own, and a scrape reads them.
//!
//! Handles are atomics, shared by their clones. Counting allocates nothing, and only a histogram takes a
//! lock: it is observed once for a batch, a read or a request, and for a message only where the moderation is asked. All series exist from the start,
//! and labels have fixed values, so neither rooms nor users nor time adds a series.
//!
//! A new layer has its handles in a struct of its own here, a field in [`Metrics`], and a line in
//! [`Metrics::register`]. Figures that exist anyway are not counted twice: a scrape reads them by
//! [`Exposition::gauge`] and [`Exposition::counter`].

mod api;
mod bus;
mod calls;
mod counters;
mod exposition;
mod moderation;
mod process;
mod realtime;
mod rooms;
mod store;
mod tally;
mod webhooks;
mod writer;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};

use self::counters::Counters;
pub use self::{
    api::Api,
    bus::{Bus, Payload},
    calls::Calls,
    exposition::{CONTENT_TYPE, Exposition},
    moderation::{ALLOWED, CHANGED, Moderation, REFUSED},
    realtime::{Realtime, Sessions, Transport},
    rooms::{Inbox, Rooms},
    store::{Connections, Store},
    tally::Tally,
    webhooks::{FAILED, GONE, TAKEN, Webhooks},
    writer::{ChangeKind, Changes, Writer},
};

/// The handles of all layers of a server but the store's, which is opened before.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Engine.IO's.
    pub sessions: Sessions,
    /// Socket.IO's.
    pub realtime: Realtime,
    /// The API's.
    pub api: Api,
    /// The writer's.
    pub writer: Writer,
    /// The rooms'.
    pub rooms: Rooms,
    /// The inbox's.
    pub inbox: Inbox,
    /// The bus's.
    pub bus: Bus,
    /// The webhooks'.
    pub webhooks: Webhooks,
    /// The moderation's.
    pub moderation: Moderation,
    /// Those of calls.
    pub calls: Calls,
}

impl Default for Metrics {
    fn default() -> Self {
        let (changes, realtime) = (Changes::default(), Realtime::default());
        Self {
            sessions: Sessions::default(),
            api: Api::new(realtime.sends.clone()),
            realtime,
            writer: Writer::new(changes.clone()),
            rooms: Rooms::new(changes),
            inbox: Inbox::default(),
            bus: Bus::default(),
            webhooks: Webhooks::default(),
            moderation: Moderation::default(),
            calls: Calls::default(),
        }
    }
}

impl Metrics {
    /// Puts all figures into an exposition.
    pub fn register(&self, exposition: &mut Exposition) {
        self.sessions.register(exposition);
        self.realtime.register(exposition);
        self.api.register(exposition);
        self.writer.register(exposition);
        self.rooms.register(exposition);
        self.inbox.register(exposition);
        self.bus.register(exposition);
        self.webhooks.register(exposition);
        self.moderation.register(exposition);
        self.calls.register(exposition);
    }
}

/// Returns the present value of a gauge that counts.
pub fn reading(gauge: &Gauge) -> usize {
    usize::try_from(gauge.get()).unwrap_or(0)
}

/// The bounds of a histogram of times, in seconds: from a fast commit to a statement's time limit.
const SECONDS: [f64; 13] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// Returns a histogram of times.
fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}
