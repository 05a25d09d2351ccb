//! A room's members and their presence.
//!
//! Members are users, not clients. A change goes out at once only after a quiet time; further
//! changes go out together. Otherwise presence would cost the square of a big room's size.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::fanout::{MAX_LISTED, Presence};
use crate::model::{RoomId, UserId};

/// The least time between two presence packets of a room.
pub const INTERVAL: Duration = Duration::from_millis(250);
/// The least time between two presence packets of a large room.
pub const LARGE_INTERVAL: Duration = Duration::from_secs(1);

/// The settings of presence.
#[derive(Debug, Clone, Copy)]
pub struct PresenceSettings {
    /// The grace period: after its last connection broke, a user counts as present for this long.
    pub grace: Duration,
    /// The most members of a room whose changes carry names.
    pub names_limit: usize,
}

/// A client's number on this node.
pub type ClientId = u64;

/// A client's way of leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// On purpose: a user without another client here is gone at once.
    Left,
    /// The connection broke: the user has the grace period to come back.
    Broken,
}

#[derive(Debug)]
pub(super) struct Members {
    settings: PresenceSettings,
    clients: HashMap<ClientId, UserId>,
    users: HashMap<UserId, UserState>,
    /// The users whose last connection broke, with the end of their grace period, earliest first.
    /// Some may be back.
    away: VecDeque<(Instant, UserId)>,
    pending: PendingChanges,
}

#[derive(Debug, Default)]
struct UserState {
    clients: usize,
    away_until: Option<Instant>,
}

/// The changes since the last packet.
#[derive(Debug)]
struct PendingChanges {
    joined: HashSet<UserId>,
    left: HashSet<UserId>,
    quiet_until: Instant,
    told_count: usize,
}

impl Members {
    pub(super) fn new(settings: PresenceSettings) -> Self {
        Self {
            settings,
            clients: HashMap::new(),
            users: HashMap::new(),
            away: VecDeque::new(),
            pending: PendingChanges {
                joined: HashSet::new(),
                left: HashSet::new(),
                quiet_until: Instant::now(),
                told_count: 0,
            },
        }
    }

    pub(super) fn count(&self) -> usize {
        self.users.len()
    }

    pub(super) fn contains(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    pub(super) fn listed(&self) -> Vec<UserId> {
        self.users.keys().take(MAX_LISTED).cloned().collect()
    }

    /// Adds a client; changes nothing if it is in already.
    pub(super) fn enter(&mut self, client: ClientId, user: &UserId) {
        if self.clients.insert(client, user.clone()).is_some() {
            return;
        }
        let pending = &mut self.pending;
        let state = self.users.entry(user.clone()).or_insert_with(|| {
            pending.came(user);
            UserState::default()
        });
        state.clients += 1;
        state.away_until = None;
    }

    /// Removes a client; changes nothing if it is not in.
    pub(super) fn leave(&mut self, client: ClientId, how: Departure) {
        let Some(user) = self.clients.remove(&client) else {
            return;
        };
        let Some(state) = self.users.get_mut(&user) else {
            return;
        };
        state.clients -= 1;
        if state.clients > 0 {
            return;
        }
        match how {
            Departure::Left => self.remove(&user),
            Departure::Broken => {
                let until = Instant::now() + self.settings.grace;
                state.away_until = Some(until);
                self.away.push_back((until, user));
            }
        }
    }

    fn remove(&mut self, user: &UserId) {
        self.users.remove(user);
        self.pending.went(user);
    }

    /// Returns the time of the next [`Members::tick`].
    pub(super) fn next_tick(&self) -> Option<Instant> {
        let departure = self.away.front().map(|(until, _)| *until);
        let packet = (!self.pending.is_empty()).then_some(self.pending.quiet_until);
        departure.into_iter().chain(packet).min()
    }

    /// Removes the users whose grace period is over, and returns the packet now due, if any.
    pub(super) fn tick(&mut self, room_id: &RoomId) -> Option<Presence> {
        let now = Instant::now();
        while let Some((_, user)) = self.away.pop_front_if(|(until, _)| *until <= now) {
            let until = self.users.get(&user).and_then(|user| user.away_until);
            if until.is_some_and(|until| until <= now) {
                self.remove(&user);
            }
        }
        if self.pending.is_empty() || now < self.pending.quiet_until {
            return None;
        }
        let large = self.count() > self.settings.names_limit;
        self.pending.flush(now, room_id, self.users.len(), large)
    }
}

impl PendingChanges {
    fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.left.is_empty()
    }

    /// Notes a user who came. The name goes out even if the user's leaving did not: joiners in
    /// between have a list without the user.
    fn came(&mut self, user: &UserId) {
        self.left.remove(user);
        self.joined.insert(user.clone());
    }

    /// Notes a user who left. The name goes out even if the user's coming did not: joiners in
    /// between have a list with the user.
    fn went(&mut self, user: &UserId) {
        self.joined.remove(user);
        self.left.insert(user.clone());
    }

    /// Takes the changes for a packet; returns none when a large room's count has not changed.
    fn flush(
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

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: PresenceSettings = PresenceSettings {
        grace: Duration::from_secs(5),
        names_limit: 3,
    };

    fn user(name: &str) -> UserId {
        name.try_into().unwrap()
    }

    fn room() -> RoomId {
        "room".try_into().unwrap()
    }

    fn names(users: &[UserId]) -> Vec<&str> {
        let mut names: Vec<_> = users.iter().map(UserId::as_str).collect();
        names.sort_unstable();
        names
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_change_goes_out_at_once_and_further_ones_together() {
        let mut members = Members::new(SETTINGS);
        members.enter(1, &user("ann"));
        let first = members.tick(&room()).unwrap();
        assert_eq!((names(&first.joined), first.member_count), (vec!["ann"], 1));

        members.enter(2, &user("bob"));
        members.enter(3, &user("cid"));
        assert_eq!(members.tick(&room()), None);
        tokio::time::advance(INTERVAL).await;
        let second = members.tick(&room()).unwrap();
        assert_eq!(
            (names(&second.joined), second.member_count),
            (vec!["bob", "cid"], 3)
        );
        assert_eq!(members.next_tick(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_who_came_and_left_between_two_packets_is_named_as_gone() {
        let mut members = Members::new(SETTINGS);
        members.enter(1, &user("ann"));
        members.tick(&room());
        members.enter(2, &user("bob"));
        members.enter(3, &user("cid"));
        members.leave(2, Departure::Left);
        tokio::time::advance(INTERVAL).await;
        let told = members.tick(&room()).unwrap();
        assert_eq!(
            (names(&told.joined), names(&told.left), told.member_count),
            (vec!["cid"], vec!["bob"], 2)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_users_tabs_are_one_member() {
        let mut members = Members::new(SETTINGS);
        members.enter(1, &user("ann"));
        members.enter(2, &user("ann"));
        members.enter(2, &user("ann"));
        members.tick(&room());
        members.leave(1, Departure::Left);
        assert_eq!((members.count(), members.next_tick()), (1, None));
        members.leave(2, Departure::Left);
        tokio::time::advance(INTERVAL).await;
        let told = members.tick(&room()).unwrap();
        assert_eq!((names(&told.left), told.member_count), (vec!["ann"], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_connection_leaves_after_the_grace_unless_it_returns() {
        let mut members = Members::new(SETTINGS);
        members.enter(1, &user("ann"));
        members.enter(2, &user("bob"));
        members.tick(&room());
        members.leave(1, Departure::Broken);
        members.leave(2, Departure::Broken);
        tokio::time::advance(SETTINGS.grace / 2).await;
        members.enter(3, &user("ann"));
        members.leave(3, Departure::Broken);
        tokio::time::advance(SETTINGS.grace / 2).await;
        assert_eq!(names(&members.tick(&room()).unwrap().left), ["bob"]);
        tokio::time::advance(SETTINGS.grace / 2).await;
        assert_eq!(names(&members.tick(&room()).unwrap().left), ["ann"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_room_is_told_only_how_many_and_once_a_second() {
        let mut members = Members::new(SETTINGS);
        for (number, name) in ["ann", "bob", "cid", "dot"].into_iter().enumerate() {
            members.enter(number as u64, &user(name));
        }
        let told = members.tick(&room()).unwrap();
        assert_eq!(
            (told.joined, told.left, told.member_count),
            (vec![], vec![], 4)
        );
        members.enter(9, &user("eve"));
        tokio::time::advance(LARGE_INTERVAL - Duration::from_millis(1)).await;
        assert_eq!(members.tick(&room()), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(members.tick(&room()).unwrap().member_count, 5);
    }
}
