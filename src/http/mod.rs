//! Plain HTTP beside Socket.IO: the page, the client bundle, health.

mod assets;
mod error;
mod health;
mod metrics;
mod origin;
mod origins;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{
        HeaderName, HeaderValue, StatusCode, Version,
        header::{
            ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, predicate::SizeAbove},
    set_header::SetResponseHeaderLayer,
};

use self::{assets::Pages, origin::OriginGuard};
pub use self::{
    assets::has_client,
    error::{error_body, status},
    health::Readiness,
    metrics::metrics_router,
    origins::AllowedOrigins,
};
use crate::engine::{Engine, ForwardedHeaders};

/// The smallest poll answer to compress; a smaller one fits one TCP packet anyhow.
const MIN_COMPRESSED_BYTES: u16 = 1024;

/// The page's sources: this server alone, and text never becomes HTML or code. The media of calls need none: they are no
/// files, and their connections are no fetches.
const CONTENT_POLICY: &str = "default-src 'none'; connect-src 'self'; img-src 'self'; script-src 'self'; \
    style-src 'self'; worker-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// The header with a page's permissions: <https://www.w3.org/TR/permissions-policy/>.
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// The features that no page uses, after those of a page.
macro_rules! permissions {
    ($own:literal) => {
        concat!(
            $own,
            ", accelerometer=(), clipboard-read=(), encrypted-media=(), gamepad=(), geolocation=(), \
            gyroscope=(), hid=(), idle-detection=(), local-fonts=(), magnetometer=(), midi=(), payment=(), \
            picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), sync-xhr=(), usb=(), \
            window-management=(), xr-spatial-tracking=()"
        )
    };
}

/// The permissions of the chat page: the devices of calls, a picture in full screen, and copying a room's address.
const CHAT_PERMISSIONS: &str = permissions!(
    "camera=(self), microphone=(self), display-capture=(self), fullscreen=(self), clipboard-write=(self)"
);

/// The permissions of the page for administrators: none.
const ADMIN_PERMISSIONS: &str =
    permissions!("camera=(), microphone=(), display-capture=(), fullscreen=(), clipboard-write=()");

/// Returns all routes; `socket_io` serves Socket.IO's, to pages of these origins, and `api` those for
/// backends, if there are any. The page for administrators uses the latter, and is there with them.
pub fn router(
    socket_io: Engine,
    origins: AllowedOrigins,
    ready: Readiness,
    api: Option<Router>,
) -> Router {
    let socket_io = endpoint("/socket.io", socket_io, origins);
    let router = Router::new()
        .merge(page_routes(Pages {
            has_admin: api.is_some(),
        }))
        .merge(socket_io)
        .merge(health::routes(ready))
        .merge(api.unwrap_or_default());
    // Browsers must not guess the type of an answer.
    router
        .layer(middleware::from_fn(require_one_host))
        .layer(set_header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
}

/// Refuses a request with no host or several:
/// <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>.
async fn require_one_host(request: Request, next: Next) -> Response {
    match request.headers().get_all(HOST).iter().count() {
        1 => next.run(request).await,
        0 if request.version() == Version::HTTP_10 => next.run(request).await,
        _ => (StatusCode::BAD_REQUEST, "a request names one host\n").into_response(),
    }
}

/// Returns a protocol's endpoint at `path`, with or without a slash at its end, behind the check of
/// the request's origin.
pub fn endpoint(path: &str, engine: Engine, origins: AllowedOrigins) -> Router {
    let forwarded = engine.forwarded().clone();
    let routes = engine.routes(path).layer(compression());
    for_pages(routes, origins, forwarded)
}

/// Lets pages of these origins use routes, and refuses all other pages.
pub fn for_pages<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    origins: AllowedOrigins,
    forwarded: ForwardedHeaders,
) -> Router<S> {
    let guard = OriginGuard::new(origins, forwarded);
    let check = middleware::from_fn_with_state(Arc::new(guard), origin::check);
    routes.layer(origin::cors()).layer(check)
}

/// Compresses larger answers if the client accepts it: a page of history by polling shrinks to a
/// tenth.
fn compression() -> CompressionLayer<SizeAbove> {
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(MIN_COMPRESSED_BYTES))
}

fn page_routes(pages: Pages) -> Router {
    Router::new()
        .fallback(get(assets::serve_file))
        .with_state(pages)
        .layer(set_header(CONTENT_SECURITY_POLICY, CONTENT_POLICY))
        // Pages of other origins may import these files, even if they may not connect.
        .layer(set_header(ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .layer(set_header(REFERRER_POLICY, "same-origin"))
        .layer(SetResponseHeaderLayer::if_not_present(
            PERMISSIONS_POLICY,
            HeaderValue::from_static(CHAT_PERMISSIONS),
        ))
}

fn set_header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}
