//! Long-polling: a session's requests, one payload after the other.
//!
//! A payload is taken apart before the library sees it: the library starts a task for every CONNECT
//! packet, whatever it says, and ignores one that comes while the socket before it is being put
//! away.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{
        self, HeaderValue, Method, StatusCode, Uri,
        header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use tokio::sync::{Mutex, Notify};

use super::{
    Engine, Opening, dialect,
    packet::{Kind, Packets, without_close},
    query::{Query, Version},
    refusal::Refusal,
    session::{Session, Verdict},
};

/// The time in which a session may be polled again whose poll ended without its answer: longer than
/// a proxy takes to try again.
pub const LOST_POLL_GRACE: Duration = Duration::from_secs(1);

/// The time that a poll waits while the client probes a WebSocket: without it, the client would
/// poll in a tight loop.
const PROBED_POLL_WAIT: Duration = Duration::from_millis(100);

/// A packet without content, which ends a poll.
const NOOP: &str = "6";

/// A packet that ends the session.
const CLOSE: &str = "1";

/// More than the packet has that begins a session.
const MAX_OPEN_BYTES: usize = 4096;

/// The state of a session that began by polling.
#[derive(Debug)]
pub(super) struct Polling {
    id: String,
    target: Uri,
    version: Version,
    /// One payload at a time is taken.
    posting: Mutex<()>,
    polls: AtomicU64,
    /// True while the client is probing a WebSocket.
    is_probed: AtomicBool,
    probed: Notify,
}

impl Polling {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// A request that ends the session in the library.
    pub(super) fn closing_request(&self) -> Request {
        let payload = self.payload(CLOSE);
        self.request(Method::POST, None, payload)
    }

    fn request(
        &self,
        method: Method,
        content_type: Option<HeaderValue>,
        body: impl Into<Body>,
    ) -> Request {
        let mut request = Request::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() = self.target.clone();
        if let Some(content_type) = content_type {
            request.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        request
    }

    /// A payload of one ASCII packet.
    fn payload(&self, packet: &'static str) -> String {
        match self.version {
            Version::V3 => format!("{}:{packet}", packet.len()),
            Version::V4 => packet.to_owned(),
        }
    }

    /// Begins a probe; false while another one is under way.
    pub(super) fn begin_probe(&self) -> bool {
        !self.is_probed.swap(true, Ordering::AcqRel)
    }

    /// Ends the poll that waits, so that the client can pause.
    pub(super) fn interrupt_poll(&self) {
        self.probed.notify_waiters();
    }

    /// Ends a probe.
    pub(super) fn end_probe(&self) {
        self.is_probed.store(false, Ordering::Release);
    }

    /// Waits until a poll is to be ended because of a probe.
    async fn interrupted(&self) {
        let probed = self.probed.notified();
        if self.is_probed.load(Ordering::Acquire) {
            tokio::time::timeout(PROBED_POLL_WAIT, probed).await.ok();
        } else {
            probed.await;
        }
    }
}

/// Notices that a poll ends without its answer, as its connection does.
struct LostPoll<'a> {
    session: &'a Session,
    number: u64,
    is_answered: bool,
}

impl<'a> LostPoll<'a> {
    fn watch(session: &'a Session, polling: &Polling) -> Self {
        let number = polling.polls.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            session,
            number,
            is_answered: false,
        }
    }
}

impl Drop for LostPoll<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            tokio::spawn(cut_unless_polled(self.session.clone(), self.number));
        }
    }
}

async fn cut_unless_polled(session: Session, number: u64) {
    tokio::time::sleep(LOST_POLL_GRACE).await;
    let polls = session
        .polling()
        .map(|polling| polling.polls.load(Ordering::Relaxed));
    if session.is_polling() && polls == Some(number) {
        session.cut();
    }
}

impl Engine {
    /// Begins a session.
    pub(super) async fn open(
        &self,
        session: Session,
        opening: Opening<'_>,
        request: http::Request<()>,
    ) -> Response {
        let Opening { query, path } = opening;
        let response = self.library.request(request.map(|()| Body::empty())).await;
        let (parts, body) = response.into_parts();
        let Ok(packet) = to_bytes(body, MAX_OPEN_BYTES).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        if let Some(id) = session_id(&packet) {
            session.begin_polling(Polling {
                id: id.to_owned(),
                target: Query {
                    sid: Some(id),
                    ..query
                }
                .to_uri(path),
                version: query.version,
                posting: Mutex::default(),
                polls: AtomicU64::new(0),
                is_probed: AtomicBool::new(false),
                probed: Notify::new(),
            });
            session.sessions().insert(id, &session);
        }
        uncached(Response::from_parts(parts, packet.into()))
    }

    /// Serves a request of a session that goes on by polling.
    pub(super) async fn go_on(
        &self,
        query: Query<'_>,
        request: Request,
    ) -> Result<Response, Refusal> {
        let session = query
            .sid
            .and_then(|id| self.sessions.find(id))
            .ok_or(Refusal::UnknownSession)?;
        if !session.is_polling() {
            return Err(Refusal::UnknownSession);
        }
        let polling = session
            .polling()
            .filter(|polling| polling.version == query.version);
        let polling =
            polling.ok_or_else(|| Refusal::BadRequest("the session has another version".into()))?;
        match *request.method() {
            Method::GET => self.poll(&session, polling).await.map(uncached),
            Method::POST => self.post(&session, polling, request).await.map(uncached),
            _ => Err(Refusal::BadMethod),
        }
    }

    async fn poll(&self, session: &Session, polling: &Polling) -> Result<Response, Refusal> {
        let mut watch = LostPoll::watch(session, polling);
        let answer = tokio::select! {
            biased;
            answer = self.library.request(polling.request(Method::GET, None, Body::empty())) => answer,
            () = polling.interrupted() => polling.payload(NOOP).into_response(),
        };
        watch.is_answered = true;
        if answer.status() != StatusCode::OK {
            return Err(Refusal::UnknownSession);
        }
        let (parts, body) = answer.into_parts();
        let payload = to_bytes(body, usize::MAX)
            .await
            .map_err(|_| Refusal::UnknownSession)?;
        let payload = told(payload, polling.version).ok_or(Refusal::UnknownSession)?;
        let payload = dialect::to_client(payload, polling.version);
        session.count_polled(payload.len());
        let mut response = Response::new(Body::from(payload));
        response.headers_mut().extend(
            parts
                .headers
                .get(CONTENT_TYPE)
                .cloned()
                .map(|value| (CONTENT_TYPE, value)),
        );
        Ok(response)
    }

    async fn post(
        &self,
        session: &Session,
        polling: &Polling,
        request: Request,
    ) -> Result<Response, Refusal> {
        let taken = tokio::time::timeout(self.sessions.settings().payload_timeout, async {
            let _one_at_a_time = polling.posting.lock().await;
            let limit = session.max_packet_bytes();
            let content_type = request.headers().get(CONTENT_TYPE).cloned();
            let _room = self
                .inbound
                .room_for(announced(&request).unwrap_or(limit).min(limit))
                .await;
            let Ok(payload) = to_bytes(request.into_body(), limit).await else {
                session.cut();
                return unread(StatusCode::PAYLOAD_TOO_LARGE);
            };
            let payload = dialect::from_client(payload, polling.version);
            self.take(session, polling, payload, content_type).await
        });
        match taken.await {
            Ok(response) if response.status() == StatusCode::BAD_REQUEST => {
                Err(Refusal::BadRequest("the payload cannot be read".into()))
            }
            Ok(response) => Ok(response),
            Err(_) => Ok(unread(StatusCode::REQUEST_TIMEOUT)),
        }
    }

    /// Hands a payload to the library, in parts where a packet is to be done with before the next
    /// one comes.
    async fn take(
        &self,
        session: &Session,
        polling: &Polling,
        payload: Bytes,
        content_type: Option<HeaderValue>,
    ) -> Response {
        let hand_over = |part: Bytes| {
            let request = polling.request(Method::POST, content_type.clone(), part);
            self.library.request(request)
        };
        let (mut begin, mut at) = (0, 0);
        for (packet, next) in Packets::of(&payload, polling.version) {
            let kind = Kind::of(packet);
            if !kind.is_event() && session.count(packet.len()).is_some() {
                session.cut();
                return StatusCode::TOO_MANY_REQUESTS.into_response();
            }
            let mut verdict = session.admit(kind);
            while verdict == Verdict::Wait {
                if at > begin {
                    let answer = hand_over(part(&payload, begin..at, polling.version)).await;
                    if answer.status() != StatusCode::OK {
                        return answer;
                    }
                    begin = at;
                }
                session.settled().await;
                verdict = session.admit(kind);
            }
            if verdict == Verdict::Refuse {
                session.cut();
                return StatusCode::BAD_REQUEST.into_response();
            }
            at = next;
        }
        hand_over(payload.slice(begin..)).await
    }
}

/// An answer to a request that is not read to its end, so that its connection cannot go on.
fn unread(status: StatusCode) -> Response {
    (status, [(CONNECTION, "close")]).into_response()
}

/// A part of a payload as a payload: what separates packets does not end one.
fn part(payload: &Bytes, range: std::ops::Range<usize>, version: Version) -> Bytes {
    let end = if version == Version::V4 {
        range.end - 1
    } else {
        range.end
    };
    payload.slice(range.start..end)
}

/// Cuts off the packet that ends the session, as several clients take it for final; `None` where
/// nothing else is left to say. Clients learn of the end by their next request, and come back.
fn told(payload: Bytes, version: Version) -> Option<Bytes> {
    let end = without_close(&payload, version)?;
    (end > 0).then(|| payload.slice(..end))
}

fn announced(request: &Request) -> Option<usize> {
    request
        .headers()
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn uncached(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The id in the packet that begins a session:
/// <https://socket.io/docs/v4/engine-io-protocol/#handshake>.
fn session_id(packet: &[u8]) -> Option<&str> {
    let (_, rest) = str::from_utf8(packet).ok()?.split_once(r#""sid":""#)?;
    rest.split('"').next()
}
