//! The registry of active rooms. A room's task starts with its first joiner and ends with its last
//! handle.
//!
//! The registry holds rooms weakly. A joiner gets a handle to the running task, and the task lives
//! on; if the task has no handle left, the joiner gets one to a new task. No joiner is lost between
//! the two.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{
    asking::Questions,
    budget::Budget,
    context::RoomContext,
    lifetime::Lifetime,
    mailbox::{Command, RoomHandle, WeakRoomHandle},
    members::RostersRead,
    rosters::{RosterKeeper, RosterQueue},
    task,
};
use crate::{
    bus::{Bus, ServerId},
    metrics::{self, ChangeKind},
    model::{
        EncodedMessage, NodeReport, Outcome, Revised, Revision, RoomId, RoomLoad, Seq, Signal,
        Stored,
    },
};

/// All active rooms of this node.
#[derive(Clone)]
pub struct Rooms(Arc<Registry>);

struct Registry {
    context: Arc<RoomContext>,
    budget: Arc<Budget>,
    /// The work of the roster keeper; none on a single server.
    rosters: Option<Arc<RosterQueue>>,
    active: Mutex<HashMap<RoomId, WeakRoomHandle>>,
    questions: Questions,
    lifetime: Lifetime,
    /// Hears of changes of rooms' settings and members by this node.
    on_change: OnceLock<ChangeListener>,
    /// Tells the figures of this server.
    reporter: OnceLock<Reporter>,
}

/// A function that hears of a room's change, and never waits.
type ChangeListener = Box<dyn Fn(&RoomId) + Send + Sync>;

/// A function that tells the figures of this server, unless it stops. It never waits.
type Reporter = Box<dyn Fn() -> Option<NodeReport> + Send + Sync>;

impl Rooms {
    /// Creates the registry of a node, without active rooms.
    pub fn new(context: RoomContext) -> Self {
        Self(Arc::new(Registry {
            rosters: context.bus.is_some().then(Arc::default),
            context: Arc::new(context),
            budget: Arc::default(),
            active: Mutex::default(),
            questions: Questions::default(),
            lifetime: Lifetime::default(),
            on_change: OnceLock::new(),
            reporter: OnceLock::new(),
        }))
    }

    /// Returns a handle to a room's task, started if need be.
    pub fn enter(&self, id: &RoomId) -> RoomHandle {
        let mut active = self.active();
        if let Some(handle) = active.get(id).and_then(WeakRoomHandle::upgrade) {
            return handle;
        }
        let (rooms, ended) = (self.clone(), id.clone());
        let Registry {
            context,
            budget,
            rosters: queue,
            lifetime,
            ..
        } = &*self.0;
        let (handle, weak) = task::spawn(
            id.clone(),
            context.clone(),
            budget.clone(),
            queue.clone(),
            lifetime,
            move || rooms.forget(&ended),
        );
        active.insert(id.clone(), weak);
        handle
    }

    /// Passes a commit's outcome on to its rooms, and tells the other servers of it.
    pub fn observe(&self, outcome: Outcome) {
        match outcome {
            Outcome::Stored {
                messages,
                changes,
                conversations,
                ..
            } => {
                for (room, stored) in by_room(messages) {
                    self.stored(&room, stored);
                }
                for revised in changes {
                    self.revised(revised);
                }
                for changed in conversations {
                    if let Some(revision) = changed.revision {
                        self.changed(&changed.room_id, revision);
                    }
                }
            }
            Outcome::Unknown(rooms) => {
                for room in rooms {
                    self.tell(&room, Command::Watch);
                }
            }
        }
    }

    fn stored(&self, room: &RoomId, stored: Vec<Stored<EncodedMessage>>) {
        let newest = stored.iter().filter(|stored| !stored.duplicate);
        let newest = newest.map(|stored| stored.message.seq).max();
        self.tell(room, Command::Stored(stored));
        if let (Some(bus), Some(newest)) = (&self.0.context.bus, newest) {
            bus.tell(room, newest);
        }
    }

    fn revised(&self, revised: Revised<EncodedMessage>) {
        let (room, base) = (revised.room_id.clone(), revised.base);
        let last = revised.last(|message| message.revision);
        self.tell(&room, Command::Revised(revised));
        if let Some(bus) = self.0.context.bus.as_ref().filter(|_| last > base) {
            bus.tell_change(&room, last);
        }
    }

    /// Reports to a room its newest change. Costs no read if the room has it.
    pub(super) fn wake_to_change(&self, room: &RoomId, revision: Revision) {
        self.tell(room, Command::WakeToChange(revision));
    }

    /// Lets a room forget the messages before the oldest one of its log, or all if none is left.
    pub fn forget_before(&self, room: &RoomId, oldest: Option<Seq>) {
        let gone = oldest.map_or(Seq::END, Seq::previous);
        self.tell(room, Command::Forget(gone));
    }

    /// Lets a room read its log anew, which is known to have gone back.
    pub(super) fn read_anew(&self, room: &RoomId) {
        self.tell(room, Command::Anew);
    }

    /// Reports to a room the end of its log, `seq`. Costs no read if the room has this message.
    pub fn wake(&self, room: &RoomId, seq: Seq) {
        self.tell(room, Command::Wake(seq));
    }

    /// Passes on to a room messages read from its log: the next ones, oldest first.
    pub(super) fn found(&self, room: &RoomId, found: Vec<EncodedMessage>) {
        self.tell(room, Command::Found(found));
    }

    /// Passes on to a room here a signal of another server or another layer, unless its mailbox is
    /// full.
    pub fn signal(&self, room: &RoomId, signal: Signal) {
        let fits = self
            .find(room)
            .map(|handle| handle.signal_from_afar(signal));
        if fits == Some(false) {
            self.metrics().dropped_signals.inc();
        }
    }

    /// Returns true while the way to the other servers is too busy for clients' own events.
    pub fn is_crowded(&self) -> bool {
        self.bus().is_some_and(Bus::is_crowded)
    }

    /// Returns the handle of an active room.
    pub(super) fn find(&self, room: &RoomId) -> Option<RoomHandle> {
        self.active().get(room).and_then(WeakRoomHandle::upgrade)
    }

    /// Returns the way to the other servers; none on a single server.
    pub(super) fn bus(&self) -> Option<&dyn Bus> {
        self.0.context.bus.as_deref()
    }

    /// Returns the figures.
    pub(super) fn metrics(&self) -> &metrics::Rooms {
        &self.0.context.metrics
    }

    /// Returns the other servers that are not known to be gone.
    pub(super) fn known_servers(&self) -> HashSet<ServerId> {
        let rosters = self.0.rosters.as_ref();
        rosters.map_or_else(HashSet::new, |queue| queue.known_servers())
    }

    /// Returns the questions that wait for answers of other servers.
    pub(super) fn questions(&self) -> &Questions {
        &self.0.questions
    }

    /// Lets a function hear of changes of rooms' settings and members by this node. It must not wait.
    pub fn listen_to_changes(&self, listener: impl Fn(&RoomId) + Send + Sync + 'static) {
        self.0.on_change.set(Box::new(listener)).ok();
    }

    /// Lets a function tell the other servers the figures of this one. It must not wait.
    pub fn report_by(&self, reporter: impl Fn() -> Option<NodeReport> + Send + Sync + 'static) {
        self.0.reporter.set(Box::new(reporter)).ok();
    }

    /// Returns the figures of this server, if somebody tells them.
    pub(super) fn report(&self) -> Option<NodeReport> {
        self.0.reporter.get().and_then(|reporter| reporter())
    }

    /// Tells a room and the other servers that its settings or members have changed.
    pub fn changed(&self, room: &RoomId, revision: Revision) {
        self.metrics().changes.note(ChangeKind::Room);
        if let Some(listener) = self.0.on_change.get() {
            listener(room);
        }
        self.wake_to_change(room, revision);
        if let Some(bus) = self.bus() {
            bus.tell_change(room, revision);
        }
    }

    /// Lets a room compare its newest message with the log, which seems to have gone back.
    pub(super) fn suspect(&self, room: &RoomId) {
        self.tell(room, Command::Suspect);
    }

    /// Returns the newest delivered message and change of each active room; none while it has no
    /// messages in memory.
    pub(super) fn cursors(&self) -> HashMap<RoomId, Option<(Seq, Revision)>> {
        let active = self.active();
        let cursors = active.iter();
        cursors
            .map(|(room, handle)| (room.clone(), handle.cursors()))
            .collect()
    }

    /// Returns the ids of the active rooms.
    pub fn ids(&self) -> Vec<RoomId> {
        self.active().keys().cloned().collect()
    }

    /// Returns the rooms with messages in memory that have not delivered their log's newest one,
    /// each with its newest delivered `seq`. Rooms that are reading are left out: they read on if
    /// they are told of the newest message.
    pub(super) fn behind(&self, heads: &HashMap<RoomId, Seq>) -> Vec<(RoomId, Seq)> {
        let active = self.active();
        let places = heads.iter().filter_map(|(room, head)| {
            let handle = active.get(room).filter(|handle| !handle.is_reading())?;
            let cursor = handle.cursor()?;
            (cursor < *head).then(|| (room.clone(), cursor))
        });
        places.collect()
    }

    /// Returns the active rooms with the most members, the largest first.
    pub fn busiest(&self, limit: usize) -> Vec<RoomLoad> {
        let load = |(room, handle): (&RoomId, &WeakRoomHandle)| RoomLoad {
            room_id: room.clone(),
            members: handle.members(),
            last_seq: handle.cursor().unwrap_or(Seq::ZERO),
        };
        // Sorted without the lock.
        let mut rooms: Vec<_> = self.active().iter().map(load).collect();
        let largest_first = |one: &RoomLoad, other: &RoomLoad| {
            let by_members = other.members.cmp(&one.members);
            by_members.then_with(|| one.room_id.cmp(&other.room_id))
        };
        if rooms.len() > limit {
            rooms.select_nth_unstable_by(limit, largest_first);
            rooms.truncate(limit);
        }
        rooms.sort_unstable_by(largest_first);
        rooms
    }

    /// Returns the number of active rooms.
    pub fn count(&self) -> usize {
        self.active().len()
    }

    /// Ends all rooms, and waits for their tasks. Queued messages are delivered first.
    pub async fn stop(&self) {
        self.0.lifetime.end().await;
    }

    /// Returns the keeper of the rosters of this node's rooms; none on a single server.
    pub fn roster_keeper(&self) -> Option<RosterKeeper> {
        let (queue, bus) = (self.0.rosters.clone()?, self.0.context.bus.clone()?);
        Some(RosterKeeper::new(self.clone(), queue, bus))
    }

    /// Passes on that rooms, or any room, have a new roster on another server.
    pub(super) fn tell_rosters(&self, rooms: HashSet<RoomId>, any: bool) {
        if let Some(queue) = &self.0.rosters {
            queue.tell(rooms, any);
        }
    }

    /// Passes on to a room the rosters of other servers. Returns false when its mailbox is full.
    pub(super) fn rosters(&self, room: &RoomId, rosters: RostersRead) -> bool {
        let handle = self.find(room);
        handle.is_none_or(|handle| handle.rosters(rosters))
    }

    /// Returns the active ones of some rooms.
    pub(super) fn active_of(&self, rooms: HashSet<RoomId>) -> Vec<RoomId> {
        let active = self.active();
        let rooms = rooms.into_iter();
        rooms.filter(|room| active.contains_key(room)).collect()
    }

    /// Removes a room after its task's end, unless a new task has started meanwhile. Nobody is in
    /// the room any more.
    fn forget(&self, id: &RoomId) {
        let mut active = self.active();
        if active.get(id).is_some_and(WeakRoomHandle::is_closed) {
            active.remove(id);
            if let Some(queue) = &self.0.rosters {
                queue.close(id);
            }
        }
    }

    fn tell(&self, room: &RoomId, command: Command) {
        if let Some(room) = self.active().get(room) {
            room.tell(command);
        }
    }

    fn active(&self) -> MutexGuard<'_, HashMap<RoomId, WeakRoomHandle>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Groups stored messages by room, in order.
fn by_room(stored: Vec<Stored<EncodedMessage>>) -> HashMap<RoomId, Vec<Stored<EncodedMessage>>> {
    let mut rooms = HashMap::<_, Vec<_>>::new();
    for stored in stored {
        rooms
            .entry(stored.message.room_id.clone())
            .or_default()
            .push(stored);
    }
    rooms
}
