//! The watch that a room keeps on its log after a write of unknown outcome.

use std::time::Duration;

use tokio::time::Instant;

/// How long a room looks into the log now and then after the outcome of a write was unknown: a
/// database may still commit what nobody waits for.
pub const WATCH_PERIOD: Duration = Duration::from_secs(300);
/// The pause before the first of these looks. The pauses grow with the time that has passed, up to
/// a quarter of it.
pub const FIRST_LOOK: Duration = Duration::from_secs(1);

/// The time after an unknown outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    since: Instant,
    next_look: Instant,
}

impl Watch {
    pub(super) fn begin() -> Self {
        let since = Instant::now();
        Self {
            since,
            next_look: since + FIRST_LOOK,
        }
    }

    pub(super) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// Returns the watch that goes on after a look at `now`; none when that was the last one.
    pub(super) fn after_look(self, now: Instant) -> Option<Self> {
        let passed = now - self.since;
        (passed <= WATCH_PERIOD).then(|| Self {
            next_look: now + FIRST_LOOK.max(passed / 4),
            ..self
        })
    }
}
