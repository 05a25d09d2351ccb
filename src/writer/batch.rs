//! Batches of entries, and their halves.

use super::pending::Pending;
use crate::model::RoomId;

/// The most entries in a batch. With 512 the database was the bottleneck: 38 to 41 thousand acks/s
/// instead of 45 (`bench/`, workload `persist`, medians of four alternating runs).
pub const MAX_BATCH_ENTRIES: usize = 2048;
/// The most bytes of texts in a batch; a single entry may have more.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// Entries to be stored together.
#[derive(Default)]
pub(super) struct Batch {
    entries: Vec<Pending>,
    bytes: usize,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() == MAX_BATCH_ENTRIES
    }

    /// Adds an entry, or returns it when it does not fit.
    pub(super) fn push(&mut self, pending: Pending) -> Option<Pending> {
        let bytes = self.bytes + pending.entry().size();
        if self.is_full() || (bytes > MAX_BATCH_BYTES && !self.entries.is_empty()) {
            return Some(pending);
        }
        self.bytes = bytes;
        self.entries.push(pending);
        None
    }

    pub(super) fn into_entries(self) -> Vec<Pending> {
        self.entries
    }
}

/// Splits entries in the middle.
///
/// # Errors
///
/// The entries themselves, when there are fewer than two.
pub(super) fn halves(mut entries: Vec<Pending>) -> Result<[Vec<Pending>; 2], Vec<Pending>> {
    if entries.len() < 2 {
        return Err(entries);
    }
    let second = entries.split_off(entries.len() / 2);
    Ok([entries, second])
}

/// Splits entries into those of one half of the rooms and those of the other.
///
/// # Errors
///
/// The entries themselves, when all are for one room.
pub(super) fn halves_by_room(mut entries: Vec<Pending>) -> Result<[Vec<Pending>; 2], Vec<Pending>> {
    let mut rooms: Vec<RoomId> = entries.iter().map(Pending::room_id).cloned().collect();
    rooms.sort();
    rooms.dedup();
    if rooms.len() < 2 {
        return Err(entries);
    }
    let middle = &rooms[rooms.len() / 2];
    let second = entries
        .extract_if(.., |pending| pending.room_id() >= middle)
        .collect();
    Ok([entries, second])
}
