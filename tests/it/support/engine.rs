//! Engine.IO packet by packet, as it goes over the wire: polling by single HTTP requests, WebSocket
//! by single frames.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Body, Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::{
            Role,
            frame::{
                Frame as RawFrame,
                coding::{Data, OpCode},
            },
        },
    },
};

use super::within_deadline;

/// An HTTP answer's status and body.
pub type Answer = (u16, String);

/// Where Engine.IO is spoken, and in which version.
#[derive(Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// Without a slash at its end.
    pub path: &'static str,
    pub version: u8,
    pub http: Client,
}

impl Endpoint {
    /// A request with this query.
    pub fn request(&self, method: Method, query: &str) -> RequestBuilder {
        self.http.request(
            method,
            format!("http://{}{}/?{query}", self.address, self.path),
        )
    }

    fn query(&self, transport: &str, sid: Option<&str>) -> String {
        let sid = sid.map_or(String::new(), |sid| format!("&sid={sid}"));
        format!("EIO={}&transport={transport}{sid}", self.version)
    }
}

/// Sends a request.
pub async fn answer(request: RequestBuilder) -> Answer {
    let answering = async {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    within_deadline("an HTTP answer", answering).await
}

/// A session by HTTP long-polling.
pub struct Polling {
    endpoint: Endpoint,
    /// The open packet's payload.
    pub handshake: Value,
}

impl Polling {
    /// Opens a session, and answers the ping that the library sends at once in version 4.
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
        let (status, open) =
            answer(endpoint.request(Method::GET, &endpoint.query("polling", None))).await;
        assert_eq!(status, 200, "{open}");
        let handshake = open.find('{').expect("an open packet");
        Self {
            endpoint: endpoint.clone(),
            handshake: serde_json::from_str(&open[handshake..]).unwrap(),
        }
    }

    /// Waits for packets.
    pub async fn poll(&self) -> Answer {
        answer(self.request(Method::GET)).await
    }

    /// Sends packets.
    pub async fn post(&self, payload: impl Into<Body>) -> Answer {
        answer(self.request(Method::POST).body(payload)).await
    }

    /// Waits until the session is over; what came before.
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
        let query = self.endpoint.query("websocket", self.sid());
        WebSocket::attempt(&self.endpoint, &query).await.unwrap()
    }

    /// Opens the WebSocket of an upgrade, and finds it to work.
    pub async fn probed(&self) -> WebSocket {
        let mut socket = self.websocket().await;
        socket.send("2probe").await;
        assert_eq!(socket.text().await, "3probe");
        socket
    }

    fn request(&self, method: Method) -> RequestBuilder {
        self.endpoint
            .request(method, &self.endpoint.query("polling", self.sid()))
    }

    fn sid(&self) -> Option<&str> {
        self.handshake["sid"].as_str()
    }
}

/// A WebSocket, whatever is spoken on it.
pub struct WebSocket(WebSocketStream<TcpStream>);

/// What comes on a WebSocket.
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
    /// Opens a session, and answers the ping that the library sends at once in version 4.
    pub async fn open(endpoint: &Endpoint) -> Self {
        let (mut socket, _) = Self::unanswered(endpoint).await;
        if endpoint.version == 4 {
            assert_eq!(socket.text().await, "2");
            socket.send("3").await;
        }
        socket
    }

    /// Opens a session; the open packet's payload.
    pub async fn unanswered(endpoint: &Endpoint) -> (Self, Value) {
        let mut socket = Self::attempt(endpoint, &endpoint.query("websocket", None))
            .await
            .unwrap();
        let open = socket.text().await;
        let handshake = open.strip_prefix('0').expect("an open packet");
        (socket, serde_json::from_str(handshake).unwrap())
    }

    /// Opens a WebSocket with this query, or gives the status of the refusal.
    pub async fn attempt(endpoint: &Endpoint, query: &str) -> Result<Self, u16> {
        Self::attempt_with(&[], endpoint, query).await
    }

    /// The same, with further headers.
    pub async fn attempt_with(
        headers: &[(&'static str, &str)],
        endpoint: &Endpoint,
        query: &str,
    ) -> Result<Self, u16> {
        let tcp = TcpStream::connect(endpoint.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let url = format!("ws://{}{}/?{query}", endpoint.address, endpoint.path);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match within_deadline("the WebSocket's handshake", client_async(request, tcp)).await {
            Ok((stream, _)) => Ok(Self(stream)),
            Err(Error::Http(refusal)) => Err(refusal.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// Sends a frame of text.
    pub async fn send(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// Sends a frame of bytes.
    pub async fn send_bytes(&mut self, bytes: impl Into<Vec<u8>>) {
        self.0.send(Message::binary(bytes.into())).await.unwrap();
    }

    /// Sends a frame of text.
    ///
    /// Errors when the connection is over.
    pub async fn try_send(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.0.send(Message::text(text.into())).await
    }

    /// Sends a frame of bytes.
    ///
    /// Errors when the connection is over.
    pub async fn try_send_bytes(&mut self, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.0.send(Message::binary(bytes.into())).await
    }

    /// Sends a frame that says it is text.
    pub async fn send_invalid_text(&mut self, bytes: &'static [u8]) {
        let frame = RawFrame::message(bytes, OpCode::Data(Data::Text), true);
        self.0.send(Message::Frame(frame)).await.unwrap();
    }

    /// Closes the WebSocket.
    pub async fn close(&mut self) {
        self.0.close(None).await.unwrap();
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Frame {
        match within_deadline("a frame", self.0.next()).await {
            Some(Ok(Message::Text(text))) => Frame::Text(text.as_str().to_owned()),
            Some(Ok(Message::Binary(bytes))) => Frame::Binary(bytes.into()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Frame::Closed,
            Some(Ok(other)) => panic!("{other:?}"),
        }
    }

    /// The next frame's text.
    pub async fn text(&mut self) -> String {
        match self.frame().await {
            Frame::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    /// The connection itself.
    pub fn into_stream(self) -> TcpStream {
        self.0.into_inner()
    }

    /// A WebSocket that has been opened already.
    pub async fn resumed(connection: TcpStream) -> Self {
        Self(WebSocketStream::from_raw_socket(connection, Role::Client, None).await)
    }

    /// The next frame's text, whatever comes of WebSocket's own before it.
    pub async fn text_beside_pongs(&mut self) -> String {
        loop {
            match within_deadline("a frame", self.0.next()).await {
                Some(Ok(Message::Text(text))) => return text.as_str().to_owned(),
                Some(Ok(Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Whether the server closes it next: a close packet may come before.
    pub async fn is_closed(&mut self) -> bool {
        match self.frame().await {
            Frame::Text(text) if text == "1" => self.frame().await == Frame::Closed,
            frame => frame == Frame::Closed,
        }
    }
}
