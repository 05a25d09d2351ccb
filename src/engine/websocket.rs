//! WebSockets: a session on one, and a session's upgrade from polling to one.
//!
//! The library answers any request with 101, and ends a session whose upgrade breaks off half-way.
//! So this layer does both: it hands the library an open WebSocket, and for an upgrade only after
//! the client has probed it.

use std::time::Duration;

use axum::{body::Bytes, extract::Request, http, response::Response};
use bytes::{Buf, BytesMut};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    endpoint::Engine, frames::Frames, handshake::Handshake, opening::Opening,
    polling_state::PollingState, reader::Frame, refusal::Refusal, session::Session,
};
use crate::net::{Connection, ConnectionHandle};

/// The time limit for the probe of a WebSocket, as with Node's server:
/// <https://socket.io/docs/v4/server-options/#upgradetimeout>.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// More bytes than a client's frames have before the end of its session's upgrade.
const MAX_PROBE_BYTES: usize = 256;

/// A frame of text: the answer to a probe.
const PROBE_ANSWER: &[u8] = b"\x81\x063probe";

/// A close frame without a reason.
const CLOSE_FRAME: &[u8] = b"\x88\0";

/// The frames of a finished probe, for the library to read, with a mask of zeros.
const PROBE_REPLAY: &[u8] = b"\x81\x86\0\0\0\x002probe\x81\x81\0\0\0\x005";

impl Engine {
    /// Begins a session on a WebSocket.
    pub(super) fn open_websocket(
        &self,
        session: Session,
        handshake: Handshake,
        request: http::Request<()>,
    ) -> Response {
        let (response, upgrade) = handshake.accept();
        let (library, inbound) = (self.library.clone(), self.inbound.clone());
        tokio::spawn(async move {
            if let Some((connection, read)) = open(upgrade).await {
                library.websocket(Frames::new(connection, session, inbound, read), request);
            }
        });
        response
    }

    /// Upgrades a session from polling to a WebSocket once its client has probed it. Polling goes
    /// on until then. A second WebSocket is closed as it opens, as Node's server does.
    ///
    /// # Errors
    ///
    /// The handshake is incomplete, or the session unknown.
    pub(super) fn upgrade_to_websocket(
        &self,
        id: &str,
        opening: Opening<'_>,
        handle: ConnectionHandle,
        mut request: Request,
    ) -> Result<Response, Refusal> {
        let handshake = Handshake::from_request(&mut request)?;
        let session = self.sessions.find(id).ok_or(Refusal::UnknownSession)?;
        let (response, upgrade) = handshake.accept();
        let is_first =
            session.is_polling() && session.polling().is_some_and(PollingState::begin_probe);
        if !is_first {
            tokio::spawn(close(upgrade));
            return Ok(response);
        }
        let request = opening.request(Some(id), request.headers(), None);
        let engine = self.clone();
        tokio::spawn(async move {
            let probed = timeout(PROBE_TIMEOUT, probe(upgrade, &session))
                .await
                .ok()
                .flatten();
            if let Some(polling) = session.polling() {
                polling.end_probe();
            }
            let Some((connection, read)) = probed.filter(|_| session.upgrade_to(handle)) else {
                return;
            };
            let frames =
                Frames::new(connection, session, engine.inbound, read).without_first_answer();
            engine.library.websocket(frames, request);
        });
        Ok(response)
    }
}

/// Waits for the connection of an accepted handshake; returns it with the bytes already read of it.
async fn open(upgrade: OnUpgrade) -> Option<(Connection, Bytes)> {
    let parts = upgrade.await.ok()?.downcast::<TokioIo<Connection>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

/// Closes a WebSocket as it opens.
async fn close(upgrade: OnUpgrade) {
    if let Some((mut connection, _)) = open(upgrade).await {
        connection.write_all(CLOSE_FRAME).await.ok();
        connection.end();
    }
}

/// Waits until a client has probed its WebSocket; returns it with the first bytes for the library:
/// <https://socket.io/docs/v4/engine-io-protocol/#upgrade>.
async fn probe(upgrade: OnUpgrade, session: &Session) -> Option<(Connection, Bytes)> {
    let (mut connection, read) = open(upgrade).await?;
    let mut read = BytesMut::from(read);
    expect_packet(b"2probe", &mut connection, &mut read).await?;
    connection.write_all(PROBE_ANSWER).await.ok()?;
    session.polling()?.interrupt_poll();
    expect_packet(b"5", &mut connection, &mut read).await?;
    Some((connection, [PROBE_REPLAY, &read].concat().into()))
}

/// Reads the next packet; returns `None` if it is another one.
async fn expect_packet(
    packet: &[u8],
    connection: &mut Connection,
    read: &mut BytesMut,
) -> Option<()> {
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

/// Returns the first frame's payload and the frame's length, or `None` until all of it has come.
fn first_frame(read: &[u8]) -> Option<(Vec<u8>, usize)> {
    let header =
        (2..=read.len()).find_map(|end| Frame::parse(&read[..end]).map(|parsed| (end, parsed)));
    let (begin, (length, frame)) = header?;
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    Some((frame.unmask(read.get(begin..end)?), end))
}
