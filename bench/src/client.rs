//! A client that takes no more from a packet than a workload asks for.

use std::{fmt, net::SocketAddr, sync::Arc};

use anyhow::{Context, ensure};
use bytes::Bytes;
use memchr::memmem;
use testkit::{
    client,
    wire::{Carrier, Endpoint},
};

/// The length of a message's text, in bytes.
pub const BODY_BYTES: usize = 100;

/// Part of every ack of success.
const OK: &[u8] = b"\"status\":\"ok\"";

/// Headers of browsers besides those of the protocol.
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

/// A packet of the namespace.
#[derive(Debug)]
pub enum Packet {
    /// The answer of success to the event with this id: a JSON array.
    Ack(u64, Bytes),
    /// An event's name and payload: a JSON array.
    Event(Bytes),
}

/// What a room says of itself when it is joined.
#[derive(Debug)]
pub struct Joined {
    /// The room's newest `seq`.
    pub last_seq: u64,
    /// How many messages came with the answer.
    pub messages: usize,
}

/// A client in the namespace.
pub struct Client {
    client: testkit::Client,
    user: Arc<str>,
}

impl Client {
    /// Connects as a guest of this name.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
    pub async fn connect(
        address: SocketAddr,
        carrier: Carrier,
        user: &str,
    ) -> anyhow::Result<Self> {
        let endpoint = Endpoint {
            headers: &HEADERS,
            resets: true,
            ..Endpoint::new(address)
        };
        let auth = format!("{{\"userId\":\"{user}\"}}");
        Ok(Self {
            client: testkit::Client::connect(&endpoint, carrier, &auth).await?,
            user: user.into(),
        })
    }

    /// Queues an event that asks for an ack, and returns its id. The payload is JSON.
    pub fn ask(&mut self, event: &str, payload: fmt::Arguments<'_>) -> u64 {
        self.client.ask(event, payload)
    }

    /// Queues a message of [`BODY_BYTES`] that begins with `head`, under an id of its own.
    pub fn say(&mut self, room: &str, head: u64) -> u64 {
        let (user, id) = (self.user.clone(), self.client.asked() + 1);
        self.ask(
            "sendMessage",
            format_args!(
                "{{\"roomId\":\"{room}\",\"message\":\"{head:x<BODY_BYTES$}\",\"clientMessageId\":\"{user}-{id}\"}}"
            ),
        )
    }

    /// Sends the queued events.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        self.client.flush().await
    }

    /// Returns true when packets have arrived that [`Self::next`] has not returned yet.
    pub fn has_more(&self) -> bool {
        self.client.has_more()
    }

    /// Returns the next event or ack. Only a WebSocket allows to cancel the wait without loss.
    ///
    /// # Errors
    ///
    /// When the connection ends, or an ack is an error's.
    pub async fn next(&mut self) -> anyhow::Result<Packet> {
        loop {
            match self.client.next().await? {
                client::Packet::Event(event) => return Ok(Packet::Event(event)),
                client::Packet::Ack(id, body) => {
                    let is_ok = memmem::find(&body, OK).is_some();
                    ensure!(is_ok, "{}", String::from_utf8_lossy(&body));
                    return Ok(Packet::Ack(id, body));
                }
                client::Packet::Other(packet) => {
                    ensure!(!packet.starts_with(b"41"), "disconnected by the server");
                }
            }
        }
    }

    /// Joins a room, with what came after `last_seq` if the client knows some of it.
    ///
    /// Events that come before the answer are dropped: there are none of this room.
    pub async fn join(&mut self, room: &str, last_seq: Option<u64>) -> anyhow::Result<Joined> {
        let number = match last_seq {
            Some(last_seq) => self.ask(
                "joinRoom",
                format_args!("{{\"roomId\":\"{room}\",\"lastSeq\":{last_seq},\"limit\":200}}"),
            ),
            None => self.ask("joinRoom", format_args!("{{\"roomId\":\"{room}\"}}")),
        };
        self.flush().await?;
        let answer = self.answer(number).await?;
        let last_seq =
            number_after(&answer, b"\"lastSeq\":").context("a join's answer has a lastSeq")?;
        Ok(Joined {
            last_seq,
            messages: memmem::find_iter(&answer, b"\"seq\":").count(),
        })
    }

    /// The answer to the event with this number; what comes before it is dropped.
    pub async fn answer(&mut self, number: u64) -> anyhow::Result<Bytes> {
        loop {
            if let Packet::Ack(answered, body) = self.next().await?
                && answered == number
            {
                return Ok(body);
            }
        }
    }

    /// Sends what is queued, and waits for so many answers; events that come between are dropped.
    pub async fn answers(&mut self, count: usize) -> anyhow::Result<()> {
        self.flush().await?;
        let mut missing = count;
        while missing > 0 {
            missing -= usize::from(matches!(self.next().await?, Packet::Ack(..)));
        }
        Ok(())
    }
}

/// The `seq` of a `newMessage`; nothing for another event.
pub fn live_seq(event: &[u8]) -> Option<u64> {
    event
        .starts_with(b"[\"newMessage\"")
        .then(|| number_after(event, b"\"seq\":"))?
}

/// The number that a message of [`Client::say`] begins with.
pub fn head(event: &[u8]) -> Option<u64> {
    number_after(event, b"\"message\":\"")
}

fn number_after(text: &[u8], key: &[u8]) -> Option<u64> {
    number(&text[memmem::find(text, key)? + key.len()..])
}

/// The number that a text begins with.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}
