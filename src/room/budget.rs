//! The memory for the messages of all rooms together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The most bytes of messages in one room's memory.
pub const ROOM_BYTES: usize = 256 * 1024;

/// The target for the bytes of messages in all rooms' memory. Beyond it, each room keeps only an
/// equal share of it; beyond twice the target, rooms keep nothing more.
pub const ALL_ROOMS_BYTES: usize = 64 * 1024 * 1024;

/// The bytes of messages in all rooms' memory beyond which a joiner's read lets its room exceed its
/// allowance no longer. The part above twice the target is for such rooms alone.
pub(super) const ALL_HELD_BYTES: usize = 3 * ALL_ROOMS_BYTES;

/// The memory for messages of all rooms on a node.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    bytes: AtomicUsize,
    rooms: AtomicUsize,
}

/// A room's part of the budget; dropping it gives its bytes back.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        budget.rooms.fetch_add(1, Ordering::Relaxed);
        Self { budget, bytes: 0 }
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns true when the room exceeds its allowance while a joiner reads the log. It may then
    /// keep `bytes`, unless all rooms together keep [`ALL_HELD_BYTES`].
    pub(super) fn is_exceeded_while_held(&self, bytes: usize) -> bool {
        let is_exhausted = self.budget.bytes.load(Ordering::Relaxed) > ALL_HELD_BYTES;
        self.bytes > bytes || (is_exhausted && self.is_exceeded())
    }

    /// Returns true when the room exceeds its allowance.
    pub(super) fn is_exceeded(&self) -> bool {
        let rooms = self.budget.rooms.load(Ordering::Relaxed).max(1);
        self.bytes > allowance(self.budget.bytes.load(Ordering::Relaxed), rooms)
    }
}

/// Returns the bytes that each of `rooms` may keep while all together keep `bytes`.
fn allowance(bytes: usize, rooms: usize) -> usize {
    match bytes {
        0..=ALL_ROOMS_BYTES => ROOM_BYTES,
        _ if bytes <= 2 * ALL_ROOMS_BYTES => ROOM_BYTES.min(ALL_ROOMS_BYTES / rooms),
        _ => 0,
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.bytes);
        self.budget.rooms.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_beyond_the_budget_keep_an_equal_share_and_beyond_twice_the_budget_nothing() {
        assert_eq!(allowance(ALL_ROOMS_BYTES, 10_000), ROOM_BYTES);
        assert_eq!(
            allowance(ALL_ROOMS_BYTES + 1, 1_000),
            ALL_ROOMS_BYTES / 1_000
        );
        assert_eq!(allowance(ALL_ROOMS_BYTES + 1, 1), ROOM_BYTES);
        assert_eq!(allowance(2 * ALL_ROOMS_BYTES + 1, 1), 0);
    }

    #[test]
    fn all_rooms_together_keep_no_more_than_twice_the_budget_whatever_their_number() {
        let budget = Arc::new(Budget::default());
        let mut shares = vec![];
        for _ in 0..20_000 {
            let mut share = Share::new(budget.clone());
            for _ in 0..8 {
                share.take(ROOM_BYTES / 4);
                while share.is_exceeded() {
                    share.give_back(ROOM_BYTES / 4);
                }
            }
            shares.push(share);
            assert!(budget.bytes.load(Ordering::Relaxed) <= 2 * ALL_ROOMS_BYTES + ROOM_BYTES / 4);
        }
        drop(shares);
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
    }
}
