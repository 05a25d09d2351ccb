//! The changes of a room's members since its last presence packet.

use std::collections::HashSet;

use tokio::time::Instant;

use super::{INTERVAL, LARGE_INTERVAL};
use crate::{
    model::{RoomId, UserId},
    room::fanout::Presence,
};

/// The changes since the last packet.
#[derive(Debug)]
pub(super) struct PendingChanges {
    joined: HashSet<UserId>,
    left: HashSet<UserId>,
    /// True when the number of members without names has changed.
    recounted: bool,
    pub(super) quiet_until: Instant,
    told_count: usize,
}

impl PendingChanges {
    pub(super) fn new() -> Self {
        Self {
            joined: HashSet::new(),
            left: HashSet::new(),
            recounted: false,
            quiet_until: Instant::now(),
            told_count: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.left.is_empty() && !self.recounted
    }

    /// Forgets the changes: nobody is here to be told.
    pub(super) fn forget(&mut self) {
        self.joined.clear();
        self.left.clear();
        self.recounted = false;
    }

    /// Notes a change of the number of members without names.
    pub(super) fn recount(&mut self) {
        self.recounted = true;
    }

    /// Notes a user who came. The name goes out even if the user's leaving did not: joiners in
    /// between have a list without the user.
    pub(super) fn came(&mut self, user: &UserId) {
        self.left.remove(user);
        self.joined.insert(user.clone());
    }

    /// Notes a user who left. The name goes out even if the user's coming did not: joiners in
    /// between have a list with the user.
    pub(super) fn went(&mut self, user: &UserId) {
        self.joined.remove(user);
        self.left.insert(user.clone());
    }

    /// Takes the changes for a packet; returns none when a large room's count has not changed.
    pub(super) fn flush(
        &mut self,
        now: Instant,
        room: &RoomId,
        count: usize,
        large: bool,
    ) -> Option<Presence> {
        let (joined, left) = (self.joined.drain(), self.left.drain());
        let (joined, left) = if large {
            (vec![], vec![])
        } else {
            (joined.collect(), left.collect())
        };
        let unchanged = large && count == self.told_count;
        self.recounted = false;
        self.told_count = count;
        self.quiet_until = now + if large { LARGE_INTERVAL } else { INTERVAL };
        (!unchanged).then(|| Presence {
            room_id: room.clone(),
            joined,
            left,
            member_count: count,
        })
    }
}
