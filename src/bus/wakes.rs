//! Reports of rooms' logs on their way to or from the bus: the latest of each room.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::model::{RoomId, Seq};

/// The most rooms with a report under way. Beyond it, a report says that any room may have changed.
pub const MAX_ROOMS: usize = 16_384;

/// Reports that the logs of rooms have reached some places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wakes {
    /// The newest known place in each room's log.
    pub rooms: HashMap<RoomId, Seq>,
    /// True when any other room may have new messages, too.
    pub any: bool,
}

impl Wakes {
    /// A report that any room may have new messages.
    pub fn any() -> Self {
        Self {
            rooms: HashMap::new(),
            any: true,
        }
    }

    /// Adds a report; a later one of the same room replaces an earlier one.
    pub fn add(&mut self, room: RoomId, seq: Seq) {
        let is_full = self.rooms.len() >= MAX_ROOMS;
        match self.rooms.entry(room) {
            Entry::Occupied(mut known) => {
                let newest = (*known.get()).max(seq);
                known.insert(newest);
            }
            Entry::Vacant(_) if is_full => *self = Self::any(),
            Entry::Vacant(place) => _ = place.insert(seq),
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Self) {
        self.any |= other.any;
        for (room, seq) in other.rooms {
            self.add(room, seq);
        }
    }

    /// Returns true when there is no report.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty() && !self.any
    }
}

/// Reports that wait to be taken, merged meanwhile.
#[derive(Debug, Default)]
pub(super) struct WakeQueue {
    waiting: Mutex<Wakes>,
    added: Notify,
}

impl WakeQueue {
    /// Adds a report. Never waits.
    pub(super) fn add(&self, room: RoomId, seq: Seq) {
        self.waiting().add(room, seq);
        self.added.notify_one();
    }

    /// Adds reports. Never waits.
    pub(super) fn merge(&self, wakes: Wakes) {
        self.waiting().merge(wakes);
        self.added.notify_one();
    }

    /// Waits for reports, and takes all of them. Cancel safe; for one caller at a time.
    pub(super) async fn take(&self) -> Wakes {
        loop {
            let wakes = self.take_now();
            if !wakes.is_empty() {
                return wakes;
            }
            self.added.notified().await;
        }
    }

    /// Takes all reports.
    pub(super) fn take_now(&self) -> Wakes {
        std::mem::take(&mut self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, Wakes> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: impl ToString) -> RoomId {
        name.to_string().as_str().try_into().unwrap()
    }

    fn seq(number: i64) -> Seq {
        number.try_into().unwrap()
    }

    #[test]
    fn the_latest_report_of_a_room_counts_in_whatever_order_they_come() {
        let mut wakes = Wakes::default();
        for number in [2, 5, 3] {
            wakes.add(room("a"), seq(number));
        }
        assert_eq!(wakes.rooms, [(room("a"), seq(5))].into());
        assert!(!wakes.any);
    }

    #[test]
    fn too_many_rooms_become_a_report_of_any_room() {
        let mut wakes = Wakes::default();
        for number in 0..MAX_ROOMS {
            wakes.add(room(number), seq(1));
        }
        wakes.add(room(0), seq(2));
        assert!(!wakes.any);
        wakes.add(room("one more"), seq(1));
        assert_eq!(wakes, Wakes::any());
    }

    #[tokio::test]
    async fn a_report_added_before_or_while_waiting_is_taken_once() {
        let queue = WakeQueue::default();
        queue.add(room("a"), seq(1));
        assert_eq!(queue.take().await.rooms, [(room("a"), seq(1))].into());
        let (taken, ()) = tokio::join!(queue.take(), async { queue.merge(Wakes::any()) });
        assert_eq!(taken, Wakes::any());
        assert!(queue.take_now().is_empty());
    }
}
