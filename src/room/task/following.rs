//! Followers of the room: they hear what its members hear, and are no members.

use super::Room;
use crate::room::{
    following::{Begin, Followed},
    rosters::RosterLink,
};

/// Those who wait to follow a room.
#[derive(Default)]
pub(super) struct Waiters(Vec<Begin>);

impl Waiters {
    pub(super) fn push(&mut self, begin: Begin) {
        self.0.push(begin);
    }

    /// Gives up on all of them, as the log cannot be read.
    pub(super) fn refuse_all(&mut self) {
        self.0.clear();
    }
}

impl Room {
    /// Lets the waiting followers begin once the room knows the end of its log and its members.
    pub(super) fn let_follow(&mut self) {
        if self.followers.0.is_empty() {
            return;
        }
        let awaits_rosters = self.rosters.as_ref().is_some_and(RosterLink::is_waiting);
        if self.tail.prepare() || awaits_rosters || !self.tail.is_loaded() {
            return;
        }
        for begin in self.followers.0.drain(..) {
            begin(Followed {
                last_seq: self.tail.cursor(),
                last_revision: self.tail.revision(),
                present: self.members.present(),
                room: self.tail.settings().cloned(),
            });
        }
    }
}
