//! The server: its parts are built, run, and stopped in order.

mod background;
mod database;
mod exporter;
mod fanout;
mod parts;
mod webhooks;

use std::{net::SocketAddr, pin::pin, sync::Arc};

use anyhow::Context;
use axum::{Router, http::StatusCode, routing::any};
use secrecy::ExposeSecret;

pub use self::exporter::MAX_SCRAPERS;
use self::{exporter::Exporter, parts::Parts};
use crate::{
    bus::{self, Bus, OpenError},
    config::Config,
    engine::Engine,
    http,
    metrics::Metrics,
    net::{self, Admission, AdmissionSettings, Listener},
    realtime,
    room::Rooms,
    store::{self, MessageStore},
};

/// A server bound to its port.
pub struct App {
    listener: Listener,
    router: Router,
    /// None unless there is an address for it.
    exporter: Option<Exporter>,
    parts: Parts,
}

impl App {
    /// Opens the configured database without connecting to it yet.
    ///
    /// # Errors
    ///
    /// The URL is malformed.
    pub fn open_store(config: &Config) -> anyhow::Result<Arc<dyn MessageStore>> {
        let connections = config.database_max_connections;
        store::open_in(
            config.database_url.expose_secret(),
            connections,
            config.into(),
            config.database_schema.clone(),
        )
        .map_err(|error| anyhow::anyhow!("DATABASE_URL: {error}"))
    }

    /// Binds the port and builds the parts; the database may still be away.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, or the key of tokens is invalid.
    pub fn bind(config: &Config, store: Arc<dyn MessageStore>) -> anyhow::Result<Self> {
        Self::bind_around_bus(config, store, |bus| bus)
    }

    /// Binds with a bus around the configured one, which may lose something, for tests.
    ///
    /// # Errors
    ///
    /// As [`App::bind`].
    #[doc(hidden)]
    pub fn bind_around_bus(
        config: &Config,
        store: Arc<dyn MessageStore>,
        around: impl FnOnce(Arc<dyn Bus>) -> Arc<dyn Bus>,
    ) -> anyhow::Result<Self> {
        let host = config
            .host
            .resolve()
            .map_err(|reason| anyhow::anyhow!("HOST: {reason}"))?;
        let address = SocketAddr::new(host, config.port);
        let admission = Admission::from(AdmissionSettings::from(config));
        let listener = net::listen(address, config.into(), admission.clone())
            .with_context(|| format!("cannot listen on {address} (HOST, PORT)"))?;
        let scraped = exporter::listen(config)?;
        if !http::has_client() {
            tracing::warn!("built without the Socket.IO client: the page at / does not work");
        }
        let metrics = Metrics::default();
        let verifier = config.verifier().map_err(anyhow::Error::msg)?.map(Arc::new);
        config.webhooks().map_err(anyhow::Error::msg)?;
        let api = config.api(verifier.clone());
        let (socket_io, realtime) = realtime::prepare(
            config.into(),
            any(StatusCode::NOT_FOUND),
            metrics.realtime.clone(),
        );
        let bus_settings = bus::Settings::from(config);
        let bus = open_bus(&bus_settings, &metrics)?;
        let bus = bus.map(around);
        let parts = Parts::start(config, store, bus, realtime, verifier, &metrics);
        let engine = Engine::new(
            socket_io,
            &admission,
            config.into(),
            metrics.sessions.clone(),
        );
        let sources = || parts.sources(admission, bus_settings.engine());
        let exporter = scraped.map(|listener| Exporter::new(listener, &metrics, sources()));
        let overview = parts.overview(database_of(config), bus_settings.engine(), &metrics);
        let (forwarded, counted) = (engine.forwarded().clone(), metrics.api.clone());
        let api = parts.api(api, overview, forwarded, counted);
        let origins = config.allowed_origins.clone();
        let router = http::router(engine, origins, parts.readiness(), api);
        Ok(Self {
            listener,
            router,
            exporter,
            parts,
        })
    }

    /// Returns the address of the port.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns the address of the listener for Prometheus, if there is one.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn metrics_addr(&self) -> std::io::Result<Option<SocketAddr>> {
        self.exporter.as_ref().map(Exporter::local_addr).transpose()
    }

    /// Returns the rooms of this node, for tests and measurements.
    #[doc(hidden)]
    pub fn rooms(&self) -> &Rooms {
        &self.parts.rooms
    }

    /// Serves until `shutdown`, then stops gracefully within the configured time: takes no new
    /// connections and requests, stores and answers those in flight, tells the clients, and closes
    /// the database.
    ///
    /// # Errors
    ///
    /// The database's tables cannot be brought up to date.
    pub async fn serve_until(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let server = tokio::spawn(net::serve(
            self.listener,
            self.router,
            self.parts.stopping.clone(),
        ));
        let exporting = self.exporter.map(Exporter::serve);
        let mut shutdown = pin!(shutdown);
        let prepared = tokio::select! {
            () = &mut shutdown => Ok(()),
            prepared = self.parts.prepare_database() => {
                if prepared.is_ok() {
                    shutdown.await;
                }
                prepared
            }
        };
        self.parts.stop(server, exporting).await;
        prepared
    }
}

/// Returns the database's name.
fn database_of(config: &Config) -> &'static str {
    match config.has_postgres() {
        true => "postgres",
        false => "sqlite",
    }
}

fn open_bus(settings: &bus::Settings, metrics: &Metrics) -> anyhow::Result<Option<Arc<dyn Bus>>> {
    bus::open(settings, metrics.bus.clone()).map_err(|error| match error {
        OpenError::Postgres(error) => anyhow::anyhow!("DATABASE_NOTIFY_URL: {error}"),
        OpenError::Redis(error) => anyhow::anyhow!("BUS_URL: {error}"),
    })
}
