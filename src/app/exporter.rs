//! The figures for Prometheus, on a listener of their own: it serves from the start, also while the
//! database is away, to the end of the last client.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::Router;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    bus::Bus,
    config::Config,
    http,
    metrics::{Exposition, Metrics},
    net::{self, Admission, AdmissionSettings, Listener},
    room::Rooms,
    store::MessageStore,
    writer::Writer,
};

/// The most connections at once. A scraper needs one, and a cluster has a few scrapers.
pub const MAX_SCRAPERS: usize = 16;

/// The parts of a server with figures of their own, read at each scrape.
pub(super) struct Sources {
    pub(super) admission: Admission,
    pub(super) store: Arc<dyn MessageStore>,
    pub(super) rooms: Rooms,
    pub(super) writer: Writer,
    pub(super) bus: Option<Arc<dyn Bus>>,
    /// The name of the bus's engine.
    pub(super) bus_mode: &'static str,
    /// Cancelled once the tables are up to date.
    pub(super) migrated: CancellationToken,
}

/// Binds the listener, if there is to be one.
///
/// # Errors
///
/// The address cannot be bound.
pub(super) fn listen(config: &Config) -> anyhow::Result<Option<Listener>> {
    let Some(address) = config.metrics_addr else {
        return Ok(None);
    };
    let admission = Admission::from(AdmissionSettings {
        max_connections: Some(MAX_SCRAPERS),
        ..AdmissionSettings::default()
    });
    let listening = net::listen(address, config.into(), admission);
    let listener =
        listening.with_context(|| format!("cannot listen on {address} (METRICS_ADDR)"))?;
    Ok(Some(listener))
}

/// The listener with its figures.
pub(super) struct Exporter {
    listener: Listener,
    router: Router,
}

impl Exporter {
    pub(super) fn new(listener: Listener, metrics: &Metrics, sources: Sources) -> Self {
        let router = http::metrics_router(exposition(metrics, sources));
        Self { listener, router }
    }

    /// Returns the address of the listener.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub(super) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Begins to serve.
    pub(super) fn serve(self) -> Exporting {
        let stop = CancellationToken::new();
        let serving = net::serve(self.listener, self.router, stop.clone());
        Exporting {
            task: AbortOnDropHandle::new(tokio::spawn(serving)),
            stop,
        }
    }
}

/// The listener, serving; dropping it ends all its connections.
pub(super) struct Exporting {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Exporting {
    /// Answers the scrapes in flight, and closes the listener.
    pub(super) async fn close(self) {
        self.stop.cancel();
        self.task.await.ok();
    }
}

/// Returns all figures of a server.
fn exposition(metrics: &Metrics, sources: Sources) -> Exposition {
    let mut exposition = Exposition::default();
    metrics.register(&mut exposition);
    sources.store.metrics().register(&mut exposition);
    read_connections(&mut exposition, sources.admission);
    read_rooms(&mut exposition, sources.rooms);
    read_writer(&mut exposition, sources.writer, sources.migrated);
    read_store(&mut exposition, sources.store);
    exposition.info(
        "bus",
        "Way to the other servers: none, postgres or redis",
        ("mode", sources.bus_mode),
    );
    if let Some(bus) = sources.bus {
        exposition.gauge(
            "bus_up",
            "1 while the reports of other servers arrive, 0 while some may be lost",
            move || usize::from(bus.is_well()),
        );
    }
    exposition
}

fn read_connections(exposition: &mut Exposition, admission: Admission) {
    let refusing = admission.clone();
    exposition.gauge("connections", "Open TCP connections", move || {
        admission.open()
    });
    exposition.counter(
        "refused_connections",
        "TCP connections closed at once, as there were too many",
        move || refusing.refused(),
    );
}

fn read_rooms(exposition: &mut Exposition, rooms: Rooms) {
    exposition.gauge("rooms", "Active rooms on this server", move || {
        rooms.count()
    });
}

fn read_writer(exposition: &mut Exposition, writer: Writer, migrated: CancellationToken) {
    let (entries, bytes) = (writer.clone(), writer.clone());
    exposition.gauge(
        "queue_entries",
        "Messages and changes that wait for the next batch",
        move || entries.queued(),
    );
    exposition.gauge(
        "queue_bytes",
        "Memory of the messages and changes that wait or are being stored",
        move || bytes.queued_bytes(),
    );
    exposition.gauge(
        "storing",
        "1 while messages are stored, 0 before the tables are up to date and after a failed attempt",
        move || usize::from(migrated.is_cancelled() && writer.health().is_good()),
    );
}

fn read_store(exposition: &mut Exposition, store: Arc<dyn MessageStore>) {
    let (open, in_use) = (store.clone(), store.clone());
    exposition.gauge(
        "database_connections",
        "Open connections to the database, without those of the bus",
        move || open.connections().open,
    );
    exposition.gauge(
        "database_connections_in_use",
        "Open connections to the database that are in use",
        move || in_use.connections().in_use(),
    );
    exposition.gauge(
        "database_connections_max",
        "Size of the connection pools",
        move || store.connections().max,
    );
}
