//! Plain HTTP beside Socket.IO: the page, the client bundle, health.

mod assets;
mod health;
mod origin;
mod session;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    middleware,
    routing::{MethodRouter, get},
};
use tower_http::{compression::CompressionLayer, set_header::SetResponseHeaderLayer};

use self::session::Door;
pub use self::{
    assets::has_client,
    health::{MAX_ANSWER_AGE, READY_TIMEOUT, Readiness},
};
use crate::{
    config::AllowedOrigins,
    net::{Admission, Sessions},
};

/// What the page may do: talk to this server, and nothing else; texts never become HTML or code.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Who may use an endpoint.
#[derive(Debug, Clone)]
pub struct Access {
    /// Which web pages.
    pub origins: AllowedOrigins,
    /// How many at once.
    pub admission: Admission,
    /// How long a session may go on that nobody takes part by.
    pub idle_timeout: Duration,
    /// How long a client may take to send a payload by polling.
    pub payload_timeout: Duration,
}

/// All routes; `socket_io` serves those of Socket.IO.
pub fn router(socket_io: MethodRouter, access: Access, ready: Readiness) -> Router {
    let socket_io = endpoint("/socket.io", socket_io, access);
    Router::new().merge(pages()).merge(socket_io).merge(health::routes(ready))
}

/// A protocol's endpoint at `path`, with a slash at its end or without, behind the check of who may connect.
pub fn endpoint(path: &str, service: MethodRouter, access: Access) -> Router {
    let Access { origins, admission, idle_timeout, payload_timeout } = access;
    let door = Door { admission, sessions: Sessions::new(idle_timeout), payload_timeout };
    Router::new()
        .route(path, service.clone())
        .route(&format!("{path}/"), service)
        .layer(middleware::from_fn_with_state(door, session::follow))
        .layer(origin::cors(origins.clone()))
        .layer(middleware::from_fn_with_state(Arc::new(origins), origin::check))
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
