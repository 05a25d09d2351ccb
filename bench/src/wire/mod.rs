//! What carries the packets of Engine.IO between a client and its server.

mod polling;
mod websocket;

use std::net::SocketAddr;

use bytes::Bytes;

use self::{polling::Polling, websocket::WebSocket};

/// The ways to carry packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A WebSocket from the first request on.
    WebSocket,
    /// Long-polling, without an upgrade.
    Polling,
}

/// What browsers send besides.
const HEADERS: [(&str, &str); 6] = [
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7"),
    ("Cache-Control", "no-cache"),
    ("Pragma", "no-cache"),
    (
        "Cookie",
        "session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes",
    ),
];

/// A session with a server.
pub enum Wire {
    /// By a WebSocket.
    WebSocket(WebSocket),
    /// By long-polling.
    Polling(Polling),
}

impl Wire {
    /// Begins a session; the server's first packet, which opens it, is taken.
    pub async fn connect(address: SocketAddr, carrier: Carrier) -> anyhow::Result<Self> {
        match carrier {
            Carrier::WebSocket => WebSocket::connect(address).await.map(Self::WebSocket),
            Carrier::Polling => Polling::connect(address).await.map(Self::Polling),
        }
    }

    /// The next packet. The wait may be given up without loss by a WebSocket only.
    ///
    /// Errors when the session ends.
    pub async fn next(&mut self) -> anyhow::Result<Bytes> {
        match self {
            Self::WebSocket(socket) => socket.next().await,
            Self::Polling(session) => session.next().await,
        }
    }

    /// Whether something has come that [`Self::next`] has not given out yet.
    pub fn has_more(&self) -> bool {
        match self {
            Self::WebSocket(socket) => socket.has_more(),
            Self::Polling(session) => session.has_more(),
        }
    }

    /// Queues a packet.
    pub fn push(&mut self, packet: &[u8]) {
        match self {
            Self::WebSocket(socket) => socket.push(packet),
            Self::Polling(session) => session.push(packet),
        }
    }

    /// Sends what is queued, if anything is.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Self::WebSocket(socket) => socket.flush().await,
            Self::Polling(session) => session.flush().await,
        }
    }
}
