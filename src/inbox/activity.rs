//! The task that reads the lists of watching users, and tells them of activity in their rooms.

use std::{collections::HashMap, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{Inbox, RoomActivity, watch::Audience};
use crate::{
    model::{Latest, RoomId, Seq, UserId},
    store::StoreError,
};

/// The least time between two packets about a room to a user.
const TELL_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The time between two comparisons of watched rooms with their logs, on several servers.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// The most lists read by one statement.
const MAX_LISTS: usize = 50;
/// The most lists read again in a sweep: reports of reads and follows may be lost, too.
const MAX_REREAD: usize = 200;
/// The most rooms in a statement for their newest messages.
const MAX_ROOMS: usize = 256;
/// The most rooms in a statement for their newest places.
const MAX_HEADS: usize = 1_000;

impl Inbox {
    /// Tells watchers of activity for ever. None of its duties can starve another.
    pub(super) async fn keep_watch(&self) {
        let (mut tell_at, mut load_at) = (Instant::now(), Instant::now());
        let mut sweep_at = Instant::now() + SWEEP_INTERVAL;
        loop {
            let done = tokio::select! {
                () = async { sleep_until(load_at).await; self.watch.reloading.notified().await } => {
                    let done = self.load_lists().await;
                    load_at = Instant::now() + done.as_ref().map_or(RETRY_DELAY, |()| Duration::ZERO);
                    done
                }
                () = async { sleep_until(tell_at).await; self.watch.telling.notified().await } => {
                    tell_at = Instant::now() + TELL_INTERVAL;
                    self.tell_activity().await
                }
                () = sleep_until(sweep_at), if self.context.bus.is_some() => {
                    sweep_at = Instant::now() + SWEEP_INTERVAL;
                    self.sweep().await
                }
            };
            if let Err(cause) = done {
                tracing::debug!(%cause, "followed rooms not read, trying again");
            }
        }
    }

    /// Reads the lists of users who begin to watch or whose lists have changed.
    async fn load_lists(&self) -> Result<(), StoreError> {
        loop {
            let users = self.watch.take_stale(MAX_LISTS);
            if users.is_empty() {
                return Ok(());
            }
            let followed = self.context.memberships().followed(&users).await;
            let followed = followed.inspect_err(|_| self.watch.stale(users.clone()))?;
            for (user, left) in self.watch.load(&users, followed) {
                self.context.delivery.activity(&user, &left);
            }
        }
    }

    async fn tell_activity(&self) -> Result<(), StoreError> {
        let mut news = self.watch.take_news().into_iter().peekable();
        while news.peek().is_some() {
            let some: Vec<_> = news.by_ref().take(MAX_ROOMS).collect();
            if let Err(cause) = self.tell_of(&some).await {
                self.watch.put_back(some.into_iter().chain(news));
                return Err(cause);
            }
        }
        Ok(())
    }

    async fn tell_of(&self, news: &[(RoomId, Seq, Audience)]) -> Result<(), StoreError> {
        let places = news.iter().map(|(room, looked, _)| (room.clone(), *looked));
        let places = Vec::from_iter(places);
        let mut audiences: HashMap<_, _> = news
            .iter()
            .map(|(room, _, audience)| (room, audience))
            .collect();
        let (mut told, mut guarded) = (vec![], vec![]);
        for latest in self.context.memberships().latest(&places).await? {
            if let Some(audience) = audiences.remove(&latest.room_id) {
                let list = if latest.is_created {
                    &mut guarded
                } else {
                    &mut told
                };
                list.extend(self.watch.tell(&latest, audience));
            }
        }
        for (room, audience) in audiences {
            let latest = Latest::without_messages(room.clone());
            told.extend(self.watch.tell(&latest, audience));
        }
        told.extend(self.permitted(guarded).await?);
        for (user, activity) in told {
            self.context.delivery.activity(&user, &activity);
        }
        Ok(())
    }

    /// Returns the news of rooms that their users may be in; those of others are dropped.
    async fn permitted(
        &self,
        mut told: Vec<(UserId, RoomActivity)>,
    ) -> Result<Vec<(UserId, RoomActivity)>, StoreError> {
        let place =
            |(user, activity): &(UserId, RoomActivity)| (activity.room_id().clone(), user.clone());
        let places = Vec::from_iter(told.iter().map(place));
        if !places.is_empty() {
            let standings = self.context.store.rooms().standings(&places).await?;
            told.retain(|news| {
                let standing = standings.get(&place(news));
                standing.is_none_or(|standing| standing.exclusion().is_none())
            });
        }
        Ok(told)
    }

    /// Finds the watched rooms with messages that no report named, and reads some lists again.
    async fn sweep(&self) -> Result<(), StoreError> {
        let told = self.watch.told();
        let rooms: Vec<_> = told.keys().cloned().collect();
        for rooms in rooms.chunks(MAX_HEADS) {
            for (room, head) in self.context.store.heads(rooms).await? {
                if told.get(&room).is_some_and(|told| *told < head.seq) {
                    self.watch.active(&room);
                }
            }
        }
        self.watch.stale(self.watch.some(MAX_REREAD));
        Ok(())
    }
}
