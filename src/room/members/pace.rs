//! The pace of a room's own roster.

use tokio::time::Instant;

use super::{INTERVAL, LARGE_INTERVAL};
use crate::bus::Roster;

/// The time for the next roster of a room's members on this server.
#[derive(Debug)]
pub(super) struct Pace {
    has_changed: bool,
    quiet_until: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            has_changed: false,
            quiet_until: Instant::now(),
        }
    }

    /// Notes a change of the roster.
    pub(super) fn change(&mut self) {
        self.has_changed = true;
    }

    /// Returns the time for the next roster, if it has changed.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.has_changed.then_some(self.quiet_until)
    }

    /// Notes that a roster goes out.
    pub(super) fn sent(&mut self, roster: &Roster) {
        let interval = match roster {
            Roster::Named(_) => INTERVAL,
            Roster::Counted(_) => LARGE_INTERVAL,
        };
        self.has_changed = false;
        self.quiet_until = Instant::now() + interval;
    }
}
