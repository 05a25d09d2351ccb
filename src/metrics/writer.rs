//! The handles of the writer.

use std::time::Duration;

use super::{Counter, Counters, Exposition, Gauge, Histogram, seconds};

/// The bounds of the histogram of batches, in entries, up to the most in a batch.
const ENTRIES: [f64; 12] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0,
];

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// A message's new text.
    Edit,
    /// A deleted message.
    Delete,
    /// A reaction, set or taken back.
    Reaction,
    /// A pin, set or taken back.
    Pin,
    /// A room's settings or members.
    Room,
}

impl ChangeKind {
    const NAMES: [&str; 5] = ["edit", "delete", "reaction", "pin", "room"];

    fn name(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Reaction => "reaction",
            Self::Pin => "pin",
            Self::Room => "room",
        }
    }
}

/// The stored changes, by kind.
#[derive(Debug, Clone)]
pub struct Changes(Counters);

impl Default for Changes {
    fn default() -> Self {
        Self(Counters::new("kind", ChangeKind::NAMES))
    }
}

impl Changes {
    /// Counts a stored change.
    pub fn note(&self, kind: ChangeKind) {
        self.0.of(kind.name()).inc();
    }
}

/// The handles of the writer.
#[derive(Debug, Clone)]
pub struct Writer {
    /// The changes of messages.
    pub changes: Changes,
    /// The attempts that the database did not answer.
    pub failures: Counter,
    /// The rooms that another session of the database has locked.
    pub parked_rooms: Gauge,
    commits: Histogram,
    entries: Histogram,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new(Changes::default())
    }
}

impl Writer {
    /// Creates handles that share the counters of changes.
    pub(super) fn new(changes: Changes) -> Self {
        Self {
            changes,
            failures: Counter::default(),
            parked_rooms: Gauge::default(),
            commits: seconds(),
            entries: Histogram::new(ENTRIES),
        }
    }

    /// Counts a stored batch.
    pub fn note_commit(&self, entries: usize, time: Duration) {
        self.commits.observe(time.as_secs_f64());
        self.entries.observe(entries as f64);
    }

    pub(super) fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "commit_duration_seconds",
            "Time to store a batch in the database",
            self.commits.clone(),
        );
        exposition.add(
            "batch_entries",
            "Messages and changes in a stored batch",
            self.entries.clone(),
        );
        exposition.add(
            "commit_failures",
            "Attempts to store a batch that failed because the database was unavailable",
            self.failures.clone(),
        );
        exposition.add(
            "parked_rooms",
            "Rooms whose entries wait because another session of the database has locked them",
            self.parked_rooms.clone(),
        );
        exposition.add(
            "changes",
            "Stored changes of messages and rooms, by kind",
            self.changes.0.clone(),
        );
    }
}
