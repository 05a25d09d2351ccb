//! The handles of calls.

use super::{Counter, Counters, Exposition};

/// The reasons of an end.
const REASONS: [&str; 6] = ["missed", "cancelled", "rejected", "left", "alone", "lost"];

/// The handles of calls.
#[derive(Debug, Clone)]
pub struct Calls {
    started: Counter,
    ended: Counters,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            started: Counter::default(),
            ended: Counters::new("reason", REASONS),
        }
    }
}

impl Calls {
    /// Counts a start.
    pub fn note_start(&self) {
        self.started.inc();
    }

    /// Counts an end by its reason.
    pub fn note_end(&self, reason: &str) {
        self.ended.of(reason).inc();
    }

    pub(super) fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "calls_started",
            "Calls started by clients of this server",
            self.started.clone(),
        );
        exposition.add(
            "calls_ended",
            "Calls ended by this server or its clients, by reason",
            self.ended.clone(),
        );
    }
}
