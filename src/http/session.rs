//! What a session keeps of the request that it began by, who may begin one, and how its connection is found again.
//!
//! The library keeps a handshake's URI and headers as long as the session. As they are slices of the buffer that hyper
//! reads into, 16 kB would stay with each.

use std::{net::IpAddr, time::Duration};

use axum::{
    body::{HttpBody, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_KEY},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    error::Error,
    net::{Admission, Peer, SessionPlace, Sessions, Transport, Way, hops},
};

/// The headers that are read behind this layer.
const KEPT: [HeaderName; 3] = [AUTHORIZATION, CONTENT_TYPE, SEC_WEBSOCKET_KEY];

/// Whom a proxy speaks for: <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Engine.IO's answer to a session that it does not know; clients connect again.
const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// More than the packet has that begins a session.
const MAX_OPEN_BYTES: usize = 4096;

/// The sessions that there are, and who may begin one.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub admission: Admission,
    pub sessions: Sessions,
    pub payload_timeout: Duration,
}

/// Gives a request that begins a session its [`Transport`], in small allocations of its own; follows those that go on.
pub(super) async fn follow(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let Some(peer) = request.extensions_mut().remove::<Peer>() else {
        return next.run(request).await;
    };
    match session_id(request.uri()).map(str::to_owned) {
        None => door.begin(peer, request, next).await,
        Some(id) => door.go_on(id, peer, request, next).await,
    }
}

impl Door {
    async fn begin(self, peer: Peer, mut request: Request, next: Next) -> Response {
        let place = match self.place(peer.address, request.headers()) {
            Ok(place) => place,
            Err(error) => return too_many(&error),
        };
        compact(&mut request);
        let websocket = parameters(request.uri()).any(|parameter| parameter == "transport=websocket");
        let way = if websocket { Way::WebSocket(peer.connection) } else { Way::Polling };
        let transport = Transport::new(way, self.sessions, place);
        request.extensions_mut().insert(transport.clone());
        let response = next.run(request).await;
        if websocket { response } else { named(transport, response).await }
    }

    async fn go_on(self, id: String, peer: Peer, mut request: Request, next: Next) -> Response {
        let transport = self.sessions.find(&id);
        if transport.as_ref().is_some_and(Transport::is_cut) {
            return (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/json")], UNKNOWN).into_response();
        }
        compact(&mut request);
        let response = self.in_time(request, next).await;
        if let Some(transport) = transport {
            match response.status() {
                StatusCode::SWITCHING_PROTOCOLS => transport.moves_to(peer.connection),
                _ => transport.polls(response.body().size_hint().lower()),
            }
        }
        response
    }

    /// A poll takes as long as there is nothing to say; a payload is to come at once.
    async fn in_time(&self, request: Request, next: Next) -> Response {
        if request.method() != Method::POST {
            return next.run(request).await;
        }
        let answered = timeout(self.payload_timeout, next.run(request)).await;
        answered.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
    }

    fn place(&self, peer: IpAddr, headers: &HeaderMap) -> Result<SessionPlace, Error> {
        self.admission.session(peer, hops(headers.get_all(FORWARDED_FOR).iter()))
    }
}

fn too_many(error: &Error) -> Response {
    let wait = error.retry_after().unwrap_or_default().as_millis().max(1);
    let body = json!({
        "error": {
            "code": error.code(),
            "message": error.to_string(),
            "retryable": error.retryable(),
            "retryAfterMs": u64::try_from(wait).unwrap_or(u64::MAX),
        }
    });
    let headers = [(CONTENT_TYPE, "application/json".to_owned()), (RETRY_AFTER, wait.div_ceil(1000).to_string())];
    (StatusCode::TOO_MANY_REQUESTS, headers, body.to_string()).into_response()
}

fn session_id(uri: &Uri) -> Option<&str> {
    parameters(uri).find_map(|parameter| parameter.strip_prefix("sid="))
}

/// Tells a session its id, which stands in the packet that answers its first request:
/// <https://socket.io/docs/v4/engine-io-protocol/#handshake>.
async fn named(transport: Transport, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let Ok(packet) = to_bytes(body, MAX_OPEN_BYTES).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let text = str::from_utf8(&packet).unwrap_or_default();
    if let Some(id) = text.split_once(r#""sid":""#).and_then(|(_, rest)| rest.split('"').next()) {
        transport.is_named(id);
    }
    Response::from_parts(parts, packet.into())
}

fn parameters(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().into_iter().flat_map(|query| query.split('&'))
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
