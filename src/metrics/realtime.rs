//! The handles of the transports: Engine.IO's sessions and Socket.IO's clients.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::MetricType,
};

use super::{Counter, Counters, Exposition, Gauge};
use crate::error::{CODES, Error};

/// The result of an event that succeeded, beside the codes of refusals.
const OK: &str = "ok";
/// The result of a repeated send.
const DUPLICATE: &str = "duplicate";

/// The transport of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket, from the start or by an upgrade.
    WebSocket,
    /// Requests.
    Polling,
}

/// The handles of the Engine.IO layer.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    /// The refused ones.
    pub refused: Counter,
    open: OpenSessions,
}

/// The gauges of the open sessions.
#[derive(Debug, Clone, Default)]
struct OpenSessions {
    websocket: Gauge,
    polling: Gauge,
}

impl Sessions {
    /// Adds to the sessions of a transport; a closed session has none.
    pub fn count(&self, transport: Option<Transport>, more: i64) {
        match transport {
            Some(Transport::WebSocket) => _ = self.open.websocket.inc_by(more),
            Some(Transport::Polling) => _ = self.open.polling.inc_by(more),
            None => {}
        }
    }

    pub(super) fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "sessions",
            "Open Engine.IO sessions, by transport",
            self.open.clone(),
        );
        exposition.add(
            "refused_sessions",
            "Sessions refused with status 429: too many, or too fast, altogether or of one address",
            self.refused.clone(),
        );
    }
}

impl EncodeMetric for OpenSessions {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (transport, gauge) in [("websocket", &self.websocket), ("polling", &self.polling)] {
            gauge.encode(encoder.encode_family(&[("transport", transport)])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// The sends of all transports, by their results.
#[derive(Debug, Clone)]
pub struct Sends {
    ok: Counter,
    duplicate: Counter,
    by_result: Counters,
}

impl Default for Sends {
    fn default() -> Self {
        let by_result = Counters::new("result", [OK, DUPLICATE].into_iter().chain(CODES));
        Self {
            ok: by_result.of(OK).clone(),
            duplicate: by_result.of(DUPLICATE).clone(),
            by_result,
        }
    }
}

impl Sends {
    /// Returns the number of messages stored.
    pub fn stored(&self) -> u64 {
        self.ok.get()
    }

    /// Counts a send: a stored one, with true for a repeat, or a refused one.
    pub fn note(&self, result: Result<bool, &Error>) {
        match result {
            Ok(false) => self.ok.inc(),
            Ok(true) => self.duplicate.inc(),
            Err(error) => self.by_result.of(error.code()).inc(),
        };
    }
}

/// The handles of the Socket.IO layer.
#[derive(Debug, Clone)]
pub struct Realtime {
    /// The sends.
    pub sends: Sends,
    /// The clients in the chat.
    pub clients: Gauge,
    /// The packets to rooms.
    pub packets: Counter,
    /// The packets to rooms, each as often as the room has clients.
    pub deliveries: Counter,
    /// The clients that lost their connections because they were too slow.
    pub cut: Counter,
    connects: Counters,
    signals: Counters,
    refusals: Counters,
}

impl Default for Realtime {
    fn default() -> Self {
        Self {
            sends: Sends::default(),
            clients: Gauge::default(),
            packets: Counter::default(),
            deliveries: Counter::default(),
            cut: Counter::default(),
            connects: Counters::new("result", [OK].into_iter().chain(CODES)),
            signals: Counters::new("result", [OK].into_iter().chain(CODES)),
            refusals: Counters::new("code", CODES),
        }
    }
}

impl Realtime {
    /// Counts a client that asked to enter the chat.
    pub fn note_connect<T>(&self, result: Result<T, &Error>) {
        let result = result.map_or_else(Error::code, |_| OK);
        self.connects.of(result).inc();
    }

    /// Counts a client's own event: a relayed one, or a refused one.
    pub fn note_signal<T>(&self, result: Result<T, &Error>) {
        let result = result.map_or_else(Error::code, |_| OK);
        self.signals.of(result).inc();
    }

    /// Counts an event that was answered with an error.
    pub fn note_refusal(&self, error: &Error) {
        self.refusals.of(error.code()).inc();
    }

    pub(super) fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "clients",
            "Socket.IO clients in the chat",
            self.clients.clone(),
        );
        exposition.add(
            "connects",
            "Clients that asked to enter the chat, by result: ok or a code",
            self.connects.clone(),
        );
        exposition.add(
            "sends",
            "Sent messages, by result: ok, duplicate or a code",
            self.sends.by_result.clone(),
        );
        exposition.add(
            "signals",
            "Clients' own events to relay, by result: ok or a code",
            self.signals.clone(),
        );
        exposition.add(
            "refusals",
            "Events of any kind answered with an error, by code",
            self.refusals.clone(),
        );
        exposition.add(
            "packets",
            "Packets to rooms: messages, changes, presence, reads, typing, signals to all",
            self.packets.clone(),
        );
        exposition.add(
            "deliveries",
            "Packets to rooms, each counted once for each client in its room",
            self.deliveries.clone(),
        );
        exposition.add(
            "cut_clients",
            "Clients that lost their connections because they read too slowly",
            self.cut.clone(),
        );
    }
}
