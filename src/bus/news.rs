//! News on its way to or from the bus: the latest place of each room's log, the rooms with new
//! rosters, and signals in order.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::signals::Signals;
use crate::{
    metrics::Payload,
    model::{Revision, RoomId, Seq, Signal},
};

/// The most rooms with a report under way. Beyond it, a report says that any room may have changed.
pub const MAX_ROOMS: usize = 16_384;

/// Reports that the logs of rooms have reached some places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wakes {
    /// The newest known place in each room's log.
    pub rooms: HashMap<RoomId, Seq>,
    /// The newest known change of each room.
    pub changes: HashMap<RoomId, Revision>,
    /// True when any other room may have new messages, too.
    pub any: bool,
}

impl Wakes {
    /// A report that any room may have new messages.
    pub fn any() -> Self {
        Self {
            any: true,
            ..Self::default()
        }
    }

    /// Adds a report; a later one of the same room replaces an earlier one.
    pub fn add(&mut self, room: RoomId, seq: Seq) {
        if !keep_newest(&mut self.rooms, room, seq) {
            *self = Self::any();
        }
    }

    /// Adds a report of a change.
    pub fn add_change(&mut self, room: RoomId, revision: Revision) {
        if !keep_newest(&mut self.changes, room, revision) {
            *self = Self::any();
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Self) {
        self.any |= other.any;
        for (room, seq) in other.rooms {
            self.add(room, seq);
        }
        for (room, revision) in other.changes {
            self.add_change(room, revision);
        }
    }

    /// Returns true when there is no report.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.changes.is_empty() && !self.any
    }
}

/// Adds a room's place, unless a newer one is known. Returns false when there are too many rooms.
fn keep_newest<T: Copy + Ord>(rooms: &mut HashMap<RoomId, T>, room: RoomId, place: T) -> bool {
    let is_full = rooms.len() >= MAX_ROOMS;
    match rooms.entry(room) {
        Entry::Occupied(mut known) => {
            let newest = (*known.get()).max(place);
            known.insert(newest);
        }
        Entry::Vacant(_) if is_full => return false,
        Entry::Vacant(vacant) => _ = vacant.insert(place),
    }
    true
}

/// Reports and signals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// The reports.
    pub wakes: Wakes,
    /// Rooms with a new roster; none are named when [`Wakes::any`] is true, as it may be any room.
    pub rosters: HashSet<RoomId>,
    /// The signals; those of one sender are in order.
    pub signals: Signals,
    /// The number of the servers' signals dropped since the last news, because too many were under way.
    pub dropped: usize,
    /// The number of clients' own events dropped since the last news.
    pub dropped_relayed: usize,
}

impl News {
    /// Adds all of `other`, and drops the signals beyond the bounds.
    pub fn merge(&mut self, other: Self) {
        self.wakes.merge(other.wakes);
        self.rosters.extend(other.rosters);
        if self.rosters.len() > MAX_ROOMS {
            self.wakes.any = true;
        }
        if self.wakes.any {
            self.rosters.clear();
        }
        self.dropped += other.dropped;
        self.dropped_relayed += other.dropped_relayed;
        for (room, signal) in other.signals {
            self.add_signal(room, signal);
        }
    }

    fn add_signal(&mut self, room: RoomId, signal: Signal) {
        if self.signals.has_room_for(&signal) {
            self.signals.push(room, signal);
        } else if matches!(signal, Signal::Relayed(_)) {
            self.dropped_relayed += 1;
        } else {
            self.dropped += 1;
        }
    }

    /// Returns the number of all signals dropped since the last news.
    pub fn all_dropped(&self) -> usize {
        self.dropped + self.dropped_relayed
    }

    /// Returns the number of reports and of signals.
    pub(super) fn content(&self) -> Payload {
        let wakes = &self.wakes;
        Payload {
            reports: wakes.rooms.len()
                + wakes.changes.len()
                + self.rosters.len()
                + usize::from(wakes.any),
            signals: self.signals.len(),
        }
    }

    /// Returns true when there is no report and no signal.
    pub fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.rosters.is_empty() && self.signals.is_empty()
    }
}

impl From<Wakes> for News {
    fn from(wakes: Wakes) -> Self {
        Self {
            wakes,
            ..Self::default()
        }
    }
}

/// News that waits to be taken, merged meanwhile.
#[derive(Debug, Default)]
pub(super) struct NewsQueue {
    waiting: Mutex<News>,
    added: Notify,
}

impl NewsQueue {
    /// Adds a report. Never waits.
    pub(super) fn wake(&self, room: RoomId, seq: Seq) {
        self.waiting().wakes.add(room, seq);
        self.added.notify_one();
    }

    /// Adds a report of a change. Never waits.
    pub(super) fn wake_to_change(&self, room: RoomId, revision: Revision) {
        self.waiting().wakes.add_change(room, revision);
        self.added.notify_one();
    }

    /// Adds news. Never waits.
    pub(super) fn merge(&self, news: News) {
        self.waiting().merge(news);
        self.added.notify_one();
    }

    /// Puts news back before all that was added since it was taken, as signals are in order. Never waits.
    pub(super) fn put_back(&self, news: News) {
        let mut waiting = self.waiting();
        let newer = mem::replace(&mut *waiting, news);
        waiting.merge(newer);
        drop(waiting);
        self.added.notify_one();
    }

    /// Returns true while there is a place for further events of clients, with some to spare for those on
    /// their way here.
    pub(super) fn has_room(&self) -> bool {
        !self.waiting().signals.are_many()
    }

    /// Waits for news, and takes all of it. Cancel safe; for one caller at a time.
    pub(super) async fn take(&self) -> News {
        loop {
            let news = self.take_now();
            if !news.is_empty() {
                return news;
            }
            self.added.notified().await;
        }
    }

    /// Takes all news.
    pub(super) fn take_now(&self) -> News {
        mem::take(&mut self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, News> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::signals::MAX_SIGNALS, *};

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

    #[test]
    fn too_many_rosters_become_a_report_of_any_room() {
        let rosters = |numbers: std::ops::Range<usize>| News {
            rosters: numbers.map(room).collect(),
            ..News::default()
        };
        let mut news = rosters(0..MAX_ROOMS);
        news.merge(rosters(0..1));
        assert_eq!(news, rosters(0..MAX_ROOMS));
        news.merge(rosters(MAX_ROOMS..MAX_ROOMS + 1));
        assert_eq!(news, Wakes::any().into());
    }

    #[tokio::test]
    async fn a_report_added_before_or_while_waiting_is_taken_once() {
        let queue = NewsQueue::default();
        queue.wake(room("a"), seq(1));
        assert_eq!(queue.take().await.wakes.rooms, [(room("a"), seq(1))].into());
        let (taken, ()) = tokio::join!(queue.take(), async { queue.merge(Wakes::any().into()) });
        assert_eq!(taken, Wakes::any().into());
        assert!(queue.take_now().is_empty());
    }

    fn followed(number: usize) -> (RoomId, Signal) {
        let user_id = number.to_string().as_str().try_into().unwrap();
        (room("a"), Signal::Followed { user_id })
    }

    #[test]
    fn signals_beyond_the_bounds_are_dropped_and_counted() {
        let mut news = News::default();
        for numbers in [0..MAX_SIGNALS - 1, MAX_SIGNALS - 1..MAX_SIGNALS + 2] {
            news.merge(News {
                signals: numbers.map(followed).collect(),
                ..News::default()
            });
        }
        assert_eq!(news.signals, (0..MAX_SIGNALS).map(followed).collect());
        assert_eq!((news.dropped, news.dropped_relayed), (2, 0));
    }

    #[test]
    fn news_put_back_goes_before_what_has_come_since() {
        let queue = NewsQueue::default();
        let of = |number| News {
            signals: [followed(number)].into_iter().collect(),
            ..News::default()
        };
        queue.merge(of(2));
        queue.put_back(of(1));
        queue.merge(of(3));
        let expected = [1, 2, 3].map(followed).into_iter().collect();
        assert_eq!(queue.take_now().signals, expected);
    }
}
