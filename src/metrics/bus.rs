//! The handles of the bus.

use std::time::Duration;

use super::{Counter, Counters, Exposition, Histogram, seconds};

/// The label's value for reports of rooms.
const REPORT: &str = "report";
/// The label's value for signals.
const SIGNAL: &str = "signal";

/// The content of some payloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Payload {
    /// The reports of rooms.
    pub reports: usize,
    /// The signals.
    pub signals: usize,
}

impl Payload {
    /// Returns the content without a part of it.
    #[must_use]
    pub fn without(self, rest: Self) -> Self {
        Self {
            reports: self.reports.saturating_sub(rest.reports),
            signals: self.signals.saturating_sub(rest.signals),
        }
    }
}

/// The handles of the bus.
#[derive(Debug, Clone)]
pub struct Bus {
    /// The times when reports may have been missed.
    pub missed: Counter,
    /// The signals dropped under pressure.
    pub dropped: Counter,
    sent: Counters,
    heard: Counters,
    echo: Histogram,
}

impl Default for Bus {
    fn default() -> Self {
        let by_kind = || Counters::new("kind", [REPORT, SIGNAL]);
        Self {
            missed: Counter::default(),
            dropped: Counter::default(),
            sent: by_kind(),
            heard: by_kind(),
            echo: seconds(),
        }
    }
}

impl Bus {
    /// Counts payloads to the other servers.
    pub fn note_sent(&self, payload: Payload) {
        note(&self.sent, payload);
    }

    /// Counts a payload of another server.
    pub fn note_heard(&self, payload: Payload) {
        note(&self.heard, payload);
    }

    /// Notes the time from a send to its echo.
    pub fn note_echo(&self, lag: Duration) {
        self.echo.observe(lag.as_secs_f64());
    }

    pub(super) fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "bus_sent",
            "Reports and signals sent to the other servers, by kind",
            self.sent.clone(),
        );
        exposition.add(
            "bus_heard",
            "Reports and signals heard of other servers, by kind",
            self.heard.clone(),
        );
        exposition.add(
            "bus_echo_duration_seconds",
            "Time from a send on the bus until the server hears it itself",
            self.echo.clone(),
        );
        exposition.add(
            "bus_missed",
            "Times when reports of other servers may have been missed",
            self.missed.clone(),
        );
        exposition.add(
            "bus_dropped_signals",
            "Signals from or to other servers dropped under pressure",
            self.dropped.clone(),
        );
    }
}

fn note(counters: &Counters, Payload { reports, signals }: Payload) {
    counters.of(REPORT).inc_by(reports as u64);
    counters.of(SIGNAL).inc_by(signals as u64);
}
