//! WebSockets: the opening handshake, and a session's move from polling to one.
//!
//! The library answers any request with 101, and ends a session whose move breaks off half-way. So
//! both are done here: it gets a WebSocket that is open, and of a session that moves, one that the
//! client has found to work.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::Request,
    http::{
        self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
            SEC_WEBSOCKET_VERSION, UPGRADE,
        },
    },
    response::{IntoResponse, Response},
};
use bytes::{Buf, BytesMut};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tungstenite::handshake::derive_accept_key;

use super::{
    Engine, Opening, frames::Frames, polling::Polling, reader::Frame, refusal::Refusal,
    session::Session,
};
use crate::net::{Connection, ConnectionHandle};

/// The time that a client may take to probe a WebSocket, as with Node's server:
/// <https://socket.io/docs/v4/server-options/#upgradetimeout>.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// More than the frames have that a client may send until its session has moved.
const MAX_PROBE_BYTES: usize = 256;

/// A frame of text: the answer to a probe.
const PROBE_ANSWER: &[u8] = b"\x81\x063probe";

/// A close frame that gives no reason.
const CLOSE_FRAME: &[u8] = b"\x88\0";

/// The frames of a finished probe, as the library is to read them, with a mask that changes
/// nothing.
const PROBE_REPLAY: &[u8] = b"\x81\x86\0\0\0\x002probe\x81\x81\0\0\0\x005";

/// A request that asks for a WebSocket as RFC 6455 has it:
/// <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1>.
pub(super) struct Handshake {
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
    upgrade: OnUpgrade,
}

impl Handshake {
    /// Takes the connection out of a request.
    ///
    /// # Errors
    /// The part that is missing; a proxy may have left it out.
    pub(super) fn of(request: &mut Request) -> Result<Self, Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::BadMethod);
        }
        let headers = request.headers();
        for (name, token) in [
            (UPGRADE, "websocket"),
            (CONNECTION, "upgrade"),
            (SEC_WEBSOCKET_VERSION, "13"),
        ] {
            if !has_token(headers, &name, token) {
                return Err(Refusal::BadRequest(format!(
                    "no WebSocket without the header {name}: {token}"
                )));
            }
        }
        let key = headers
            .get(SEC_WEBSOCKET_KEY)
            .filter(|key| is_key(key.as_bytes()));
        let key = key.ok_or_else(|| {
            Refusal::BadRequest("no WebSocket without a sec-websocket-key of 16 bytes".into())
        })?;
        let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
            .expect("base64 is a header's value");
        // As Node's server does: the first.
        let protocol = headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(first_token);
        Ok(Self {
            accept,
            protocol,
            upgrade: hyper::upgrade::on(request),
        })
    }

    /// Agrees to the handshake.
    fn answer(accept: HeaderValue, protocol: Option<HeaderValue>) -> Response {
        let headers = [
            (UPGRADE, HeaderValue::from_static("websocket")),
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (SEC_WEBSOCKET_ACCEPT, accept),
        ];
        let protocol = protocol.map(|protocol| [(SEC_WEBSOCKET_PROTOCOL, protocol)]);
        let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
        response
            .headers_mut()
            .extend(protocol.into_iter().flatten());
        response
    }
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let mut values = headers.get_all(name).iter().flat_map(tokens);
    values.any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
}

fn first_token(value: &HeaderValue) -> Option<HeaderValue> {
    let first = tokens(value).next().filter(|first| !first.is_empty())?;
    HeaderValue::from_bytes(first).ok()
}

/// Returns whether a text is 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_digit)
}

impl Engine {
    /// Begins a session by WebSocket.
    pub(super) fn begin_websocket(
        &self,
        session: Session,
        handshake: Handshake,
        request: http::Request<()>,
    ) -> Response {
        let Handshake {
            accept,
            protocol,
            upgrade,
        } = handshake;
        let (library, inbound) = (self.library.clone(), self.inbound.clone());
        tokio::spawn(async move {
            if let Some((connection, read)) = opened(upgrade).await {
                library.websocket(Frames::new(connection, session, inbound, read), request);
            }
        });
        Handshake::answer(accept, protocol)
    }

    /// Lets a session move from polling to a WebSocket, once its client has found that to work.
    /// Until then polling goes on. A second WebSocket is closed as it opens, as by Node's server.
    ///
    /// # Errors There is no such session.
    pub(super) fn move_to_websocket(
        &self,
        opening: Opening<'_>,
        handle: ConnectionHandle,
        mut request: Request,
    ) -> Result<Response, Refusal> {
        let Handshake {
            accept,
            protocol,
            upgrade,
        } = Handshake::of(&mut request)?;
        let request = opening.request(request.headers(), None);
        let session = opening
            .query
            .sid
            .and_then(|id| self.sessions.find(id))
            .ok_or(Refusal::UnknownSession)?;
        let is_first = session.is_polling() && session.polling().is_some_and(Polling::begin_probe);
        if !is_first {
            tokio::spawn(closed(upgrade));
            return Ok(Handshake::answer(accept, protocol));
        }
        let engine = self.clone();
        tokio::spawn(async move {
            let probed = timeout(PROBE_TIMEOUT, probed(upgrade, &session))
                .await
                .ok()
                .flatten();
            if let Some(polling) = session.polling() {
                polling.end_probe();
            }
            let Some((connection, read)) = probed.filter(|_| session.move_to(handle)) else {
                return;
            };
            let frames =
                Frames::new(connection, session, engine.inbound, read).without_first_answer();
            engine.library.websocket(frames, request);
        });
        Ok(Handshake::answer(accept, protocol))
    }
}

/// Waits for the connection of a handshake that was agreed to; what has been read of it already.
async fn opened(upgrade: OnUpgrade) -> Option<(Connection, Bytes)> {
    let parts = upgrade.await.ok()?.downcast::<TokioIo<Connection>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

/// Closes a WebSocket as it opens.
async fn closed(upgrade: OnUpgrade) {
    if let Some((mut connection, _)) = opened(upgrade).await {
        connection.write_all(CLOSE_FRAME).await.ok();
        connection.end();
    }
}

/// Waits until a client has found its WebSocket to work; what the library is to read of it first:
/// <https://socket.io/docs/v4/engine-io-protocol/#upgrade>.
async fn probed(upgrade: OnUpgrade, session: &Session) -> Option<(Connection, Bytes)> {
    let (mut connection, read) = opened(upgrade).await?;
    let mut read = BytesMut::from(read);
    expect(b"2probe", &mut connection, &mut read).await?;
    connection.write_all(PROBE_ANSWER).await.ok()?;
    session.polling()?.interrupt_poll();
    expect(b"5", &mut connection, &mut read).await?;
    Some((connection, [PROBE_REPLAY, &read].concat().into()))
}

/// Reads a packet, if it is this one.
async fn expect(packet: &[u8], connection: &mut Connection, read: &mut BytesMut) -> Option<()> {
    loop {
        if let Some((payload, bytes)) = first_frame(read) {
            read.advance(bytes);
            return (payload == packet).then_some(());
        }
        if read.len() > MAX_PROBE_BYTES || connection.read_buf(read).await.ok()? == 0 {
            return None;
        }
    }
}

/// Returns the payload of the frame that has come, and the bytes that the frame takes.
fn first_frame(read: &[u8]) -> Option<(Vec<u8>, usize)> {
    let header =
        (2..=read.len()).find_map(|end| Frame::parse(&read[..end]).map(|parsed| (end, parsed)));
    let (begin, (length, frame)) = header?;
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    Some((frame.unmask(read.get(begin..end)?), end))
}
