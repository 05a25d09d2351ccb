//! What a session keeps of the request that it began by, and how its connection is found again.
//!
//! The library keeps a handshake's URI and headers as long as the session. As they are slices of the buffer that hyper
//! reads into, 16 kB would stay with each.

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{AUTHORIZATION, CONTENT_TYPE, SEC_WEBSOCKET_KEY},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::net::{ConnectionHandle, Sessions, Transport};

/// The headers that are read behind this layer.
const KEPT: [HeaderName; 3] = [AUTHORIZATION, CONTENT_TYPE, SEC_WEBSOCKET_KEY];

/// Engine.IO's answer to a session that it does not know; clients connect again.
const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// Gives a request that begins a session its [`Transport`], in small allocations of its own; follows those that go on.
pub(super) async fn follow(State(sessions): State<Sessions>, mut request: Request, next: Next) -> Response {
    compact(&mut request);
    let Some(ConnectInfo(connection)) = request.extensions_mut().remove::<ConnectInfo<ConnectionHandle>>() else {
        return next.run(request).await;
    };
    let Some(id) = session_id(request.uri()).map(str::to_owned) else {
        request.extensions_mut().insert(Transport { connection, sessions });
        return next.run(request).await;
    };
    if sessions.is_refused(&id) {
        return (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/json")], UNKNOWN).into_response();
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        sessions.moved(id, connection);
    }
    response
}

fn session_id(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("sid="))
}

fn compact(request: &mut Request) {
    if let Ok(uri) = Uri::try_from(request.uri().to_string()) {
        *request.uri_mut() = uri;
    }
    let copied = |name: HeaderName| {
        let value = HeaderValue::from_bytes(request.headers().get(&name)?.as_bytes()).ok()?;
        Some((name, value))
    };
    let kept: HeaderMap = KEPT.into_iter().filter_map(copied).collect();
    // Unlike the map itself, a clone has room for nothing more.
    *request.headers_mut() = kept.clone();
}
