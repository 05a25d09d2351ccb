//! A Socket.IO client in namespace `/` that parses no more of a packet than its kind.
//!
//! A packet is an Engine.IO packet's digit, then a Socket.IO packet's, then an ack id, then JSON:
//! <https://socket.io/docs/v4/socket-io-protocol/#packet-encoding>.

use std::{fmt, io::Write};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;

use crate::wire::{Carrier, Endpoint, Kind, Wire};

/// Room for an event of a usual size, in bytes.
const EVENT_BYTES: usize = 256;

/// A server's packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// The answer to the event with this id: a JSON array.
    Ack(u64, Bytes),
    /// An event's name and payload: a JSON array.
    Event(Bytes),
    /// Any other packet, whole.
    Other(Bytes),
}

impl Packet {
    /// Reads an Engine.IO packet. Attachments are [`Self::Other`].
    pub fn parse(packet: Bytes) -> Self {
        match &*packet {
            [b'4', b'2', ..] => Self::Event(packet.slice(2..)),
            [b'4', b'3', id @ ..] => match leading_number(id) {
                Some((id, digits)) => Self::Ack(id, packet.slice(2 + digits..)),
                None => Self::Other(packet),
            },
            _ => Self::Other(packet),
        }
    }
}

/// Reads the number at a text's begin, and how many digits it has.
fn leading_number(text: &[u8]) -> Option<(u64, usize)> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some((number, digits))
}

/// A client in the namespace. It answers the server's pings while it waits for packets.
pub struct Client {
    wire: Wire,
    asked: u64,
}

impl Client {
    /// Opens a session and enters the namespace with an auth payload, as JSON. In version 3 a
    /// client enters without one.
    ///
    /// # Errors
    ///
    /// When the server refuses the session or the client.
    pub async fn connect(
        endpoint: &Endpoint,
        carrier: Carrier,
        auth: &str,
    ) -> anyhow::Result<Self> {
        let wire = Wire::open(endpoint, carrier).await?;
        let mut client = Self { wire, asked: 0 };
        if endpoint.version > 3 {
            client.send(format!("40{auth}").as_bytes()).await?;
        }
        loop {
            match &*client.packet().await? {
                [b'4', b'0', ..] => return Ok(client),
                [b'4', b'4', error @ ..] => bail!("refused: {}", String::from_utf8_lossy(error)),
                _ => {}
            }
        }
    }

    /// Moves a session of long-polling to a WebSocket, and drops what has arrived but for pings:
    /// a client upgrades before it joins a room.
    ///
    /// # Errors
    ///
    /// When the server does not follow.
    pub async fn upgrade(&mut self) -> anyhow::Result<()> {
        while self.has_more() {
            if &*self.wire.next().await? == b"2" {
                self.send(b"3").await?;
            }
        }
        let Wire::Polling(polling) = &self.wire else {
            return Ok(());
        };
        let mut socket = polling.websocket().await?;
        socket.push(Kind::Text, b"2probe");
        socket.flush().await?;
        let answer = socket.packet().await?;
        ensure!(&*answer == b"3probe", "no probe: {answer:?}");
        socket.push(Kind::Text, b"5");
        socket.flush().await?;
        self.wire = Wire::WebSocket(socket);
        Ok(())
    }

    /// Queues an event that asks for an ack, and returns its id. The payload is JSON.
    pub fn ask(&mut self, event: &str, payload: fmt::Arguments<'_>) -> u64 {
        self.asked += 1;
        let mut packet = Vec::with_capacity(EVENT_BYTES);
        write!(packet, "42{}[\"{event}\",{payload}]", self.asked).expect("a Vec takes every write");
        self.wire.push(&packet);
        self.asked
    }

    /// Returns the id of the event asked last.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Sends a packet.
    ///
    /// # Errors
    ///
    /// When the session has ended.
    pub async fn send(&mut self, packet: &[u8]) -> anyhow::Result<()> {
        self.wire.push(packet);
        self.flush().await
    }

    /// Sends the queued events.
    ///
    /// # Errors
    ///
    /// When the session has ended.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        self.wire.flush().await
    }

    /// Returns true when packets have arrived that [`Self::next`] has not returned yet.
    pub fn has_more(&self) -> bool {
        self.wire.has_more()
    }

    /// Returns the next packet. Only a WebSocket allows to cancel the wait without loss.
    ///
    /// # Errors
    ///
    /// When the session ends.
    pub async fn next(&mut self) -> anyhow::Result<Packet> {
        Ok(Packet::parse(self.packet().await?))
    }

    /// Gives up the client for its session.
    pub fn into_wire(self) -> Wire {
        self.wire
    }

    /// Returns the next Engine.IO packet that is no ping.
    async fn packet(&mut self) -> anyhow::Result<Bytes> {
        loop {
            let packet = self.wire.next().await.context("no packet")?;
            if &*packet != b"2" {
                return Ok(packet);
            }
            self.send(b"3").await?;
        }
    }
}
