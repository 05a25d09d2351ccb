//! The work of a node's roster keeper: rosters to write and rooms to read.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use crate::{
    bus::{MAX_ROOMS, Roster, ServerId},
    model::RoomId,
};

/// Work waiting for the roster keeper, merged meanwhile.
#[derive(Debug)]
pub(in crate::room) struct RosterQueue {
    work: Mutex<Work>,
    added: Notify,
    is_answering: AtomicBool,
    /// The other servers that are not known to be gone.
    servers: Mutex<HashSet<ServerId>>,
}

/// The number of a room's task. A task that ends may still write beside its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskNumber(u64);

#[derive(Debug)]
struct Task {
    number: TaskNumber,
    /// True when this task or an earlier one has asked to write a roster.
    has_written: bool,
}

#[derive(Debug, Default)]
struct Work {
    /// The newest task of each active room.
    tasks: HashMap<RoomId, Task>,
    last_task: u64,
    /// The newest roster of each room with a change.
    changed: HashMap<RoomId, Roster>,
    /// The rooms that wait for their first rosters.
    opened: HashSet<RoomId>,
    /// The rooms with a new roster on another server.
    told: HashSet<RoomId>,
    /// True when any room may have a new roster.
    any: bool,
}

impl Default for RosterQueue {
    fn default() -> Self {
        Self {
            work: Mutex::default(),
            added: Notify::new(),
            is_answering: AtomicBool::new(true),
            servers: Mutex::default(),
        }
    }
}

impl RosterQueue {
    /// Asks for the rosters of a room whose task has just started. Returns the task's number.
    pub(super) fn open(&self, room: &RoomId) -> TaskNumber {
        self.add(|work| {
            work.last_task += 1;
            let number = TaskNumber(work.last_task);
            let before = work.tasks.remove(room);
            let has_written = before.is_some_and(|task| task.has_written);
            let task = Task {
                number,
                has_written,
            };
            work.tasks.insert(room.clone(), task);
            work.opened.insert(room.clone());
            number
        })
    }

    /// Asks to write a room's roster, unless it has a newer task.
    pub(super) fn write(&self, room: &RoomId, task: TaskNumber, roster: Roster) {
        self.add(|work| {
            let newest = work.tasks.get_mut(room);
            if let Some(newest) = newest.filter(|newest| newest.number == task) {
                newest.has_written = true;
                work.changed.insert(room.clone(), roster);
            }
        });
    }

    /// Asks to write that a room without a task has no members here, unless it never had any.
    pub(in crate::room) fn close(&self, room: &RoomId) {
        self.add(|work| {
            let task = work.tasks.remove(room);
            work.opened.remove(room);
            if task.is_some_and(|task| task.has_written) {
                work.changed.insert(room.clone(), Roster::Named(vec![]));
            }
        });
    }

    /// Asks for the rosters of rooms with a new one on another server, or of all rooms.
    pub(in crate::room) fn tell(&self, rooms: HashSet<RoomId>, any: bool) {
        if rooms.is_empty() && !any {
            return;
        }
        self.add(|work| {
            work.told.extend(rooms);
            work.any |= any;
            if work.told.len() > MAX_ROOMS {
                work.any = true;
            }
            if work.any {
                work.told.clear();
            }
        });
    }

    /// Notes the other servers that are not known to be gone.
    pub(super) fn note_servers(&self, servers: impl Iterator<Item = ServerId>) {
        *self.servers() = servers.collect();
    }

    /// Returns the other servers that are not known to be gone, even if they are not listed.
    pub(in crate::room) fn known_servers(&self) -> HashSet<ServerId> {
        self.servers().clone()
    }

    fn servers(&self) -> MutexGuard<'_, HashSet<ServerId>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns false while the rosters cannot be read: nobody should wait for them.
    pub(in crate::room) fn is_answering(&self) -> bool {
        self.is_answering.load(Ordering::Relaxed)
    }

    pub(super) fn set_answering(&self, is_answering: bool) {
        self.is_answering.store(is_answering, Ordering::Relaxed);
    }

    /// Waits until work is added. Cancel safe; for one caller.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    pub(super) fn take_changed(&self) -> HashMap<RoomId, Roster> {
        mem::take(&mut self.work().changed)
    }

    pub(super) fn take_opened(&self) -> HashSet<RoomId> {
        mem::take(&mut self.work().opened)
    }

    /// Takes the rooms told of by other servers; true when it may be any room.
    pub(super) fn take_told(&self) -> (HashSet<RoomId>, bool) {
        let mut work = self.work();
        (mem::take(&mut work.told), mem::take(&mut work.any))
    }

    /// Returns true when there is work that goes together.
    pub(super) fn has_batch(&self) -> bool {
        let work = self.work();
        work.any || !work.told.is_empty() || !work.changed.is_empty()
    }

    fn add<T>(&self, add: impl FnOnce(&mut Work) -> T) -> T {
        let added = add(&mut self.work());
        self.added.notify_one();
        added
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> RoomId {
        "r".try_into().unwrap()
    }

    fn named(names: &[&str]) -> Roster {
        let user = |name: &&str| (*name).try_into().unwrap();
        Roster::Named(names.iter().map(user).collect())
    }

    #[test]
    fn a_room_that_never_had_a_member_leaves_nothing_to_write() {
        let queue = RosterQueue::default();
        queue.open(&room());
        queue.close(&room());
        assert!(queue.take_opened().is_empty() && !queue.has_batch());
    }

    #[test]
    fn a_task_that_ends_writes_nothing_over_its_successor() {
        let queue = RosterQueue::default();
        let [first, second] = [queue.open(&room()), queue.open(&room())];
        queue.write(&room(), second, named(&["ann"]));
        queue.write(&room(), first, named(&[]));
        assert_eq!(queue.take_changed(), [(room(), named(&["ann"]))].into());
    }

    #[test]
    fn a_room_without_a_task_has_no_members_though_its_last_task_wrote_none() {
        let queue = RosterQueue::default();
        let first = queue.open(&room());
        queue.write(&room(), first, named(&["ann"]));
        queue.take_changed();
        queue.open(&room());
        queue.close(&room());
        assert_eq!(queue.take_changed(), [(room(), named(&[]))].into());
    }
}
