//! Plain HTTP beside Socket.IO: the page, the client bundle, health.

mod assets;
mod origin;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware,
    routing::get,
};
use tokio_util::sync::CancellationToken;
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, predicate::SizeAbove},
    set_header::SetResponseHeaderLayer,
};

pub use self::assets::has_client;
use crate::{config::AllowedOrigins, engine::Engine, store::MessageStore, writer::Health};

/// How long the database may take to answer a readiness probe.
pub const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The least bytes of a poll's answer that is compressed: below, one packet of TCP holds it anyhow.
const MIN_COMPRESSED_BYTES: u16 = 1024;

/// What the page may do: talk to this server, and nothing else; texts never become HTML or code.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

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

/// All routes; `socket_io` serves those of Socket.IO, to pages of these origins.
pub fn router(socket_io: Engine, origins: AllowedOrigins, ready: Readiness) -> Router {
    let socket_io = endpoint("/socket.io", socket_io, origins);
    let health = Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(readyz).with_state(ready));
    Router::new().merge(pages()).merge(socket_io).merge(health)
}

/// A protocol's endpoint at `path`, with a slash at its end or without, behind the check of who may connect.
pub fn endpoint(path: &str, engine: Engine, origins: AllowedOrigins) -> Router {
    engine
        .routes(path)
        .layer(compression())
        .layer(origin::cors(origins.clone()))
        .layer(middleware::from_fn_with_state(Arc::new(origins), origin::check))
}

/// Compresses answers that are worth it, where the client takes that: a page of history by polling becomes a tenth.
fn compression() -> CompressionLayer<SizeAbove> {
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(MIN_COMPRESSED_BYTES))
}

fn pages() -> Router {
    let header = |name: HeaderName, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    Router::new()
        .route("/socket.io/{file}", get(assets::client))
        .fallback(get(assets::page))
        .layer(header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // Pages of other origins import these files; who may connect is another question.
        .layer(header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .layer(header(header::REFERRER_POLICY, "same-origin"))
        .layer(CompressionLayer::new())
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
