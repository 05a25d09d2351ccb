//! The parts put together, started, and stopped in order.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, http::StatusCode, routing::any};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::Verifier,
    chat::{Chat, Limits},
    config::Config,
    engine::{self, Engine},
    http::{self, Readiness},
    net::{self, Admission, Listener, Timeouts},
    rates::Rate,
    realtime::{self, Realtime},
    room::{PresenceSettings, RoomContext, Rooms},
    store::{self, MessageStore, MigrateError},
    writer::{Health, Writer},
};

/// The pause before a database that was away is tried again; it doubles up to
/// [`MAX_DATABASE_DELAY`].
pub const MIN_DATABASE_DELAY: Duration = Duration::from_millis(250);
/// The longest pause before a database that was away is tried again.
pub const MAX_DATABASE_DELAY: Duration = Duration::from_secs(5);

/// A server, bound to its port.
pub struct App {
    listener: Listener,
    router: Router,
    parts: Parts,
}

/// What runs, and is stopped in order.
struct Parts {
    store: Arc<dyn MessageStore>,
    chat: Arc<Chat>,
    rooms: Rooms,
    writing: Health,
    writer: JoinHandle<()>,
    realtime: Realtime,
    unanswered: TaskTracker,
    migrated: CancellationToken,
    stopping: CancellationToken,
    stop_writer: CancellationToken,
    shutdown_timeout: Duration,
    /// The time that the start waits for the database; without one it waits for ever.
    start_timeout: Option<Duration>,
}

impl App {
    /// Binds the port and puts the server together; the database may still be away.
    ///
    /// Errors when the address cannot be bound, or tokens' key is none.
    pub fn bind(config: &Config, store: Arc<dyn MessageStore>) -> anyhow::Result<Self> {
        let host = config
            .host
            .resolve()
            .map_err(|reason| anyhow::anyhow!("HOST: {reason}"))?;
        let address = SocketAddr::new(host, config.port);
        let timeouts = Timeouts {
            user: config.tcp_user_timeout_ms,
            handshake: config.handshake_timeout_ms,
        };
        let admission = Admission::from(config.admission());
        let listener = net::listen(address, timeouts, admission.clone())
            .with_context(|| format!("cannot listen on {address} (HOST, PORT)"))?;
        let settings = realtime::Settings {
            ping_interval: config.ping_interval_ms,
            ping_timeout: config.ping_timeout_ms,
            max_message_bytes: config.max_message_bytes as usize,
            send_queue_packets: config.send_queue_packets as usize,
            connect_timeout: config.handshake_timeout_ms,
        };
        let verifier = config.verifier().map_err(anyhow::Error::msg)?.map(Arc::new);
        let (socket_io, realtime) = realtime::prepare(settings, any(StatusCode::NOT_FOUND));
        let parts = Parts::start(config, store, realtime, verifier);
        let origins = config.allowed_origins.clone();
        let sessions = engine::Settings {
            sessions: Rate {
                per_second: config.connects_per_second,
                burst: config.connect_burst,
            },
            idle_timeout: config.handshake_timeout_ms,
            // Within this time a client is to answer a ping, which it does by a payload.
            payload_timeout: config.ping_interval_ms + config.ping_timeout_ms,
            max_payload: settings.max_payload(),
            packets: Rate {
                per_second: config.events_per_second,
                burst: realtime::EVENT_BURST,
            },
            guarded: true,
        };
        let router = http::router(
            Engine::new(socket_io, &admission, sessions),
            origins,
            parts.readiness(),
        );
        Ok(Self {
            listener,
            router,
            parts,
        })
    }

    /// Where the server listens.
    ///
    /// Errors as the operating system does.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The rooms of this node.
    pub fn rooms(&self) -> &Rooms {
        &self.parts.rooms
    }

    /// Serves until `shutdown`, then stops in order: no new connections, no new requests; what is
    /// under way is stored and answered; the clients are told; the database is let go. All of it
    /// within the configured time.
    ///
    /// Errors when the database's tables cannot be brought up to date.
    pub async fn serve_until(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let server = tokio::spawn(net::serve(
            self.listener,
            self.router,
            self.parts.stopping.clone(),
        ));
        let prepared = tokio::select! {
            () = shutdown => Ok(()),
            Err(error) = self.parts.serve() => Err(error),
        };
        self.parts.stop(server).await;
        prepared
    }
}

impl Parts {
    fn start(
        config: &Config,
        store: Arc<dyn MessageStore>,
        realtime: Realtime,
        verifier: Option<Arc<Verifier>>,
    ) -> Self {
        let rooms = Rooms::new(RoomContext {
            store: store.clone(),
            fanout: Arc::new(realtime.fanout()),
            history_limit: config.history_limit.into(),
            presence: PresenceSettings {
                grace: config.presence_grace_ms,
                large_room: config.presence_names_limit,
            },
        });
        let stop_writer = CancellationToken::new();
        let observer = rooms.clone();
        let (queue, writer) = Writer::start(
            store.clone(),
            config.send_timeout_ms,
            Box::new(move |outcome| observer.observe(outcome)),
            stop_writer.clone(),
        );
        let writing = queue.health().clone();
        let limits = Limits {
            max_message_bytes: config.max_message_bytes as usize,
            history_limit: config.history_limit.into(),
            max_rooms: config.max_rooms_per_socket as usize,
            messages: Rate {
                per_second: config.messages_per_second,
                burst: config.message_burst,
            },
            requests: Rate {
                per_second: config.requests_per_second,
                burst: config.request_burst(),
            },
        };
        let chat = Arc::new(Chat::new(rooms.clone(), queue, store.clone(), limits));
        let unanswered = TaskTracker::new();
        realtime.serve(chat.clone(), verifier, unanswered.clone());
        Self {
            store,
            chat,
            rooms,
            writing,
            writer,
            realtime,
            unanswered,
            migrated: CancellationToken::new(),
            stopping: CancellationToken::new(),
            stop_writer,
            shutdown_timeout: config.shutdown_timeout_ms,
            start_timeout: Some(config.database_start_timeout).filter(|timeout| !timeout.is_zero()),
        }
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            store: self.store.clone(),
            writing: self.writing.clone(),
            migrated: self.migrated.clone(),
            stopping: self.stopping.clone(),
        }
    }

    /// Brings the tables up to date, once the database is there; then there is nothing to do but
    /// serve.
    ///
    /// # Errors
    ///
    /// The database's reason, when it cannot be used, or cannot be used in time.
    async fn serve(&self) -> anyhow::Result<()> {
        let deadline = self.start_timeout.map(|timeout| Instant::now() + timeout);
        let mut delay = MIN_DATABASE_DELAY;
        loop {
            match self.store.migrate().await {
                Ok(()) => break,
                Err(MigrateError::Unavailable(cause))
                    if deadline.is_none_or(|deadline| Instant::now() < deadline) =>
                {
                    tracing::warn!(%cause, "waiting for the database");
                    let next = Instant::now() + delay;
                    sleep_until(deadline.map_or(next, |deadline| deadline.min(next))).await;
                    delay = (delay * 2).min(MAX_DATABASE_DELAY);
                }
                Err(error @ MigrateError::Unavailable(_)) => {
                    let waited = self.start_timeout.unwrap_or_default().as_secs();
                    anyhow::bail!("{error}; waited {waited} s for it (DATABASE_START_TIMEOUT)");
                }
                Err(failed) => return Err(failed.into()),
            }
        }
        self.migrated.cancel();
        tracing::info!("ready");
        std::future::pending().await
    }

    async fn stop(self, server: JoinHandle<()>) {
        tracing::info!("stopping");
        let begun = Instant::now();
        self.stopping.cancel();
        self.chat.stop();
        // The last quarter of the time is for the clients, whatever the database does.
        let drained_by = begun + self.shutdown_timeout.mul_f32(0.75);
        let (writer, server_task) = (self.writer.abort_handle(), server.abort_handle());
        let Self {
            store,
            rooms,
            realtime,
            unanswered,
            stop_writer,
            writer: writing,
            ..
        } = self;
        let drain = async {
            unanswered.close();
            unanswered.wait().await;
            stop_writer.cancel();
            writing.await.ok();
            rooms.stop().await;
        };
        if timeout_at(drained_by, drain).await.is_err() {
            tracing::warn!("stopping with requests unanswered");
            writer.abort();
        }
        let close = async {
            realtime.close().await;
            server.await.ok();
            store.close().await;
        };
        if timeout_at(begun + self.shutdown_timeout, close)
            .await
            .is_err()
        {
            tracing::warn!("stopping with connections open");
            server_task.abort();
        }
        tracing::info!(milliseconds = begun.elapsed().as_millis(), "stopped");
    }
}

/// Opens the configured database.
///
/// Errors when its URL is malformed.
pub fn store(config: &Config) -> anyhow::Result<Arc<dyn MessageStore>> {
    let connections = config.database_max_connections;
    store::open_in(
        config.database_url.expose(),
        connections,
        config.encryption(),
        config.database_schema.clone(),
    )
    .map_err(|error| anyhow::anyhow!("DATABASE_URL: {error}"))
}
