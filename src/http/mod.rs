//! Plain HTTP beside Socket.IO: the page, the client bundle, health.

mod assets;
mod health;
mod origin;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    middleware,
    routing::get,
};
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, predicate::SizeAbove},
    set_header::SetResponseHeaderLayer,
};

pub use self::{
    assets::has_client,
    health::{READY_TIMEOUT, Readiness},
};
use crate::{config::AllowedOrigins, engine::Engine};

/// The least bytes of a poll's answer that is compressed: below, one packet of TCP holds it anyhow.
const MIN_COMPRESSED_BYTES: u16 = 1024;

/// What the page may do: talk to this server, and nothing else; texts never become HTML or code.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// All routes; `socket_io` serves those of Socket.IO, to pages of these origins.
pub fn router(socket_io: Engine, origins: AllowedOrigins, ready: Readiness) -> Router {
    let socket_io = endpoint("/socket.io", socket_io, origins);
    Router::new().merge(pages()).merge(socket_io).merge(health::routes(ready))
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
