//! The tasks beside the requests.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::webhooks::Listeners;
use crate::{
    bus::Bus,
    chat::{Absence, CallKeeper, Chat},
    config::Config,
    retention::Retention,
    room::{Rooms, Tailer},
    search::Search,
    store::MessageStore,
    webhooks::Webhooks,
};

/// The tasks beside the requests.
#[derive(Default)]
pub(super) struct Background {
    pub(super) tasks: TaskTracker,
    pub(super) migrated: CancellationToken,
    pub(super) stopping: CancellationToken,
}

impl Background {
    /// Starts a task that waits until the tables are up to date, and ends at the stop.
    pub(super) fn spawn<F>(&self, run: impl FnOnce(CancellationToken) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let (tables, stop) = (self.migrated.clone(), self.stopping.clone());
        self.tasks.spawn(async move {
            stop.run_until_cancelled(tables.cancelled()).await;
            run(stop).await;
        });
    }

    /// Starts the tasks that follow the other servers, if there can be any: the tailer, and the keeper of the
    /// rosters.
    pub(super) fn follow(
        &self,
        bus: Option<Arc<dyn Bus>>,
        store: &Arc<dyn MessageStore>,
        rooms: &Rooms,
        listeners: Listeners,
    ) {
        let Some(bus) = bus else {
            return;
        };
        let tailer = Tailer::new(rooms.clone(), store.clone(), bus, Arc::new(listeners));
        self.tasks.spawn(tailer.run(self.stopping.clone()));
        if let Some(keeper) = rooms.roster_keeper() {
            self.spawn(|stop| keeper.run(stop));
        }
    }

    /// Starts the keeper of the calls' times.
    pub(super) fn keep_calls(&self, chat: &Arc<Chat>) {
        let keeper = CallKeeper::new(chat.clone());
        self.spawn(|stop| keeper.run(stop));
    }

    /// Starts the look for operators who are away, if they can lose anything.
    pub(super) fn look_for_operators(
        &self,
        config: &Config,
        chat: &Arc<Chat>,
        store: &Arc<dyn MessageStore>,
    ) {
        if let Some(away) = config.conversations.away() {
            let absence = Absence::new(chat.clone(), store.clone(), away);
            self.spawn(|stop| absence.run(stop));
        }
    }

    /// Starts the tasks that keep the database: webhooks, the end of old messages, and the index of words.
    pub(super) fn keep(
        &self,
        config: &Config,
        store: &Arc<dyn MessageStore>,
        rooms: &Rooms,
        webhooks: Option<Arc<Webhooks>>,
        search: Option<Arc<Search>>,
    ) {
        if let Some(webhooks) = webhooks {
            self.spawn(|stop| webhooks.run(stop));
        }
        if let Some(age) = config.retention() {
            let retention = Retention::new(store.clone(), rooms.clone(), age);
            self.spawn(|stop| retention.run(stop));
        }
        if let Some(search) = search {
            self.spawn(|stop| search.run(stop));
        }
    }
}
