//! A room's guard: it puts out the users who may not be in the room any more.
//!
//! The settings of a room that somebody created have the revision of their last change, and that of
//! its members. When the guard sees a new one, it asks the database about the users that are here.
//! Whoever joins proves to be allowed in as of the revision that the room knows.

use std::collections::{HashMap, HashSet};

use futures_util::future::BoxFuture;
use tokio::{sync::oneshot, time::Instant};

use super::{
    context::RoomContext,
    reading::{READ_TIMEOUT, RETRY_DELAY, Unread, read},
};
use crate::model::{Exclusion, Revision, RoomId, UserId};

/// The users who have to leave.
pub(super) type Excluded = HashMap<UserId, Exclusion>;

/// The guard of a room.
#[derive(Default)]
pub(super) struct Guard {
    /// Nobody is here who may not be, as of this revision.
    checked: Revision,
    checking: Option<(Revision, BoxFuture<'static, Result<Excluded, Unread>>)>,
    /// The users who have joined since the check began. If somebody shuts one of them out, the next check
    /// will tell.
    joined: HashSet<UserId>,
    retry_at: Option<Instant>,
    /// Those who wait for a check.
    confirmations: Vec<(Revision, oneshot::Sender<()>)>,
}

impl Guard {
    /// Begins to check the users here if the settings are new.
    pub(super) fn keep_up(
        &mut self,
        settings: Option<Revision>,
        users: impl FnOnce() -> Vec<UserId>,
        room: &RoomId,
        context: &RoomContext,
    ) {
        if settings.unwrap_or_default() < self.checked {
            // The log went back.
            self.checked = Revision::ZERO;
        }
        let is_paused = self.retry_at.is_some_and(|at| Instant::now() < at);
        let Some(revision) = settings.filter(|revision| *revision > self.checked) else {
            return;
        };
        if self.checking.is_some() || is_paused {
            return;
        }
        let users = users();
        if users.is_empty() {
            self.checked = revision;
            return;
        }
        let (store, room) = (context.store.clone(), room.clone());
        let asking = async move {
            let places = users.into_iter().map(|user| (room.clone(), user));
            let places = Vec::from_iter(places);
            let standings = store.rooms().standings(&places).await?;
            let excluded = standings
                .into_iter()
                .filter_map(|((_, user), standing)| Some((user, standing.exclusion()?)));
            Ok(excluded.collect())
        };
        let deadline = Instant::now() + READ_TIMEOUT;
        self.joined.clear();
        self.checking = Some((revision, Box::pin(read(asking, deadline))));
    }

    /// Waits for the check in flight, and returns the users who have to leave. Cancel safe.
    pub(super) async fn excluded(&mut self) -> Excluded {
        let Some((revision, checking)) = &mut self.checking else {
            return std::future::pending().await;
        };
        let (revision, checked) = (*revision, checking.await);
        self.checking = None;
        match checked {
            Ok(mut excluded) => {
                excluded.retain(|user, _| !self.joined.contains(user));
                self.checked = revision;
                self.retry_at = None;
                excluded
            }
            Err(_) => {
                self.retry_at = Some(Instant::now() + RETRY_DELAY);
                Excluded::new()
            }
        }
    }

    /// Notes a user who has proved to be allowed in.
    pub(super) fn let_in(&mut self, user: &UserId) {
        if self.checking.is_some() {
            self.joined.insert(user.clone());
        }
    }

    /// Returns the time of the next [`Guard::keep_up`]; none while a check is in flight.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.checking.is_none())
    }

    /// Lets somebody wait until the room has reached a revision, and its users are checked.
    pub(super) fn confirm(&mut self, revision: Revision, done: oneshot::Sender<()>) {
        self.confirmations.push((revision, done));
    }

    /// Answers those who wait for revisions that the room has reached and checked, and forgets those who
    /// wait no longer.
    pub(super) fn answer(
        &mut self,
        settings: Option<Revision>,
        has_reached: impl Fn(Revision) -> bool,
    ) {
        let newest = settings.unwrap_or_default();
        let checked = self.checked;
        let is_over = |(revision, done): &mut (Revision, oneshot::Sender<()>)| {
            let is_checked = checked >= (*revision).min(newest);
            done.is_closed() || is_checked && has_reached(*revision)
        };
        for (_, done) in self.confirmations.extract_if(.., is_over) {
            done.send(()).ok();
        }
    }
}
