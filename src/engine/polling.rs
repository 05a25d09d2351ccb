//! Long-polling: a session's requests, one payload after the other.
//!
//! This layer splits each payload before the library sees it: the library spawns a task for every
//! CONNECT packet, valid or not, and ignores a CONNECT during the removal of the previous socket.

use std::{ops::Range, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::Request,
    http::{
        self, HeaderValue, Method, StatusCode,
        header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};

use super::{
    dialect,
    endpoint::Engine,
    opening::Opening,
    packet::{PacketKind, Packets, length_without_close},
    polling_state::PollingState,
    query::Version,
    refusal::Refusal,
    session::{Session, Verdict},
};

/// The time in which a client may poll again after a poll without an answer: longer than a proxy
/// takes to try again.
pub const LOST_POLL_GRACE: Duration = Duration::from_secs(1);

/// More bytes than a session's first packet has.
const MAX_OPEN_BYTES: usize = 4096;

/// A drop guard of a poll, which may end without an answer when its connection does.
struct LostPoll<'a> {
    session: &'a Session,
    number: u64,
    is_answered: bool,
}

impl<'a> LostPoll<'a> {
    fn watch(session: &'a Session, polling: &PollingState) -> Self {
        Self {
            session,
            number: polling.count_poll(),
            is_answered: false,
        }
    }
}

impl Drop for LostPoll<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            tokio::spawn(close_unless_polled(self.session.clone(), self.number));
        }
    }
}

async fn close_unless_polled(session: Session, number: u64) {
    tokio::time::sleep(LOST_POLL_GRACE).await;
    let latest = session.polling().map(PollingState::latest_poll);
    if session.is_polling() && latest == Some(number) {
        session.close();
    }
}

impl Engine {
    /// Begins a session by polling: the library answers with the session's id.
    pub(super) async fn open_polling(
        &self,
        session: Session,
        opening: Opening<'_>,
        request: http::Request<()>,
    ) -> Response {
        let response = self.library.request(request.map(|()| Body::empty())).await;
        let (parts, body) = response.into_parts();
        let Ok(packet) = to_bytes(body, MAX_OPEN_BYTES).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        if let Some(id) = session_id(&packet) {
            let version = opening.parameters.version;
            self.sessions
                .register(&session, id, opening.target(id), version);
        }
        forbid_caching(Response::from_parts(parts, packet.into()))
    }

    /// Serves a later request of a session by polling.
    ///
    /// # Errors
    ///
    /// The session is unknown, or not of this version; the method or the payload is wrong.
    pub(super) async fn serve_polling(
        &self,
        id: &str,
        version: Version,
        request: Request,
    ) -> Result<Response, Refusal> {
        let session = self.sessions.find(id).filter(Session::is_polling);
        let session = session.ok_or(Refusal::UnknownSession)?;
        let polling = session
            .polling()
            .filter(|polling| polling.version() == version);
        let polling =
            polling.ok_or_else(|| Refusal::BadRequest("the session has another version".into()))?;
        let response = match *request.method() {
            Method::GET => self.poll(&session, polling).await,
            Method::POST => self.post(&session, polling, request).await,
            _ => Err(Refusal::BadMethod),
        };
        response.map(forbid_caching)
    }

    async fn poll(&self, session: &Session, polling: &PollingState) -> Result<Response, Refusal> {
        let mut watch = LostPoll::watch(session, polling);
        let answer = tokio::select! {
            biased;
            answer = self.library.request(polling.request(Method::GET, None, Body::empty())) => answer,
            () = polling.wait_for_interrupt() => polling.noop().into_response(),
        };
        watch.is_answered = true;
        if answer.status() != StatusCode::OK {
            return Err(Refusal::UnknownSession);
        }
        let (parts, body) = answer.into_parts();
        let payload = to_bytes(body, usize::MAX)
            .await
            .map_err(|_| Refusal::UnknownSession)?;
        let payload = strip_close(payload, polling.version()).ok_or(Refusal::UnknownSession)?;
        let payload = dialect::rewrite_to_client(payload, polling.version());
        session.count_polled(payload.len());
        let content_type = parts.headers.get(CONTENT_TYPE).cloned();
        let mut response = Response::new(Body::from(payload));
        let headers = response.headers_mut();
        headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
        Ok(response)
    }

    async fn post(
        &self,
        session: &Session,
        polling: &PollingState,
        request: Request,
    ) -> Result<Response, Refusal> {
        let taken = tokio::time::timeout(self.settings.payload_timeout, async {
            let _one_at_a_time = polling.lock_posting().await;
            let limit = session.max_packet_bytes();
            let content_type = request.headers().get(CONTENT_TYPE).cloned();
            let bytes = announced_bytes(&request).unwrap_or(limit).min(limit);
            let _permit = self.inbound.reserve(bytes).await;
            let Ok(payload) = to_bytes(request.into_body(), limit).await else {
                session.close();
                return close_connection(StatusCode::PAYLOAD_TOO_LARGE);
            };
            let payload = dialect::rewrite_from_client(payload, polling.version());
            self.hand_over(session, polling, payload, content_type)
                .await
        });
        match taken.await {
            Ok(response) if response.status() == StatusCode::BAD_REQUEST => {
                Err(Refusal::BadRequest("the payload cannot be read".into()))
            }
            Ok(response) => Ok(response),
            Err(_) => Ok(close_connection(StatusCode::REQUEST_TIMEOUT)),
        }
    }

    /// Hands a payload to the library; in parts, if a packet must be handled alone.
    async fn hand_over(
        &self,
        session: &Session,
        polling: &PollingState,
        payload: Bytes,
        content_type: Option<HeaderValue>,
    ) -> Response {
        let send = |part: Bytes| {
            let request = polling.request(Method::POST, content_type.clone(), part);
            self.library.request(request)
        };
        let (mut begin, mut at) = (0, 0);
        for (packet, next) in Packets::new(&payload, polling.version()) {
            let kind = PacketKind::from_head(packet);
            if !kind.is_event() && session.count_packet(packet.len()).is_some() {
                session.close();
                return StatusCode::TOO_MANY_REQUESTS.into_response();
            }
            let mut verdict = session.judge(kind);
            while verdict == Verdict::Wait {
                if at > begin {
                    let answer = send(slice_packets(&payload, begin..at, polling.version())).await;
                    if answer.status() != StatusCode::OK {
                        return answer;
                    }
                    begin = at;
                }
                session.wait_until_settled().await;
                verdict = session.judge(kind);
            }
            if verdict == Verdict::Refuse {
                session.close();
                return StatusCode::BAD_REQUEST.into_response();
            }
            at = next;
        }
        send(payload.slice(begin..)).await
    }
}

/// Answers a request before its end, and thereby ends its connection.
fn close_connection(status: StatusCode) -> Response {
    (status, [(CONNECTION, "close")]).into_response()
}

/// Returns some packets of a payload as a payload, without the separator behind them.
fn slice_packets(payload: &Bytes, range: Range<usize>, version: Version) -> Bytes {
    let end = if version == Version::V4 {
        range.end - 1
    } else {
        range.end
    };
    payload.slice(range.start..end)
}

/// Strips the packet that ends the session, as several clients take it for final; returns `None` if
/// nothing else is left. Clients learn of the end by their next request, and come back.
fn strip_close(payload: Bytes, version: Version) -> Option<Bytes> {
    let end = length_without_close(&payload, version)?;
    (end > 0).then(|| payload.slice(..end))
}

/// Returns the length of a request's body, if its headers give it.
fn announced_bytes(request: &Request) -> Option<usize> {
    usize::try_from(request.body().size_hint().exact()?).ok()
}

fn forbid_caching(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns the id in a session's first packet:
/// <https://socket.io/docs/v4/engine-io-protocol/#handshake>.
fn session_id(packet: &[u8]) -> Option<&str> {
    let (_, rest) = str::from_utf8(packet).ok()?.split_once(r#""sid":""#)?;
    rest.split('"').next()
}
