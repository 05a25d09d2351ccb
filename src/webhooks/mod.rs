//! Webhooks: events of the log, sent to the endpoints of other programs by HTTP.
//!
//! The log is the queue. Each endpoint has a place in each room, and nothing is written when a
//! message is sent. One server in the cluster sends to an endpoint, by a lease in the database; it
//! reads on from the places, in order per room, and moves them after each answer. So each event is
//! delivered at least once, and a crash repeats the requests in flight.
//!
//! A server hears of new events as its rooms do: by its own commits, and by the reports of other
//! servers. A round over all rooms finds the rest.

mod client;
mod commits;
mod database;
mod delivery;
mod endpoint;
mod event;
mod feed;
mod keeper;
mod pending;
mod results;
mod sender;
mod settings;
mod users;

use std::sync::Arc;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use self::{client::Client, database::Database, feed::Feed, keeper::Keeper, users::Users};
pub use self::{
    endpoint::{Endpoint, Endpoints},
    sender::AT_ONCE,
    settings::{MAX_BATCH, Settings, Timing},
};
use crate::{
    bus::News,
    metrics,
    model::{Outcome, RoomId, UserId},
    store::{MessageStore, StoreError},
};

/// The most rooms in a statement of a round, and of a registration.
const ROOMS_AT_ONCE: usize = 1_000;

/// The senders of a node.
pub struct Webhooks {
    store: Arc<dyn MessageStore>,
    keepers: Vec<Keeper>,
    users: Users,
}

impl Webhooks {
    /// Creates the senders of a node; none without endpoints, or on a store that keeps no places.
    pub fn new(
        settings: Settings,
        store: Arc<dyn MessageStore>,
        metrics: metrics::Webhooks,
    ) -> Option<Self> {
        store.webhooks()?;
        let settings = Arc::new(settings);
        let client = Client::new(settings.allow_private, settings.timing.timeout, metrics);
        let users = Users::new(settings.grace);
        let database = Arc::<Database>::default();
        let keepers = settings.endpoints.iter().map(|endpoint| {
            let (settings, store, client) = (settings.clone(), store.clone(), client.clone());
            Keeper::new(endpoint.clone(), settings, store, client, database.clone())
        });
        let keepers = Vec::from_iter(keepers);
        (!keepers.is_empty()).then_some(Self {
            store,
            keepers,
            users,
        })
    }

    /// Makes the endpoints known to the database: a new one begins at the present end of each room.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. Another call goes on where this one stopped.
    pub async fn register(&self) -> Result<(), StoreError> {
        let Some(state) = self.store.webhooks() else {
            return Ok(());
        };
        for endpoint in self.keepers.iter().map(Keeper::endpoint) {
            if state.register(endpoint.id(), endpoint.url()).await? {
                continue;
            }
            let mut last = None;
            loop {
                let reached = state.start_at_end(endpoint.id(), last.as_ref(), ROOMS_AT_ONCE);
                last = reached.await?;
                if last.is_none() {
                    break;
                }
            }
            tracing::info!(%endpoint, "webhooks begin with the events from now on");
        }
        Ok(())
    }

    /// Sends events until `stop`, in the endpoints' turns of this node.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let sending = join_all(self.keepers.iter().map(|keeper| keeper.run(&stop)));
        let telling = join_all(self.keepers.iter().map(Keeper::send_users));
        let beside = async { tokio::join!(self.watch_users(), telling) };
        tokio::join!(sending, stop.run_until_cancelled(beside));
    }

    /// Tells the endpoints of users who come and go.
    async fn watch_users(&self) {
        loop {
            let events = self.users.next().await.into_iter().map(Arc::new);
            let events = Vec::from_iter(events);
            for keeper in self.keepers.iter().filter(|_| !events.is_empty()) {
                keeper.tell_users(&events);
            }
        }
    }

    /// Notes a client of a user.
    pub fn connected(&self, user: &UserId) {
        self.users.add(user);
    }

    /// Notes the end of a client of a user.
    pub fn disconnected(&self, user: &UserId) {
        self.users.remove(user);
    }

    /// Notes the rooms of a commit.
    pub fn observe(&self, outcome: &Outcome) {
        for feed in self.feeds() {
            match outcome {
                Outcome::Stored {
                    messages, changes, ..
                } => {
                    feed.add(messages.iter().map(|stored| &stored.message.room_id));
                    feed.add(changes.iter().map(|revised| &revised.room_id));
                }
                Outcome::Unknown(rooms) => feed.add(rooms),
            }
        }
    }

    /// Notes the rooms of other servers' commits.
    pub fn hear(&self, news: &News) {
        for feed in self.feeds() {
            feed.add(news.wakes.rooms.keys());
            feed.add(news.wakes.changes.keys());
            if news.wakes.any {
                feed.add_any();
            }
        }
    }

    /// Notes a change of a room's settings or members.
    pub fn changed(&self, room: &RoomId) {
        for feed in self.feeds() {
            feed.add([room]);
        }
    }

    /// Returns the feeds of the endpoints that this node sends to.
    fn feeds(&self) -> impl Iterator<Item = &Feed> {
        let feeds = self.keepers.iter().map(Keeper::feed);
        feeds.filter(|feed| feed.is_open())
    }
}
