//! A room's link with the roster keeper.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::queue::{RosterQueue, TaskNumber};
use crate::{
    model::RoomId,
    room::{
        mailbox::RoomHandle,
        members::{Members, RostersRead},
    },
};

/// The longest wait of a room's first joiners for the rosters of other servers.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// A room's link with the roster keeper of its node.
pub(in crate::room) struct RosterLink {
    room: RoomId,
    task: TaskNumber,
    queue: Arc<RosterQueue>,
    /// The end of the wait for the first rosters of other servers; none once they are known.
    wait_until: Option<Instant>,
    /// Keeps the room's task while a user may be in its grace period: the other servers still
    /// count the user as present.
    hold: Option<RoomHandle>,
}

impl RosterLink {
    /// Asks for the rosters of a room that becomes active.
    pub(in crate::room) fn open(room: RoomId, queue: Arc<RosterQueue>) -> Self {
        let task = queue.open(&room);
        let wait_until = queue.is_answering().then(|| Instant::now() + MAX_WAIT);
        Self {
            room,
            task,
            queue,
            wait_until,
            hold: None,
        }
    }

    /// Takes in the rosters of other servers, for a room that may be followed from outside.
    pub(in crate::room) fn read(
        &mut self,
        members: &mut Members,
        rosters: RostersRead,
        is_followed: bool,
    ) {
        self.wait_until = None;
        members.read(rosters, is_followed);
    }

    /// Returns true while joiners should wait for the rosters of other servers.
    pub(in crate::room) fn is_waiting(&self) -> bool {
        self.wait_until.is_some_and(|until| Instant::now() < until)
    }

    /// Holds the room's task for a user in its grace period.
    pub(in crate::room) fn hold(&mut self, handle: RoomHandle) {
        self.hold = Some(handle);
    }

    /// Writes this server's roster when it is time, and ends a hold without use.
    pub(in crate::room) fn keep_up(&mut self, members: &mut Members) {
        if !self.is_waiting() {
            self.wait_until = None;
        }
        if let Some(roster) = members.take_roster(Instant::now()) {
            self.queue.write(&self.room, self.task, roster);
        }
        if !members.has_away() {
            self.hold = None;
        }
    }

    /// Returns the time of the next [`RosterLink::keep_up`].
    pub(in crate::room) fn next_tick(&self, members: &Members) -> Option<Instant> {
        self.wait_until
            .into_iter()
            .chain(members.next_roster())
            .min()
    }
}
