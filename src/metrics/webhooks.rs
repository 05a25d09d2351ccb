//! The handles of webhooks.

use std::time::Duration;

use super::{Counters, Exposition, Histogram};

/// The result of an attempt whose events were taken.
pub const TAKEN: &str = "taken";
/// The result of an attempt that is to be repeated.
pub const FAILED: &str = "failed";
/// The result of an attempt after which the receiver gets no more events.
pub const GONE: &str = "gone";

/// The bounds of the delays of events, in seconds: from a receiver nearby to the last attempts.
const DELAYS: [f64; 10] = [
    0.05, 0.25, 1.0, 5.0, 30.0, 300.0, 1_800.0, 7_200.0, 36_000.0, 86_400.0,
];

/// The handles of webhooks.
#[derive(Debug, Clone)]
pub struct Webhooks {
    attempts: Counters,
    delay: Histogram,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            attempts: Counters::new("result", [TAKEN, GONE, FAILED]),
            delay: Histogram::new(DELAYS),
        }
    }
}

impl Webhooks {
    /// Counts an attempt by its result.
    pub fn note_attempt(&self, result: &str) {
        self.attempts.of(result).inc();
    }

    /// Notes the time from an event to its delivery.
    pub fn note_delay(&self, delay: Duration) {
        self.delay.observe(delay.as_secs_f64());
    }

    pub(super) fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "webhook_attempts",
            "Webhooks sent, by result: taken, failed or gone",
            self.attempts.clone(),
        );
        exposition.add(
            "webhook_delay_seconds",
            "Time from an event in the log until a receiver has taken it",
            self.delay.clone(),
        );
    }
}
