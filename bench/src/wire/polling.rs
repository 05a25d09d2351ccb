//! A session by long-polling: one connection for the requests that wait, one for those that bring
//! packets.

use std::{collections::VecDeque, net::SocketAddr};

use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderName},
};
use hyper_util::rt::TokioIo;
use memchr::memchr_iter;
use tokio::net::TcpStream;

use super::HEADERS;

/// Stands between the packets of a payload:
/// <https://socket.io/docs/v4/engine-io-protocol/#http-long-polling-1>.
const SEPARATOR: u8 = 0x1e;

/// Requests that wait, and requests that bring.
pub struct Polling {
    address: SocketAddr,
    waiting: SendRequest<Full<Bytes>>,
    bringing: SendRequest<Full<Bytes>>,
    path: String,
    came: VecDeque<Bytes>,
    out: BytesMut,
}

impl Polling {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let (waiting, bringing) = (dial(address).await?, dial(address).await?);
        let path = "/socket.io/?EIO=4&transport=polling".to_owned();
        let (came, out) = (VecDeque::new(), BytesMut::new());
        let mut session = Self {
            address,
            waiting,
            bringing,
            path,
            came,
            out,
        };
        let open = session.next().await?;
        let open: serde_json::Value =
            serde_json::from_slice(&open[1..]).context("an open packet is JSON")?;
        let sid = open["sid"]
            .as_str()
            .context("an open packet names the session")?;
        session.path += &format!("&sid={sid}");
        Ok(session)
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Bytes> {
        loop {
            if let Some(packet) = self.came.pop_front() {
                return Ok(packet);
            }
            let request = self.request("GET", Bytes::new())?;
            let payload = answer(&mut self.waiting, request).await?;
            let ends = memchr_iter(SEPARATOR, &payload).chain([payload.len()]);
            let mut start = 0;
            for end in ends {
                self.came.push_back(payload.slice(start..end));
                start = end + 1;
            }
        }
    }

    pub(super) fn has_more(&self) -> bool {
        !self.came.is_empty()
    }

    pub(super) fn push(&mut self, packet: &[u8]) {
        if !self.out.is_empty() {
            self.out.extend([SEPARATOR]);
        }
        self.out.extend(packet);
    }

    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        if !self.out.is_empty() {
            let payload = self.out.split().freeze();
            let request = self.request("POST", payload)?;
            answer(&mut self.bringing, request).await?;
        }
        Ok(())
    }

    fn request(&self, method: &str, payload: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.path)
            .header(HOST, self.address.to_string());
        for (name, value) in HEADERS
            .iter()
            .filter(|(name, _)| *name != "Accept-Encoding")
        {
            request = request.header(HeaderName::try_from(*name)?, *value);
        }
        Ok(request
            .header("Content-Type", "text/plain;charset=UTF-8")
            .body(Full::new(payload))?)
    }
}

async fn dial(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with its sender.
    tokio::spawn(connection);
    Ok(sender)
}

async fn answer(
    connection: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Bytes> {
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(
        status == StatusCode::OK,
        "status {status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(body)
}
