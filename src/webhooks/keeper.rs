//! The keeper of an endpoint's lease: one server in the cluster sends to an endpoint.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    client::{Answer, Client},
    database::Database,
    delivery::{self, Delivery},
    endpoint::Endpoint,
    event::Event,
    feed::Feed,
    results::Tally,
    sender::{Finish, Sender},
    settings::Settings,
    users::UserEvents,
};
use crate::store::{Lease, MessageStore, WebhookStore};

/// The longest wait for the database at the end of a sender.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// The keeper of an endpoint's lease on a node.
pub(super) struct Keeper {
    endpoint: Endpoint,
    settings: Arc<Settings>,
    store: Arc<dyn MessageStore>,
    client: Client,
    database: Arc<Database>,
    feed: Feed,
    tally: Tally,
    /// True while the endpoint is known to be disabled.
    is_disabled: AtomicBool,
    users: UserEvents,
}

impl Keeper {
    pub(super) fn new(
        endpoint: Endpoint,
        settings: Arc<Settings>,
        store: Arc<dyn MessageStore>,
        client: Client,
        database: Arc<Database>,
    ) -> Self {
        Self {
            endpoint,
            settings,
            store,
            client,
            database,
            feed: Feed::default(),
            tally: Tally::default(),
            is_disabled: AtomicBool::new(false),
            users: UserEvents::default(),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Queues events of users, without the log and for one attempt.
    pub(super) fn tell_users(&self, events: &[Arc<Event>]) {
        if !self.is_disabled.load(Ordering::Relaxed) {
            self.users.add(events);
        }
    }

    /// Sends queued events of users, until dropped.
    pub(super) async fn send_users(&self) {
        loop {
            let events = self.users.next(self.settings.batch).await;
            let events: Vec<_> = events.iter().map(|event| &**event).collect();
            let post = delivery::post(&self.settings, &events);
            match self.client.post(&self.endpoint, post).await {
                Answer::Taken => {}
                Answer::Gone => tracing::debug!(endpoint = %self.endpoint, "users not wanted"),
                Answer::Failed { reason, .. } => {
                    tracing::debug!(endpoint = %self.endpoint, reason, "events of users lost");
                }
            }
        }
    }

    /// Tries to take the lease, and sends while it lasts, until `stop`.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let Some(webhooks) = self.store.webhooks() else {
            return;
        };
        let timing = &self.settings.timing;
        while !stop.is_cancelled() {
            let until = Instant::now() + timing.lease;
            let lease = webhooks.lease(self.endpoint.id(), timing.lease).await;
            if let Ok(lease) = lease {
                let is_disabled = lease == Lease::Disabled;
                self.is_disabled.store(is_disabled, Ordering::Relaxed);
            }
            match lease {
                Ok(Lease::Taken(epoch)) => self.hold(webhooks, epoch, until, stop).await,
                Ok(Lease::Elsewhere | Lease::Disabled) => {}
                Err(cause) => tracing::debug!(%cause, "lease of an endpoint not taken"),
            }
            stop.run_until_cancelled(sleep(timing.renewal)).await;
        }
    }

    /// Sends while the lease lasts.
    async fn hold(
        &self,
        webhooks: &dyn WebhookStore,
        epoch: i64,
        until: Instant,
        stop: &CancellationToken,
    ) {
        tracing::debug!(endpoint = %self.endpoint, epoch, "sending webhooks");
        let delivery = Delivery {
            endpoint: &self.endpoint,
            settings: &self.settings,
            store: &*self.store,
            webhooks,
            client: &self.client,
            tally: &self.tally,
            database: &self.database,
            commits: Default::default(),
        };
        let feed = self.feed.open();
        let finish = tokio::select! {
            () = self.renew(webhooks, epoch, until) => Finish::Lost,
            finish = Sender::new(&delivery, &self.feed).run(epoch, stop) => finish,
        };
        drop(feed);
        let ending = self.finish(webhooks, epoch, finish);
        timeout(RELEASE_TIMEOUT, ending).await.ok();
    }

    /// Keeps the lease, and returns when it is lost. It counts from before each renewal.
    async fn renew(&self, webhooks: &dyn WebhookStore, epoch: i64, mut until: Instant) {
        let timing = &self.settings.timing;
        loop {
            let begun = Instant::now() + timing.renewal;
            sleep_until(begun.min(until)).await;
            let results = self.tally.results();
            let renewing = webhooks.renew(self.endpoint.id(), epoch, timing.lease, &results);
            match timeout_at(until, renewing).await {
                Ok(Ok(true)) => until = begun + timing.lease,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(cause)) => tracing::debug!(%cause, "lease of an endpoint not renewed"),
            }
        }
    }

    async fn finish(&self, webhooks: &dyn WebhookStore, epoch: i64, finish: Finish) {
        let (endpoint, timing) = (&self.endpoint, &self.settings.timing);
        let results = self.tally.results();
        let noting = webhooks.renew(endpoint.id(), epoch, timing.lease, &results);
        let noted = match finish {
            Finish::Lost => return,
            Finish::Stopped => match noting.await {
                Ok(_) => webhooks.release(endpoint.id(), epoch).await,
                Err(error) => Err(error),
            },
            Finish::Disabled(reason) => {
                tracing::error!(
                    %endpoint,
                    reason,
                    "webhooks are disabled; `parlor webhooks --enable URL` enables them again"
                );
                noting.await.ok();
                webhooks.disable(endpoint.id(), epoch, &reason).await
            }
        };
        if let Err(cause) = noted {
            tracing::warn!(%cause, "the end of webhooks not noted");
        }
    }
}
