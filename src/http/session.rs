//! What a session keeps of the request that it began by, who may begin one, and how its connection is found again.
//!
//! The library keeps a handshake's URI and headers as long as the session. As they are slices of the buffer that hyper
//! reads into, 16 kB would stay with each.

use std::{net::IpAddr, time::Duration};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{AUTHORIZATION, CONTENT_TYPE, SEC_WEBSOCKET_KEY},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use crate::net::{Admission, Beginning, ConnectionHandle, Peer, Place, Sessions, Transport};

/// The headers that are read behind this layer.
const KEPT: [HeaderName; 3] = [AUTHORIZATION, CONTENT_TYPE, SEC_WEBSOCKET_KEY];

/// Whom a proxy speaks for: <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Engine.IO's answer to a session that it does not know; clients connect again.
const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

const TOO_MANY: &str =
    r#"{"error":{"code":"RATE_LIMITED","message":"too many connections from this address","retryable":true}}"#;

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
        let Some(place) = self.place(peer.address, request.headers()) else {
            return refusal(StatusCode::TOO_MANY_REQUESTS, TOO_MANY);
        };
        compact(&mut request);
        let beginning = beginning(request.uri(), peer.connection);
        request.extensions_mut().insert(Transport::new(beginning, self.sessions, place));
        next.run(request).await
    }

    async fn go_on(self, id: String, peer: Peer, mut request: Request, next: Next) -> Response {
        if self.sessions.is_refused(&id) {
            return refusal(StatusCode::BAD_REQUEST, UNKNOWN);
        }
        compact(&mut request);
        let response = self.in_time(request, next).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.sessions.moved(id, peer.connection);
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

    fn place(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Place> {
        let lines = headers.get_all(FORWARDED_FOR).into_iter().filter_map(|line| line.to_str().ok());
        let forwarded: Vec<_> = lines.flat_map(|line| line.split(',')).collect();
        self.admission.session(peer, forwarded.into_iter())
    }
}

fn refusal(status: StatusCode, json: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], json).into_response()
}

fn session_id(uri: &Uri) -> Option<&str> {
    parameters(uri).find_map(|parameter| parameter.strip_prefix("sid="))
}

fn beginning(uri: &Uri, connection: ConnectionHandle) -> Beginning {
    if parameters(uri).any(|parameter| parameter == "transport=websocket") {
        return Beginning::WebSocket(connection);
    }
    Beginning::Polling
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
