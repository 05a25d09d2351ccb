//! Engine.IO packet by packet, on the kit's wire: single HTTP requests and single WebSocket frames,
//! each within the deadline.

use std::{io, net::SocketAddr};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use testkit::wire::{self, HandshakeError, Headers, Kind};
use tokio::net::TcpStream;

use super::within_deadline;

/// An HTTP answer's status and body.
pub type Answer = (u16, String);

/// An Engine.IO endpoint, in one version of the protocol.
#[derive(Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// The path, without a slash at its end.
    pub path: &'static str,
    pub version: u8,
    /// The client for requests outside a session.
    pub http: Client,
}

impl Endpoint {
    /// Returns a request with a query.
    pub fn request(&self, method: Method, query: &str) -> RequestBuilder {
        self.http.request(
            method,
            format!("http://{}{}/?{query}", self.address, self.path),
        )
    }

    fn wire(&self) -> wire::Endpoint {
        wire::Endpoint {
            path: self.path,
            version: self.version,
            ..wire::Endpoint::new(self.address)
        }
    }
}

/// Sends a request, and returns the answer.
pub async fn answer(request: RequestBuilder) -> Answer {
    let answering = async {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    within_deadline("an HTTP answer", answering).await
}

/// A session by HTTP long-polling.
pub struct Polling {
    session: wire::Polling,
    /// The open packet's payload.
    pub handshake: Value,
}

impl Polling {
    /// Opens a session, and answers the library's first ping, which comes at once in version 4.
    pub async fn open(endpoint: &Endpoint) -> Self {
        let session = Self::unanswered(endpoint).await;
        if endpoint.version == 4 {
            assert_eq!(session.poll().await, (200, "2".into()));
            assert_eq!(session.post("3").await, (200, "ok".into()));
        }
        session
    }

    /// Opens a session.
    pub async fn unanswered(endpoint: &Endpoint) -> Self {
        let endpoint = endpoint.wire();
        let opening = wire::Polling::open(&endpoint);
        let session = within_deadline("an open packet", opening).await.unwrap();
        let handshake = session.handshake.clone();
        Self { session, handshake }
    }

    /// Waits for packets.
    pub async fn poll(&self) -> Answer {
        text(within_deadline("an HTTP answer", self.session.poll()).await)
    }

    /// Sends packets.
    pub async fn post(&self, payload: impl Into<Bytes>) -> Answer {
        text(within_deadline("an HTTP answer", self.session.post(payload)).await)
    }

    /// Waits until the session ends, and returns the payloads before that.
    pub async fn rest(&self) -> String {
        let polling = async {
            let mut rest = String::new();
            loop {
                match self.poll().await {
                    (200, payload) => rest += &payload,
                    (status, _) => break (status, rest),
                }
            }
        };
        let (status, rest) = within_deadline("the session's end", polling).await;
        assert_eq!(status, 400, "{rest:?}");
        rest
    }

    /// Opens the WebSocket of an upgrade.
    pub async fn websocket(&self) -> WebSocket {
        let opening = within_deadline("the WebSocket's handshake", self.session.websocket());
        WebSocket(opening.await.unwrap())
    }

    /// Opens the WebSocket of an upgrade, and probes it.
    pub async fn probed(&self) -> WebSocket {
        let mut socket = self.websocket().await;
        socket.send("2probe").await;
        assert_eq!(socket.text().await, "3probe");
        socket
    }
}

fn text(answer: anyhow::Result<wire::Answer>) -> Answer {
    let (status, body) = answer.unwrap();
    (status, String::from_utf8(body.into()).unwrap())
}

/// A WebSocket that checks nothing of Engine.IO.
pub struct WebSocket(wire::WebSocket);

/// A frame from the server, or the WebSocket's end.
#[derive(Debug, PartialEq)]
pub enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Closed,
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl<const N: usize> From<[u8; N]> for Frame {
    fn from(bytes: [u8; N]) -> Self {
        Self::Binary(bytes.into())
    }
}

impl WebSocket {
    /// Opens a session, and answers the library's first ping, which comes at once in version 4.
    pub async fn open(endpoint: &Endpoint) -> Self {
        let (mut socket, _) = Self::unanswered(endpoint).await;
        if endpoint.version == 4 {
            assert_eq!(socket.text().await, "2");
            socket.send("3").await;
        }
        socket
    }

    /// Opens a session, and returns the open packet's payload.
    pub async fn unanswered(endpoint: &Endpoint) -> (Self, Value) {
        let endpoint = endpoint.wire();
        let opening = wire::WebSocket::open_session(&endpoint);
        let (socket, handshake) = within_deadline("an open packet", opening).await.unwrap();
        (Self(socket), handshake)
    }

    /// Opens a WebSocket with this query, or returns the status of the refusal.
    pub async fn attempt(endpoint: &Endpoint, query: &str) -> Result<Self, u16> {
        Self::attempt_with(&[], endpoint, query).await
    }

    /// Opens a WebSocket with further headers.
    pub async fn attempt_with(
        headers: Headers<'_>,
        endpoint: &Endpoint,
        query: &str,
    ) -> Result<Self, u16> {
        let endpoint = endpoint.wire();
        let opening = wire::WebSocket::open(&endpoint, query, headers);
        match within_deadline("the WebSocket's handshake", opening).await {
            Ok(socket) => Ok(Self(socket)),
            Err(HandshakeError::Refused(status)) => Err(status),
            Err(other) => panic!("{other}"),
        }
    }

    /// Sends a frame of text.
    pub async fn send(&mut self, text: impl AsRef<str>) {
        self.try_send(text).await.unwrap();
    }

    /// Sends a frame of bytes.
    pub async fn send_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send_bytes(bytes).await.unwrap();
    }

    /// Sends a frame of text.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub async fn try_send(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.send_frame(Kind::Text, text.as_ref().as_bytes()).await
    }

    /// Sends a frame of bytes.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub async fn try_send_bytes(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.send_frame(Kind::Binary, bytes.as_ref()).await
    }

    /// Sends a frame of text that the server refuses, perhaps before it has read the whole frame:
    /// the connection may then end while the frame is being sent.
    pub async fn send_refused(&mut self, text: impl AsRef<str>) {
        self.try_send(text).await.ok();
    }

    /// Sends a frame of bytes that claims to be text.
    pub async fn send_invalid_text(&mut self, bytes: &[u8]) {
        self.send_frame(Kind::Text, bytes).await.unwrap();
    }

    async fn send_frame(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        self.0.push(kind, payload);
        self.0.flush().await
    }

    /// Closes the WebSocket.
    pub async fn close(&mut self) {
        self.send_frame(Kind::Close, b"").await.unwrap();
    }

    /// Returns the next frame.
    pub async fn frame(&mut self) -> Frame {
        let Some(frame) = self.next().await else {
            return Frame::Closed;
        };
        match frame.kind {
            Kind::Text => Frame::Text(String::from_utf8(frame.payload.into()).unwrap()),
            Kind::Binary => Frame::Binary(frame.payload.into()),
            Kind::Close => Frame::Closed,
            Kind::Ping | Kind::Pong => panic!("{frame:?}"),
        }
    }

    /// Returns the next frame, control frames included, and none when the connection has ended.
    async fn next(&mut self) -> Option<wire::Frame> {
        match within_deadline("a frame", self.0.frame()).await {
            Ok(frame) => frame,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => panic!("{error}"),
            Err(_) => None,
        }
    }

    /// Returns the next frame's text.
    pub async fn text(&mut self) -> String {
        match self.frame().await {
            Frame::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    /// Gives up the WebSocket for the connection below.
    pub fn into_stream(self) -> TcpStream {
        self.0.into_stream()
    }

    /// Takes a connection whose handshake is over.
    pub async fn resumed(connection: TcpStream) -> Self {
        Self(wire::WebSocket::resume(connection, BytesMut::new()))
    }

    /// Returns the next frame's text, and skips pongs.
    pub async fn text_beside_pongs(&mut self) -> String {
        loop {
            match self.next().await {
                Some(frame) if frame.kind == Kind::Text => {
                    return String::from_utf8(frame.payload.into()).unwrap();
                }
                Some(frame) if frame.kind == Kind::Pong => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Returns true when the server closes it next, possibly after a close packet.
    pub async fn is_closed(&mut self) -> bool {
        match self.frame().await {
            Frame::Text(text) if text == "1" => self.frame().await == Frame::Closed,
            frame => frame == Frame::Closed,
        }
    }
}
