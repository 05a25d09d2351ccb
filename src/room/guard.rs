//! A room's guard: it puts out the users who may not be in the room any more.
//!
//! The settings of a room that somebody created have the revision of their last change, and that of
//! its members. When the guard sees a new one, it asks the database about the users that are here.
//! Whoever joins proves to be allowed in as of the revision that the room knows.

use std::collections::HashMap;

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
            Ok(excluded) => {
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

    /// Returns the time of the next [`Guard::keep_up`]; none while a check is in flight.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.checking.is_none())
    }

    /// Returns true when the users here are checked as of a revision of the settings.
    pub(super) fn has_checked(&self, settings: Option<Revision>) -> bool {
        settings.is_none_or(|revision| revision <= self.checked)
    }

    /// Lets somebody wait until the room has reached a revision, and its users are checked.
    pub(super) fn confirm(&mut self, revision: Revision, done: oneshot::Sender<()>) {
        self.confirmations.push((revision, done));
    }

    /// Answers those who wait for revisions that the room has reached.
    pub(super) fn answer(&mut self, has_reached: impl Fn(Revision) -> bool) {
        let reached = |waiting: &mut (Revision, _)| has_reached(waiting.0);
        for (_, done) in self.confirmations.extract_if(.., reached) {
            done.send(()).ok();
        }
    }
}
