//! News of conversations, on their way to the operators who watch.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{Inbox, in_time};
use crate::model::{Queued, RoomId};

/// The most news that wait; the oldest are dropped beyond it.
const MAX_WAITING: usize = 4_096;

/// News that wait, so that no commit waits for the operators.
#[derive(Default)]
pub(super) struct ConversationNews {
    waiting: Mutex<VecDeque<(RoomId, Queued)>>,
    added: Notify,
}

impl ConversationNews {
    /// Adds news. Never waits.
    pub(super) fn add(&self, room: &RoomId, queued: &Queued) {
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_WAITING {
            waiting.pop_front();
        }
        waiting.push_back((room.clone(), queued.clone()));
        drop(waiting);
        self.added.notify_one();
    }

    /// Waits for the next news.
    async fn next(&self) -> (RoomId, Queued) {
        loop {
            let next = self.waiting().pop_front();
            if let Some(next) = next {
                return next;
            }
            self.added.notified().await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(RoomId, Queued)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// Tells the operators who watch of conversations, in order. Nobody hears of a room that it may not be
    /// in; while the database does not tell who that is, nobody hears anything.
    pub(super) async fn tell_watchers(&self) {
        loop {
            let (room, queued) = self.news.next().await;
            let delivery = &self.context.delivery;
            let watchers = delivery.watchers().into_iter();
            let places: Vec<_> = watchers.map(|watcher| (room.clone(), watcher)).collect();
            if places.is_empty() {
                continue;
            }
            let standings = self.context.store.rooms().standings(&places);
            match in_time(standings).await {
                Ok(standings) => {
                    let shut_out = standings.into_iter();
                    let shut_out = shut_out.filter(|(_, standing)| standing.exclusion().is_some());
                    let shut_out = shut_out.map(|((_, user), _)| user).collect();
                    delivery.conversation(&room, &queued, &shut_out);
                }
                Err(error) => tracing::debug!(%room, %error, "operators not told"),
            }
        }
    }
}
