//! A room's members and their presence.
//!
//! Members are users, not clients, and a user on several servers is one member. A change goes out at
//! once only after a quiet time; further changes go out together. Otherwise presence would cost the
//! square of a big room's size.

mod elsewhere;
mod pace;
mod pending;

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

pub use self::elsewhere::RostersRead;
use self::{elsewhere::Elsewhere, pace::Pace, pending::PendingChanges};
use super::fanout::{MAX_LISTED, Presence};
use crate::{
    bus::Roster,
    metrics::Tally,
    model::{Exclusion, RoomId, UserId},
};

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

/// The members of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Present {
    /// The members, at most [`MAX_LISTED`].
    pub members: Vec<UserId>,
    /// The number of members.
    pub member_count: usize,
}

#[derive(Debug)]
pub(super) struct Members {
    settings: PresenceSettings,
    clients: HashMap<ClientId, UserId>,
    users: HashMap<UserId, UserState>,
    /// The users whose last connection broke, with the end of their grace period, earliest first.
    /// Some may be back.
    away: VecDeque<(Instant, UserId)>,
    /// The number of users that are here, those in their grace period included.
    here: Tally,
    elsewhere: Elsewhere,
    /// The number of members elsewhere without names.
    unnamed: usize,
    roster: Pace,
    pending: PendingChanges,
}

#[derive(Debug, Default)]
struct UserState {
    clients: usize,
    away_until: Option<Instant>,
    /// The number of other servers with the user.
    elsewhere: usize,
}

impl UserState {
    fn is_here(&self) -> bool {
        self.clients > 0 || self.away_until.is_some()
    }
}

impl Members {
    /// Creates an empty room's members, those here with their part of all rooms' figure.
    pub(super) fn new(settings: PresenceSettings, here: Tally) -> Self {
        Self {
            settings,
            clients: HashMap::new(),
            users: HashMap::new(),
            away: VecDeque::new(),
            here,
            elsewhere: Elsewhere::default(),
            unnamed: 0,
            roster: Pace::new(),
            pending: PendingChanges::new(),
        }
    }

    /// Returns the number of members. A user without a name on one server and present on another
    /// counts twice.
    pub(super) fn count(&self) -> usize {
        self.users.len() + self.unnamed
    }

    /// Returns true when a user is here, or is in its grace period here.
    pub(super) fn is_here(&self, user: &UserId) -> bool {
        self.users.get(user).is_some_and(UserState::is_here)
    }

    /// Returns true when a client is in the room.
    pub(super) fn has(&self, client: ClientId) -> bool {
        self.clients.contains_key(&client)
    }

    /// Returns true while a user here may be in its grace period.
    pub(super) fn has_away(&self) -> bool {
        !self.away.is_empty()
    }

    pub(super) fn listed(&self) -> Vec<UserId> {
        self.users.keys().take(MAX_LISTED).cloned().collect()
    }

    pub(super) fn present(&self) -> Present {
        Present {
            members: self.listed(),
            member_count: self.count(),
        }
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
        if !state.is_here() {
            self.here.increment();
            self.roster.change();
        }
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

    /// Returns the users here, those in their grace period included.
    pub(super) fn users_here(&self) -> Vec<UserId> {
        let here = self.users.iter().filter(|(_, state)| state.is_here());
        here.map(|(user, _)| user.clone()).collect()
    }

    /// Returns true when no user is here, not even in its grace period.
    pub(super) fn is_empty_here(&self) -> bool {
        self.here.count() == 0
    }

    /// Removes users with all their clients.
    pub(super) fn put_out(&mut self, excluded: &HashMap<UserId, Exclusion>) {
        self.clients.retain(|_, user| !excluded.contains_key(user));
        for user in excluded.keys() {
            if let Some(state) = self.users.get_mut(user).filter(|state| state.is_here()) {
                state.clients = 0;
                self.remove(user);
            }
        }
    }

    /// Removes a user from this server.
    fn remove(&mut self, user: &UserId) {
        if let Entry::Occupied(mut state) = self.users.entry(user.clone()) {
            state.get_mut().away_until = None;
            self.here.decrement();
            self.roster.change();
            if state.get().elsewhere == 0 {
                state.remove();
                self.pending.went(user);
            }
        }
    }

    /// Takes in the rosters of other servers. With no client and no follower here, there is nobody to be
    /// told of the changes.
    pub(super) fn read(&mut self, rosters: RostersRead, is_followed: bool) {
        let before = self.elsewhere.replace(rosters);
        for user in self.elsewhere.names() {
            let pending = &mut self.pending;
            let state = self.users.entry(user.clone()).or_insert_with(|| {
                pending.came(user);
                UserState::default()
            });
            state.elsewhere += 1;
        }
        for user in before.names() {
            if let Entry::Occupied(mut state) = self.users.entry(user.clone()) {
                state.get_mut().elsewhere -= 1;
                if state.get().elsewhere == 0 && !state.get().is_here() {
                    state.remove();
                    self.pending.went(user);
                }
            }
        }
        let unnamed = self.elsewhere.unnamed();
        if std::mem::replace(&mut self.unnamed, unnamed) != unnamed {
            self.pending.recount();
        }
        if self.clients.is_empty() && !is_followed {
            self.pending.forget();
        }
    }

    /// Returns this server's roster when it has changed, and the last one is some time ago.
    pub(super) fn take_roster(&mut self, now: Instant) -> Option<Roster> {
        self.roster.due_at().filter(|due_at| *due_at <= now)?;
        let roster = if self.here.count() > self.settings.names_limit {
            Roster::Counted(self.here.count())
        } else {
            Roster::Named(self.users_here())
        };
        self.roster.sent(&roster);
        Some(roster)
    }

    /// Returns the time of the next [`Members::take_roster`].
    pub(super) fn next_roster(&self) -> Option<Instant> {
        self.roster.due_at()
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
        self.pending.flush(now, room_id, self.count(), large)
    }
}

#[cfg(test)]
mod tests;
