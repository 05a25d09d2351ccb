//! The users with clients on this node, as events of their own: best effort, without the log.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::event::Event;
use crate::model::UserId;

/// The time between two looks at users who came or went.
const INTERVAL: Duration = Duration::from_secs(1);
/// The most events of users that wait for an endpoint.
const MAX_WAITING: usize = 1_024;

/// The users with clients on this node.
#[derive(Debug)]
pub(super) struct Users {
    /// Names this node, since a user may have clients on others.
    server: Uuid,
    /// The time for which a user without a client still counts as connected.
    grace: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    users: HashMap<UserId, User>,
    /// The users to look at.
    changed: HashSet<UserId>,
}

#[derive(Debug, Default)]
struct User {
    clients: usize,
    /// True when the receivers were last told that the user is connected.
    is_told: bool,
    /// The time without a client; none while there is one.
    left: Option<Instant>,
}

impl Users {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            server: Uuid::now_v7(),
            grace,
            state: Mutex::default(),
        }
    }

    /// Adds a client of a user.
    pub(super) fn add(&self, user: &UserId) {
        let mut state = self.state();
        let entry = state.users.entry(user.clone()).or_default();
        entry.clients += 1;
        entry.left = None;
        if !entry.is_told {
            state.changed.insert(user.clone());
        }
    }

    /// Removes a client of a user.
    pub(super) fn remove(&self, user: &UserId) {
        let state = &mut *self.state();
        let Some(entry) = state.users.get_mut(user) else {
            return;
        };
        entry.clients = entry.clients.saturating_sub(1);
        if entry.clients == 0 {
            entry.left = Some(Instant::now());
            state.changed.insert(user.clone());
        }
    }

    /// Waits, and returns the events of users who came or went. Those who did both have none.
    pub(super) async fn next(&self) -> Vec<Event> {
        sleep(INTERVAL).await;
        self.changes()
    }

    fn changes(&self) -> Vec<Event> {
        let state = &mut *self.state();
        let State { users, changed } = state;
        let mut events = vec![];
        changed.retain(|user| {
            let Some(entry) = users.get_mut(user) else {
                return false;
            };
            match (entry.left, entry.is_told) {
                (None, false) => {
                    entry.is_told = true;
                    events.push(Event::of_user(user, self.server, true));
                }
                (None, true) => {}
                (Some(left), true) if left.elapsed() < self.grace => return true,
                (Some(_), is_told) => {
                    if is_told {
                        events.push(Event::of_user(user, self.server, false));
                    }
                    users.remove(user);
                }
            }
            false
        });
        events
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of users on their way to an endpoint. Beyond [`MAX_WAITING`], further ones are lost.
#[derive(Debug, Default)]
pub(super) struct UserEvents {
    waiting: Mutex<VecDeque<Arc<Event>>>,
    added: Notify,
}

impl UserEvents {
    /// Queues events. Never waits.
    pub(super) fn add(&self, events: &[Arc<Event>]) {
        let mut waiting = self.waiting();
        let free = MAX_WAITING.saturating_sub(waiting.len());
        waiting.extend(events.iter().take(free).cloned());
        self.added.notify_one();
    }

    /// Waits for events, and takes some of them.
    pub(super) async fn next(&self, limit: usize) -> Vec<Arc<Event>> {
        loop {
            let taken = {
                let mut waiting = self.waiting();
                let count = limit.min(waiting.len());
                Vec::from_iter(waiting.drain(..count))
            };
            if !taken.is_empty() {
                return taken;
            }
            self.added.notified().await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_users_first_and_last_clients_are_events_and_a_short_break_is_none() {
        let users = Users::new(Duration::from_secs(5));
        let ann = "ann".try_into().unwrap();
        let changes = || Vec::from_iter(users.changes().iter().map(Event::kind));
        users.add(&ann);
        users.add(&ann);
        assert_eq!(changes(), ["user.connected"]);
        users.remove(&ann);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(changes(), [""; 0]);
        users.remove(&ann);
        assert_eq!(changes(), [""; 0]);
        tokio::time::advance(Duration::from_secs(4)).await;
        users.add(&ann);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(changes(), [""; 0]);
        users.remove(&ann);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(changes(), ["user.disconnected"]);
        users.add(&ann);
        users.remove(&ann);
        assert_eq!(changes(), [""; 0]);
        assert!(users.state().users.is_empty() && users.state().changed.is_empty());
    }
}
