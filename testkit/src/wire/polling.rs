//! A session by long-polling.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderName},
};
use hyper_util::rt::TokioIo;
use memchr::memchr_iter;
use serde_json::Value;

use super::{Carrier, Endpoint, HandshakeError, WebSocket};

/// The separator of a payload's packets:
/// <https://socket.io/docs/v4/engine-io-protocol/#http-long-polling-1>.
const SEPARATOR: u8 = 0x1e;

/// A status and a body.
pub type Answer = (u16, Bytes);

type Sender = SendRequest<Full<Bytes>>;

/// A session whose requests share connections of its own: as many as it has requests under way.
pub struct Polling {
    endpoint: Endpoint,
    path: String,
    /// The open packet's payload.
    pub handshake: Value,
    idle: Mutex<Vec<Sender>>,
    came: VecDeque<Bytes>,
    out: BytesMut,
}

impl Polling {
    /// Opens a session.
    ///
    /// # Errors
    ///
    /// When the server opens none.
    pub async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let path = format!(
            "{}/?{}",
            endpoint.path,
            endpoint.query(Carrier::Polling, None)
        );
        let mut session = Self {
            endpoint: *endpoint,
            path,
            handshake: Value::Null,
            idle: Mutex::default(),
            came: VecDeque::new(),
            out: BytesMut::new(),
        };
        let (status, mut open) = session.poll().await?;
        let is_whole = status == 200 && open.contains(&b'{');
        ensure!(
            is_whole,
            "no open packet: {status}: {}",
            String::from_utf8_lossy(&open)
        );
        // In version 3 the packet's length stands before it.
        open = open.slice(memchr::memchr(b'{', &open).unwrap_or_default()..);
        let end = memchr::memchr(SEPARATOR, &open).unwrap_or(open.len());
        session.handshake = serde_json::from_slice(&open[..end])?;
        if end < open.len() {
            session.take(&open.slice(end + 1..));
        }
        let sid = session.sid().context("an open packet names the session")?;
        session.path += &format!("&sid={sid}");
        Ok(session)
    }

    /// Returns the session's id.
    pub fn sid(&self) -> Option<&str> {
        self.handshake["sid"].as_str()
    }

    /// Opens the WebSocket of an upgrade.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
    pub async fn websocket(&self) -> Result<WebSocket, HandshakeError> {
        let query = self.endpoint.query(Carrier::WebSocket, self.sid());
        WebSocket::open(&self.endpoint, &query, &[]).await
    }

    /// Waits for a payload. A cancelled call closes its connection.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn poll(&self) -> anyhow::Result<Answer> {
        self.answer(Method::GET, Bytes::new()).await
    }

    /// Sends a payload.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn post(&self, payload: impl Into<Bytes>) -> anyhow::Result<Answer> {
        self.answer(Method::POST, payload.into()).await
    }

    /// Returns the next packet, in version 4.
    ///
    /// # Errors
    ///
    /// When the session ends.
    pub async fn packet(&mut self) -> anyhow::Result<Bytes> {
        loop {
            if let Some(packet) = self.came.pop_front() {
                return Ok(packet);
            }
            let payload = accepted(self.poll().await?)?;
            self.take(&payload);
        }
    }

    /// Returns true when packets have arrived that [`Self::packet`] has not returned yet.
    pub fn has_more(&self) -> bool {
        !self.came.is_empty()
    }

    /// Queues a packet.
    pub fn push(&mut self, packet: &[u8]) {
        if !self.out.is_empty() {
            self.out.extend([SEPARATOR]);
        }
        self.out.extend(packet);
    }

    /// Sends the queued packets, if any.
    ///
    /// # Errors
    ///
    /// When the session has ended.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        if !self.out.is_empty() {
            let payload = self.out.split().freeze();
            accepted(self.post(payload).await?)?;
        }
        Ok(())
    }

    fn take(&mut self, payload: &Bytes) {
        let mut start = 0;
        for end in memchr_iter(SEPARATOR, payload).chain([payload.len()]) {
            self.came.push_back(payload.slice(start..end));
            start = end + 1;
        }
    }

    async fn answer(&self, method: Method, payload: Bytes) -> anyhow::Result<Answer> {
        let (connection, answer) = self.send(self.request(method, payload)?).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        self.idle().push(connection);
        Ok((status, body))
    }

    /// Sends a request on an idle connection, or on a new one when the server has closed those.
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(Sender, Response<Incoming>)> {
        while let Some(mut connection) = self.idle_connection() {
            if connection.ready().await.is_err() {
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(answer) => return Ok((connection, answer)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failed.into_error().into()),
                },
            }
        }
        let mut connection = dial(&self.endpoint).await?;
        let answer = connection.send_request(request).await?;
        Ok((connection, answer))
    }

    fn idle_connection(&self) -> Option<Sender> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Sender>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, method: Method, payload: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.path)
            .header(HOST, self.endpoint.address.to_string());
        for (name, value) in self.endpoint.headers {
            // Payloads are read as they come.
            if !ACCEPT_ENCODING.as_str().eq_ignore_ascii_case(name) {
                request = request.header(HeaderName::try_from(*name)?, *value);
            }
        }
        Ok(request
            .header(CONTENT_TYPE, "text/plain;charset=UTF-8")
            .body(Full::new(payload))?)
    }
}

async fn dial(endpoint: &Endpoint) -> anyhow::Result<Sender> {
    let stream = endpoint.dial().await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with its sender.
    tokio::spawn(connection);
    Ok(sender)
}

/// Returns the body of a success.
fn accepted((status, body): Answer) -> anyhow::Result<Bytes> {
    ensure!(
        status == 200,
        "status {status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(body)
}
