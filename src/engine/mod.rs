//! Engine.IO sessions, below Socket.IO: who may begin one, what carries it, what it may bring, and
//! how it ends: <https://socket.io/docs/v4/engine-io-protocol/>.
//!
//! Every request is read here once, and written anew for the library, so that there are no two
//! readings of one. Each session has a [`Session`], by which the layers above end it, and tell it
//! whether its client is in the chat.

mod dialect;
mod frames;
mod inbound;
mod library;
mod name;
mod packet;
mod polling;
mod query;
mod reader;
mod refusal;
mod session;
mod sessions;
mod websocket;
mod writer;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    BoxError, Router,
    body::{Bytes, HttpBody},
    extract::{Request, State},
    http::{
        self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::json;
use tower_service::Service;

pub use self::{
    frames::Frames,
    inbound::{LARGE_PACKET_BYTES, MAX_INBOUND_BYTES},
    polling::LOST_POLL_GRACE,
    session::{EVENT_BYTES, Session},
    sessions::MAX_ENTERING_SESSIONS,
    websocket::PROBE_TIMEOUT,
};
use self::{
    inbound::Inbound,
    library::Library,
    query::{Query, TransportName},
    refusal::Refusal,
    session::Places,
    sessions::Sessions,
    websocket::Handshake,
};
use crate::{
    error::Error,
    net::{Admission, Peer, hops},
    rates::Rate,
};

/// The most bytes of a packet before its client is in the chat: a token, and the rooms to join.
pub const MAX_ENTRY_BYTES: usize = 128 * 1024;

/// The headers that are read above this layer.
const KEPT: [HeaderName; 1] = [AUTHORIZATION];

/// The header by which proxies name the clients that they speak for:
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Settings of an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The time that a session may go on whose client is not in the chat.
    pub handshake_timeout: Duration,
    /// The time that a client may take to send a payload, or a large packet.
    pub payload_timeout: Duration,
    /// The most bytes of a payload, or of a packet by WebSocket.
    pub max_payload: usize,
    /// The packets that one session may bring.
    pub packets: Rate,
    /// True where the layers above tell each session that its client enters and leaves the chat. A
    /// client then does one at a time, and sends little before it is in.
    pub guarded: bool,
}

/// An Engine.IO endpoint.
#[derive(Clone)]
pub struct Engine {
    library: Arc<dyn Library>,
    sessions: Sessions,
    admission: Admission,
    inbound: Inbound,
}

impl Engine {
    /// An endpoint whose sessions take places, and which is served by a library.
    pub fn new<S, B>(library: S, admission: Admission, settings: Settings) -> Self
    where
        S: Service<
                Request,
                Response = http::Response<B>,
                Error = Infallible,
                Future: Send + 'static,
            > + Service<(Frames, http::Request<()>), Response = ()>
            + Clone
            + Send
            + Sync
            + 'static,
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let library: Arc<dyn Library> = Arc::new(library);
        Self {
            sessions: Sessions::new(settings, library.clone()),
            library,
            admission,
            inbound: Inbound::default(),
        }
    }

    /// Returns the counts of who is connected.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Routes to the endpoint, at a path with a slash at its end or without.
    pub fn routes(self, path: &str) -> Router {
        Router::new()
            .route(path, any(serve))
            .route(&format!("{path}/"), any(serve))
            .with_state(self)
    }

    async fn answer(&self, mut request: Request) -> Result<Response, Refusal> {
        let peer = request.extensions_mut().remove::<Peer>();
        let peer = peer.ok_or_else(|| Refusal::BadRequest("the request has no peer".into()))?;
        let uri = std::mem::take(request.uri_mut());
        let query = Query::parse(&uri)?;
        let opening = Opening {
            query,
            path: uri.path(),
        };
        match (query.transport, query.sid) {
            (TransportName::Polling, Some(_)) => self.go_on(query, request).await,
            (TransportName::Polling, None) => self.begin_polling(opening, peer, request).await,
            (TransportName::WebSocket, Some(_)) => {
                self.move_to_websocket(opening, peer.connection, request)
            }
            (TransportName::WebSocket, None) => self.begin_on_websocket(opening, peer, request),
        }
    }

    async fn begin_polling(
        &self,
        opening: Opening<'_>,
        peer: Peer,
        request: Request,
    ) -> Result<Response, Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::BadMethod);
        }
        let places = match self.places(&peer, request.headers()) {
            Ok(places) => places,
            Err(error) => return Ok(too_many(&error)),
        };
        let session = Session::new(None, opening.query.version, self.sessions.clone(), places);
        let request = opening.request(request.headers(), Some(session.clone()));
        Ok(self.open(session, opening, request).await)
    }

    fn begin_on_websocket(
        &self,
        opening: Opening<'_>,
        peer: Peer,
        mut request: Request,
    ) -> Result<Response, Refusal> {
        let handshake = Handshake::of(&mut request)?;
        let places = match self.places(&peer, request.headers()) {
            Ok(places) => places,
            Err(error) => return Ok(too_many(&error)),
        };
        let session = Session::new(
            Some(peer.connection),
            opening.query.version,
            self.sessions.clone(),
            places,
        );
        let request = opening.request(request.headers(), Some(session.clone()));
        Ok(self.begin_websocket(session, handshake, request))
    }

    fn places(&self, peer: &Peer, headers: &HeaderMap) -> Result<Places, Error> {
        let session = self
            .admission
            .session(peer.address, hops(headers.get_all(FORWARDED_FOR).iter()))?;
        Ok(Places {
            session,
            entering: self.sessions.room_to_enter()?,
        })
    }
}

async fn serve(State(engine): State<Engine>, request: Request) -> Response {
    engine
        .answer(request)
        .await
        .unwrap_or_else(Refusal::into_response)
}

/// The target of a request that opens a session, or its WebSocket.
#[derive(Debug, Clone, Copy)]
struct Opening<'a> {
    query: Query<'a>,
    path: &'a str,
}

impl Opening<'_> {
    /// Writes the request for the library, in small allocations of its own: the library keeps it as
    /// long as the session, and the parts of the one that came are slices of the buffer that hyper
    /// reads into, so that 16 kB would stay with each.
    fn request(&self, headers: &HeaderMap, session: Option<Session>) -> http::Request<()> {
        let mut request = http::Request::new(());
        *request.uri_mut() = self.query.to_uri(self.path);
        let copied = |name: HeaderName| {
            let value = HeaderValue::from_bytes(headers.get(&name)?.as_bytes()).ok()?;
            Some((name, value))
        };
        let kept: HeaderMap = KEPT.into_iter().filter_map(copied).collect();
        // Unlike the map itself, a clone has room for nothing more.
        *request.headers_mut() = kept.clone();
        if let Some(session) = session {
            request.extensions_mut().insert(session);
        }
        request
    }
}

fn too_many(error: &Error) -> Response {
    let wait = error
        .retry_after()
        .unwrap_or_default()
        .as_nanos()
        .div_ceil(1_000_000)
        .max(1);
    let body = json!({
        "error": {
            "code": error.code(),
            "message": error.to_string(),
            "retryable": error.is_retryable(),
            "retryAfterMs": u64::try_from(wait).unwrap_or(u64::MAX),
        }
    });
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (RETRY_AFTER, wait.div_ceil(1000).to_string()),
    ];
    (StatusCode::TOO_MANY_REQUESTS, headers, body.to_string()).into_response()
}
