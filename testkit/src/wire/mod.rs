//! Engine.IO: the packets between a client and its server, by WebSocket and by long-polling.

mod frames;
mod polling;
mod websocket;

use std::{io, net::SocketAddr};

use bytes::Bytes;
use tokio::net::{TcpSocket, TcpStream};

pub use self::{
    frames::{Frame, Kind},
    polling::{Answer, Polling},
    websocket::{HandshakeError, WebSocket},
};

/// Headers of a request: names and values.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// A transport of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A WebSocket from the first request on.
    WebSocket,
    /// Long-polling, without an upgrade.
    Polling,
}

impl Carrier {
    fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Polling => "polling",
        }
    }
}

/// An Engine.IO endpoint, and how clients connect to it.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// The path, without a slash at its end.
    pub path: &'static str,
    /// The protocol's version, 3 or 4.
    pub version: u8,
    /// Headers of every request.
    pub headers: Headers<'static>,
    /// The size of a connection's receive buffer in bytes, if not the system's.
    pub receive_buffer: Option<u32>,
    /// True when dropping a connection resets it: the connection is gone at once, and no port stays
    /// in `TIME_WAIT` for a minute.
    pub resets: bool,
}

impl Endpoint {
    /// Returns the endpoint of a Socket.IO server, in version 4.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            path: "/socket.io",
            version: 4,
            headers: &[],
            receive_buffer: None,
            resets: false,
        }
    }

    /// Returns the query of a session's requests.
    pub fn query(&self, carrier: Carrier, sid: Option<&str>) -> String {
        let sid = sid.map_or(String::new(), |sid| format!("&sid={sid}"));
        format!("EIO={}&transport={}{sid}", self.version, carrier.name())
    }

    /// Opens a TCP connection.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
    pub async fn dial(&self) -> io::Result<TcpStream> {
        let socket = match self.address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        if self.resets {
            stream.set_zero_linger()?;
        }
        Ok(stream)
    }
}

/// A session with a server.
pub enum Wire {
    WebSocket(WebSocket),
    Polling(Polling),
}

impl Wire {
    /// Opens a session and takes the server's open packet.
    ///
    /// # Errors
    ///
    /// When the server opens none.
    pub async fn open(endpoint: &Endpoint, carrier: Carrier) -> anyhow::Result<Self> {
        match carrier {
            Carrier::WebSocket => WebSocket::open_session(endpoint)
                .await
                .map(|(socket, _)| Self::WebSocket(socket)),
            Carrier::Polling => Polling::open(endpoint).await.map(Self::Polling),
        }
    }

    /// Returns the next packet. Only a WebSocket allows to cancel the wait without loss.
    ///
    /// # Errors
    ///
    /// When the session ends.
    pub async fn next(&mut self) -> anyhow::Result<Bytes> {
        match self {
            Self::WebSocket(socket) => socket.packet().await,
            Self::Polling(session) => session.packet().await,
        }
    }

    /// Returns true when bytes have arrived that [`Self::next`] has not returned yet.
    pub fn has_more(&self) -> bool {
        match self {
            Self::WebSocket(socket) => socket.has_more(),
            Self::Polling(session) => session.has_more(),
        }
    }

    /// Queues a packet.
    pub fn push(&mut self, packet: &[u8]) {
        match self {
            Self::WebSocket(socket) => socket.push(Kind::Text, packet),
            Self::Polling(session) => session.push(packet),
        }
    }

    /// Sends the queued packets, if any.
    ///
    /// # Errors
    ///
    /// When the session has ended.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Self::WebSocket(socket) => Ok(socket.flush().await?),
            Self::Polling(session) => session.flush().await,
        }
    }
}
