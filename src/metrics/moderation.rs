//! The handles of moderation.

use std::time::Duration;

use super::{Counters, Exposition, FAILED, Histogram};

/// The result of a message that is stored as it is.
pub const ALLOWED: &str = "allowed";
/// The result of a message that is stored with another content.
pub const CHANGED: &str = "changed";
/// The result of a message that is not stored.
pub const REFUSED: &str = "refused";

/// The bounds of the times of questions, in seconds, up to their time limit.
const SECONDS: [f64; 6] = [0.01, 0.025, 0.1, 0.25, 1.0, 2.0];

/// The handles of moderation.
#[derive(Debug, Clone)]
pub struct Moderation {
    verdicts: Counters,
    time: Histogram,
}

impl Default for Moderation {
    fn default() -> Self {
        Self {
            verdicts: Counters::new("result", [ALLOWED, CHANGED, REFUSED, FAILED]),
            time: Histogram::new(SECONDS),
        }
    }
}

impl Moderation {
    /// Counts a question by its result, and notes its time.
    pub fn note(&self, result: &str, time: Duration) {
        self.verdicts.of(result).inc();
        self.time.observe(time.as_secs_f64());
    }

    pub(super) fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "moderation",
            "Messages asked about, by result: allowed, changed, refused or failed",
            self.verdicts.clone(),
        );
        exposition.add(
            "moderation_seconds",
            "Time from a question about a message to its verdict",
            self.time.clone(),
        );
    }
}
