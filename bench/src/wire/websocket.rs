//! A session by WebSocket.

use std::{fmt::Write, net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use memchr::memmem;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::codec::Framed;

use super::HEADERS;
use crate::frames::{Frames, write_text};

const HEAD_END: &[u8] = b"\r\n\r\n";

/// Frames that go, and frames that come.
pub struct WebSocket {
    frames: Framed<TcpStream, Frames>,
    out: BytesMut,
}

impl WebSocket {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // One that is dropped is gone at once, and leaves no port behind that cannot be used for a
        // minute.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        stream
            .write_all(upgrade_request(address).as_bytes())
            .await?;
        let frames = open(stream).await?;
        let mut socket = Self {
            frames,
            out: BytesMut::new(),
        };
        let open = socket.next().await?;
        ensure!(
            open.starts_with(b"0"),
            "an open packet was to come: {}",
            String::from_utf8_lossy(&open)
        );
        Ok(socket)
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Bytes> {
        Ok(self
            .frames
            .next()
            .await
            .context("the connection has ended")??)
    }

    pub(super) fn has_more(&self) -> bool {
        !self.frames.read_buffer().is_empty()
    }

    pub(super) fn push(&mut self, packet: &[u8]) {
        write_text(packet, &mut self.out);
    }

    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        // Whoever gives up waiting leaves the rest of a frame where it was.
        Ok(self.frames.get_mut().write_all_buf(&mut self.out).await?)
    }
}

/// The key is the one of <https://www.rfc-editor.org/rfc/rfc6455#section-1.3>; nobody looks at the
/// answer to it.
fn upgrade_request(address: SocketAddr) -> String {
    let mut request = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in HEADERS {
        write!(request, "{name}: {value}\r\n").expect("memory takes all that is written");
    }
    request + "\r\n"
}

/// Reads the answer to the request; what has come after it are frames.
async fn open(mut stream: TcpStream) -> anyhow::Result<Framed<TcpStream, Frames>> {
    let mut came = BytesMut::new();
    let end = loop {
        if let Some(end) = memmem::find(&came, HEAD_END) {
            break end + HEAD_END.len();
        }
        ensure!(
            stream.read_buf(&mut came).await? > 0,
            "the connection has ended"
        );
    };
    let head = came.split_to(end);
    ensure!(
        head.starts_with(b"HTTP/1.1 101 "),
        "no upgrade: {}",
        String::from_utf8_lossy(&head)
    );
    let mut parts = Framed::new(stream, Frames).into_parts();
    parts.read_buf = came;
    Ok(Framed::from_parts(parts))
}
