//! Repeated looks into the log after a commit of unknown outcome.

use std::time::Duration;

use tokio::time::Instant;

/// The time in which a room keeps looking into the log after a commit of unknown outcome: the
/// database may still commit it after its sender has given up.
pub const WATCH_PERIOD: Duration = Duration::from_secs(300);
/// The pause before the first look. Later pauses grow to a quarter of the time since the commit.
pub const FIRST_LOOK: Duration = Duration::from_secs(1);

/// A schedule of looks into the log.
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

    /// Returns the schedule after a look at `now`; none after the last look.
    pub(super) fn after_look(self, now: Instant) -> Option<Self> {
        let passed = now - self.since;
        (passed <= WATCH_PERIOD).then(|| Self {
            next_look: now + FIRST_LOOK.max(passed / 4),
            ..self
        })
    }
}
