//! Health, for whoever restarts the process or sends it traffic.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio_util::sync::CancellationToken;

use crate::{store::MessageStore, writer::Health};

/// How long the database may take to answer a readiness probe.
pub const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// What decides whether this node should get traffic.
#[derive(Clone)]
pub struct Readiness {
    /// The database.
    pub store: Arc<dyn MessageStore>,
    /// Whether messages are stored.
    pub writing: Health,
    /// Cancelled when the tables are up to date.
    pub migrated: CancellationToken,
    /// Cancelled when the server stops.
    pub stopping: CancellationToken,
}

/// The routes of both.
pub(super) fn routes(ready: Readiness) -> Router {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(readyz).with_state(ready))
}

async fn readyz(State(ready): State<Readiness>) -> (StatusCode, &'static str) {
    if ready.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    if !ready.migrated.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "waiting for the database\n");
    }
    if !ready.writing.is_good() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the database takes no messages\n");
    }
    match tokio::time::timeout(READY_TIMEOUT, ready.store.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
