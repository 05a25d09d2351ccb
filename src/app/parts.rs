//! The running parts of a server.

use std::{sync::Arc, time::Duration};

use axum::Router;
use backon::Retryable;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    background::Background,
    database::{DATABASE_BACKOFF, before, warn_unavailable},
    exporter::{Exporting, Sources},
    fanout::NodeFanout,
    webhooks::{self, Listeners, UsersOf},
};
use crate::{
    api::{self, Streams},
    auth::Verifier,
    bus::Bus,
    chat::Chat,
    config::Config,
    engine::ForwardedHeaders,
    http::Readiness,
    inbox::{Inbox, InboxContext},
    metrics::{self, Metrics},
    moderation::Moderation,
    net::Admission,
    overview::{Overview, Sources as OverviewSources},
    realtime::Realtime,
    room::{RoomContext, Rooms},
    search::Search,
    store::{MessageStore, MigrateError},
    webhooks::Webhooks,
    writer::{Observer, Writer},
};

/// The running parts of a server.
pub(super) struct Parts {
    store: Arc<dyn MessageStore>,
    chat: Arc<Chat>,
    pub(super) rooms: Rooms,
    bus: Option<Arc<dyn Bus>>,
    webhooks: Option<Arc<Webhooks>>,
    /// The tailer of the other servers' messages, the keeper of the rosters, and the end of old
    /// messages.
    followers: TaskTracker,
    inbox: JoinHandle<()>,
    writer: JoinHandle<()>,
    queue: Writer,
    realtime: Realtime,
    streams: Arc<Streams>,
    /// The events of clients in flight.
    unanswered: TaskTracker,
    /// Cancelled once the database's tables are up to date.
    migrated: CancellationToken,
    /// Cancelled at the start of the shutdown.
    pub(super) stopping: CancellationToken,
    /// Cancelled once all requests are answered: ends the writer and the inbox.
    answered: CancellationToken,
    shutdown_timeout: Duration,
    /// Time for the start to wait for the database; none means for ever.
    start_timeout: Option<Duration>,
}

impl Parts {
    pub(super) fn start(
        config: &Config,
        store: Arc<dyn MessageStore>,
        bus: Option<Arc<dyn Bus>>,
        realtime: Realtime,
        verifier: Option<Arc<Verifier>>,
        metrics: &Metrics,
    ) -> Self {
        let streams = Arc::<Streams>::default();
        let fanout = NodeFanout {
            sockets: realtime.fanout(),
            streams: streams.clone(),
        };
        let (rooms, inbox) = rooms_and_inbox(config, &store, bus.as_ref(), fanout, metrics);
        let webhooks = webhooks::open(config, &store, &rooms, metrics);
        let search = config.search.then(|| Arc::new(Search::new(store.clone())));
        let background = Background::default();
        let listeners = Listeners(inbox.clone(), webhooks.clone());
        background.follow(bus.clone(), &store, &rooms, listeners);
        background.keep(config, &store, &rooms, webhooks.clone(), search.clone());
        let answered = CancellationToken::new();
        let (queue, writer) = Writer::spawn(
            store.clone(),
            config.send_timeout_ms,
            observer(inbox.clone(), search, webhooks.clone(), rooms.clone()),
            answered.clone(),
            metrics.writer.clone(),
        );
        let chat = Chat::new(
            rooms.clone(),
            queue.clone(),
            store.clone(),
            inbox.clone(),
            config.into(),
        );
        let chat = connected(chat, config, webhooks.clone(), metrics);
        background.look_for_operators(config, &chat, &store);
        background.keep_calls(&chat);
        let unanswered = TaskTracker::new();
        realtime.register(chat.clone(), verifier, unanswered.clone());
        Self {
            store,
            chat,
            rooms,
            bus,
            webhooks,
            followers: background.tasks,
            inbox: tokio::spawn(inbox.run(answered.clone())),
            writer,
            queue,
            realtime,
            streams,
            unanswered,
            migrated: background.migrated,
            stopping: background.stopping,
            answered,
            shutdown_timeout: config.shutdown_timeout_ms,
            start_timeout: Some(config.database_start_timeout).filter(|timeout| !timeout.is_zero()),
        }
    }

    /// Returns the routes for backends; none where nobody can be one.
    pub(super) fn api(
        &self,
        settings: api::Settings,
        overview: Arc<Overview>,
        forwarded: ForwardedHeaders,
        metrics: metrics::Api,
    ) -> Option<Router> {
        let context = api::Context {
            chat: self.chat.clone(),
            streams: self.streams.clone(),
            unanswered: self.unanswered.clone(),
            overview,
            forwarded,
            metrics,
        };
        api::router(settings, context)
    }

    /// Returns the parts with figures of their own.
    pub(super) fn sources(&self, admission: Admission, bus_mode: &'static str) -> Sources {
        Sources {
            admission,
            store: self.store.clone(),
            rooms: self.rooms.clone(),
            writer: self.queue.clone(),
            bus: self.bus.clone(),
            bus_mode,
            migrated: self.migrated.clone(),
        }
    }

    /// Returns the reader of the state of the whole chat.
    pub(super) fn overview(
        &self,
        database: &'static str,
        bus_mode: &'static str,
        metrics: &Metrics,
    ) -> Arc<Overview> {
        Overview::new(OverviewSources {
            rooms: self.rooms.clone(),
            writer: self.queue.clone(),
            store: self.store.clone(),
            database,
            bus: self.bus.clone(),
            bus_mode,
            realtime: metrics.realtime.clone(),
            api: metrics.api.clone(),
            rooms_metrics: metrics.rooms.clone(),
            migrated: self.migrated.clone(),
        })
    }

    pub(super) fn readiness(&self) -> Readiness {
        let (store, writer) = (self.store.clone(), self.queue.health().clone());
        Readiness {
            ping_database: Arc::new(move || {
                let store = store.clone();
                Box::pin(async move { store.ping().await.is_ok() })
            }),
            is_storing: Arc::new(move || writer.is_good()),
            is_bus_well: self
                .bus
                .clone()
                .map(|bus| -> Arc<dyn Fn() -> bool + Send + Sync> {
                    Arc::new(move || bus.is_well())
                }),
            migrated: self.migrated.clone(),
            stopping: self.stopping.clone(),
        }
    }

    /// Waits for the database and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// The database's reason, if it is unusable, or not usable in time.
    pub(super) async fn prepare_database(&self) -> anyhow::Result<()> {
        let deadline = self.start_timeout.map(|timeout| Instant::now() + timeout);
        let migrated = (|| webhooks::prepare_tables(&*self.store, self.webhooks.as_deref()))
            .retry(DATABASE_BACKOFF)
            .when(|error| matches!(error, MigrateError::Unavailable(_)))
            .adjust(|_, delay| before(deadline, delay?))
            .notify(|error, _| warn_unavailable(error));
        match migrated.await {
            Ok(()) => {
                self.migrated.cancel();
                tracing::info!("ready");
                Ok(())
            }
            Err(error @ MigrateError::Unavailable(_)) => {
                let waited = self.start_timeout.unwrap_or_default().as_secs();
                anyhow::bail!("{error}; waited {waited} s for it (DATABASE_START_TIMEOUT)")
            }
            Err(failed) => Err(failed.into()),
        }
    }

    /// Stops in order: requests in flight, the writer and the rooms, then the clients and the
    /// database.
    pub(super) async fn stop(mut self, mut server: JoinHandle<()>, exporting: Option<Exporting>) {
        tracing::info!("stopping");
        let begun = Instant::now();
        self.stopping.cancel();
        self.chat.stop();
        // The last quarter of the time is for the clients, even if the database hangs.
        let drained_by = begun + self.shutdown_timeout.mul_f32(0.75);
        if timeout_at(drained_by, self.drain()).await.is_err() {
            tracing::warn!("stopping with requests unanswered");
            self.writer.abort();
            self.inbox.abort();
        }
        let closed_by = begun + self.shutdown_timeout;
        if timeout_at(closed_by, self.close(&mut server, exporting))
            .await
            .is_err()
        {
            tracing::warn!("stopping with connections open");
            server.abort();
        }
        tracing::info!(milliseconds = begun.elapsed().as_millis(), "stopped");
    }

    /// Waits until all requests are answered, all messages are stored and all rooms have ended.
    async fn drain(&mut self) {
        self.unanswered.close();
        self.unanswered.wait().await;
        self.answered.cancel();
        (&mut self.writer).await.ok();
        (&mut self.inbox).await.ok();
        self.rooms.stop().await;
        self.followers.close();
        self.followers.wait().await;
        self.close_bus().await;
    }

    /// Closes the connections, and then the database and the figures; the bus in any case.
    async fn close(&self, server: &mut JoinHandle<()>, exporting: Option<Exporting>) {
        let clients = async {
            self.realtime.close().await;
            server.await.ok();
        };
        tokio::join!(clients, self.close_bus());
        self.store.close().await;
        if let Some(exporting) = exporting {
            exporting.close().await;
        }
    }

    async fn close_bus(&self) {
        if let Some(bus) = &self.bus {
            bus.close().await;
        }
    }
}

/// Creates the active rooms and the inbox, which deliver to the same clients.
fn rooms_and_inbox(
    config: &Config,
    store: &Arc<dyn MessageStore>,
    bus: Option<&Arc<dyn Bus>>,
    fanout: NodeFanout,
    metrics: &Metrics,
) -> (Rooms, Arc<Inbox>) {
    let fanout = Arc::new(fanout);
    let rooms = Rooms::new(RoomContext {
        store: store.clone(),
        bus: bus.cloned(),
        fanout: fanout.clone(),
        history_limit: config.history_limit,
        presence: config.into(),
        metrics: metrics.rooms.clone(),
    });
    let inbox = Inbox::new(InboxContext {
        store: store.clone(),
        rooms: rooms.clone(),
        bus: bus.cloned(),
        delivery: fanout,
        metrics: metrics.inbox.clone(),
    });
    (rooms, Arc::new(inbox))
}

/// Returns the writer's observer: the rooms come last, as they take the outcome.
fn observer(
    inbox: Arc<Inbox>,
    search: Option<Arc<Search>>,
    webhooks: Option<Arc<Webhooks>>,
    rooms: Rooms,
) -> Observer {
    Box::new(move |outcome| {
        inbox.observe(&outcome);
        if let Some(search) = &search {
            search.observe(&outcome);
        }
        if let Some(webhooks) = &webhooks {
            webhooks.observe(&outcome);
        }
        rooms.observe(outcome);
    })
}

/// Lets the moderation be asked, parties of calls use servers, and the webhooks hear of users, if there are any.
fn connected(
    mut chat: Chat,
    config: &Config,
    webhooks: Option<Arc<Webhooks>>,
    metrics: &Metrics,
) -> Arc<Chat> {
    // Checked at the start.
    if let Ok(Some(settings)) = config.moderation() {
        chat = chat.moderated_by(Moderation::new(settings, metrics.moderation.clone()));
    }
    if let Ok(servers) = config.ice_servers() {
        chat = chat.with_ice_servers(servers);
    }
    chat = chat.counting_calls(metrics.calls.clone());
    if let Ok(Some(livekit)) = config.livekit() {
        chat = chat.with_livekit(livekit);
    }
    if let Some(webhooks) = webhooks {
        chat.listen_to_users(Arc::new(UsersOf(webhooks)));
    }
    Arc::new(chat)
}
