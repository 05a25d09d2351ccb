//! A session by WebSocket.

use std::{fmt::Write, io};

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use memchr::memmem;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::codec::Framed;

use super::{
    Carrier, Endpoint, Frame, Headers, Kind,
    frames::{Frames, write_frame},
};

const HEAD_END: &[u8] = b"\r\n\r\n";
/// The handshake's key, and the only right answer to it:
/// <https://www.rfc-editor.org/rfc/rfc6455#section-1.3>.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A WebSocket's frames, in both directions.
pub struct WebSocket {
    frames: Framed<TcpStream, Frames>,
    out: BytesMut,
}

/// The reasons why no WebSocket opens.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("refused with status {0}")]
    Refused(u16),
    #[error("not the answer of a WebSocket: {0}")]
    Invalid(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl WebSocket {
    /// Opens a WebSocket, with headers besides the endpoint's.
    ///
    /// # Errors
    ///
    /// When the server refuses it, or does not speak WebSocket.
    pub async fn open(
        endpoint: &Endpoint,
        query: &str,
        headers: Headers<'_>,
    ) -> Result<Self, HandshakeError> {
        let mut stream = endpoint.dial().await?;
        let request = upgrade_request(endpoint, query, headers);
        stream.write_all(request.as_bytes()).await?;
        let mut came = BytesMut::new();
        check(&head(&mut stream, &mut came).await?)?;
        Ok(Self::resume(stream, came))
    }

    /// Opens a session, and returns the open packet's payload, too.
    ///
    /// # Errors
    ///
    /// When the server opens none.
    pub async fn open_session(endpoint: &Endpoint) -> anyhow::Result<(Self, Value)> {
        let query = endpoint.query(Carrier::WebSocket, None);
        let mut socket = Self::open(endpoint, &query, &[]).await?;
        let open = socket.packet().await?;
        let handshake = open.strip_prefix(b"0").context("no open packet")?;
        Ok((socket, serde_json::from_slice(handshake)?))
    }

    /// Goes on with a connection whose handshake is over, and with bytes already read from it.
    pub fn resume(stream: TcpStream, came: BytesMut) -> Self {
        let mut parts = Framed::new(stream, Frames).into_parts();
        parts.read_buf = came;
        Self {
            frames: Framed::from_parts(parts),
            out: BytesMut::new(),
        }
    }

    /// Returns the next frame, and none at the connection's end.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the server sends what is no frame.
    pub async fn frame(&mut self) -> io::Result<Option<Frame>> {
        self.frames.next().await.transpose()
    }

    /// Returns the next frame's text.
    ///
    /// # Errors
    ///
    /// When the connection ends, or the frame is no text.
    pub async fn packet(&mut self) -> anyhow::Result<Bytes> {
        match self.frame().await?.context("the connection has ended")? {
            Frame {
                kind: Kind::Text,
                payload,
            } => Ok(payload),
            other => bail!("not a text: {other:?}"),
        }
    }

    /// Returns true when bytes have arrived that are in no frame returned so far.
    pub fn has_more(&self) -> bool {
        !self.frames.read_buffer().is_empty()
    }

    /// Queues a frame.
    pub fn push(&mut self, kind: Kind, payload: &[u8]) {
        write_frame(kind, payload, &mut self.out);
    }

    /// Sends the queued frames. A cancelled call leaves the rest of them queued.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.frames.get_mut().write_all_buf(&mut self.out).await
    }

    /// Returns the connection below.
    pub fn stream(&self) -> &TcpStream {
        self.frames.get_ref()
    }

    /// Gives up the WebSocket for the connection below.
    pub fn into_stream(self) -> TcpStream {
        self.frames.into_inner()
    }
}

fn upgrade_request(endpoint: &Endpoint, query: &str, headers: Headers<'_>) -> String {
    let mut request = format!(
        "GET {}/?{query} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n",
        endpoint.path, endpoint.address
    );
    for (name, value) in endpoint.headers.iter().chain(headers) {
        write!(request, "{name}: {value}\r\n").expect("a String takes every write");
    }
    request + "\r\n"
}

/// Reads the head of an answer, and leaves the bytes after it in the buffer.
async fn head(stream: &mut TcpStream, came: &mut BytesMut) -> io::Result<String> {
    loop {
        if let Some(end) = memmem::find(came, HEAD_END) {
            let head = came.split_to(end + HEAD_END.len());
            return Ok(String::from_utf8_lossy(&head).into_owned());
        }
        if stream.read_buf(came).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Checks the head of the answer to a handshake.
fn check(head: &str) -> Result<(), HandshakeError> {
    let invalid = || HandshakeError::Invalid(head.to_owned());
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    let status: u16 = status
        .and_then(|status| status.parse().ok())
        .ok_or_else(invalid)?;
    if status != 101 {
        return Err(HandshakeError::Refused(status));
    }
    let value = |name: &str| {
        head.lines().find_map(|line| {
            let (one, value) = line.split_once(':')?;
            one.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    };
    let is = |name, wanted: &str| value(name).is_some_and(|v| v.eq_ignore_ascii_case(wanted));
    let accepts = value("sec-websocket-accept") == Some(ACCEPT);
    if accepts && is("upgrade", "websocket") && is("connection", "upgrade") {
        Ok(())
    } else {
        Err(invalid())
    }
}
