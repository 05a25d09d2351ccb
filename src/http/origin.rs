//! Which web pages may talk to the server.
//!
//! CORS keeps a foreign page from reading answers to polling requests; a WebSocket it does not guard at all. So a
//! handshake whose `Origin` is not allowed is refused, by whatever transport it comes. No `Origin`: not a browser.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN},
        request::Parts,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::AllowedOrigins;

const REFUSED: &str = r#"{"error":{"code":"FORBIDDEN","message":"this origin may not connect","retryable":false}}"#;

/// Tells browsers that allowed pages may read the answers.
pub(super) fn cors(origins: AllowedOrigins) -> CorsLayer {
    CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .allow_credentials(true)
        .allow_origin(AllowOrigin::predicate(move |origin: &HeaderValue, request: &Parts| {
            allowed(&origins, Some(origin), &request.headers)
        }))
}

/// Refuses requests from pages that may not connect.
pub(super) async fn check(State(origins): State<Arc<AllowedOrigins>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if allowed(&origins, headers.get(ORIGIN), headers) {
        return next.run(request).await;
    }
    let json = [(CONTENT_TYPE, "application/json")];
    (StatusCode::FORBIDDEN, json, REFUSED).into_response()
}

fn allowed(origins: &AllowedOrigins, origin: Option<&HeaderValue>, headers: &HeaderMap) -> bool {
    let Some(origin) = origin else {
        return true;
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    origin.to_str().is_ok_and(|origin| origins.allow(origin, host))
}
