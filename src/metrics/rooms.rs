//! The handles of the rooms and the inbox.

use super::{Changes, Counter, Counters, Exposition, Gauge};

/// The source of a join's answer that needed no read of the log.
const MEMORY: &str = "memory";
/// The source of a join's answer that waited for a read of the log.
const DATABASE: &str = "database";

/// The handles of the rooms.
#[derive(Debug, Clone)]
pub struct Rooms {
    /// The changes of rooms.
    pub changes: Changes,
    /// The users in rooms on this server, once for each room.
    pub members: Gauge,
    /// The comparisons of all active rooms with their logs.
    pub sweeps: Counter,
    /// The signals of other servers that found a room's mailbox full.
    pub dropped_signals: Counter,
    /// The rooms that a sweep found behind their logs.
    pub repairs: Counter,
    joins: Counters,
}

impl Default for Rooms {
    fn default() -> Self {
        Self::new(Changes::default())
    }
}

impl Rooms {
    /// Creates handles that share the counters of changes.
    pub(super) fn new(changes: Changes) -> Self {
        Self {
            changes,
            members: Gauge::default(),
            sweeps: Counter::default(),
            repairs: Counter::default(),
            dropped_signals: Counter::default(),
            joins: Counters::new("source", [MEMORY, DATABASE]),
        }
    }

    /// Counts an answered join, with true when it waited for a read of the log.
    pub fn note_join(&self, has_read: bool) {
        let source = if has_read { DATABASE } else { MEMORY };
        self.joins.of(source).inc();
    }

    pub(super) fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "members",
            "Users present in rooms on this server, counted once for each room",
            self.members.clone(),
        );
        exposition.add(
            "joins",
            "Answered joins, by the source of their messages: memory or database",
            self.joins.clone(),
        );
        exposition.add(
            "sweeps",
            "Comparisons of all active rooms with their logs",
            self.sweeps.clone(),
        );
        exposition.add(
            "dropped_signals",
            "Signals of other servers that found their rooms too busy",
            self.dropped_signals.clone(),
        );
        exposition.add(
            "sweep_repairs",
            "Rooms that a sweep found behind their logs, not named by a report of another server in time",
            self.repairs.clone(),
        );
    }
}

/// The handles of the inbox.
#[derive(Debug, Clone, Default)]
pub struct Inbox {
    /// The stored read marks.
    pub receipts: Counter,
}

impl Inbox {
    pub(super) fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "receipts_flushed",
            "Read marks stored in the database",
            self.receipts.clone(),
        );
    }
}
