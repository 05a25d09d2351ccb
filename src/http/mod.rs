//! Plain HTTP beside Socket.IO: the page, the client bundle, health.

mod assets;
mod origin;
mod session;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue, StatusCode, Version,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;

pub use self::assets::has_client;
use self::{origin::Guard, session::Door};
use crate::{
    config::AllowedOrigins,
    net::{Admission, Sessions},
    store::MessageStore,
    writer::Health,
};

/// How long the database may take to answer a readiness probe.
pub const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// What the page may do: talk to this server, and nothing else; texts never become HTML or code.
const PAGE_MAY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
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
    let health = Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(readyz).with_state(ready));
    let router = Router::new().merge(pages()).merge(socket_io).merge(health);
    // No browser is to guess what an answer is.
    router.layer(middleware::from_fn(one_host)).layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
}

/// Refuses a request that names no host or several: <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>.
async fn one_host(request: Request, next: Next) -> Response {
    match request.headers().get_all(HOST).iter().count() {
        1 => next.run(request).await,
        0 if request.version() == Version::HTTP_10 => next.run(request).await,
        _ => (StatusCode::BAD_REQUEST, "a request names one host\n").into_response(),
    }
}

/// A protocol's endpoint at `path`, with a slash at its end or without, behind the check of who may connect.
pub fn endpoint(path: &str, service: MethodRouter, access: Access) -> Router {
    let Access { origins, admission, idle_timeout, payload_timeout } = access;
    let guard = Guard::new(origins, admission.proxies().clone());
    let door = Door { admission, sessions: Sessions::new(idle_timeout), payload_timeout };
    Router::new()
        .route(path, service.clone())
        .route(&format!("{path}/"), service)
        .layer(middleware::from_fn_with_state(door, session::follow))
        .layer(origin::cors())
        .layer(middleware::from_fn_with_state(Arc::new(guard), origin::check))
}

fn pages() -> Router {
    Router::new()
        .fallback(get(assets::file))
        .layer(header(CONTENT_SECURITY_POLICY, PAGE_MAY))
        // Pages of other origins import these files; who may connect is another question.
        .layer(header(ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .layer(header(REFERRER_POLICY, "same-origin"))
}

fn header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
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
