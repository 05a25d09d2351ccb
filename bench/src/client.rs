//! A client that reads no more of a packet than a workload needs.

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

/// Part of every successful ack.
const OK: &[u8] = b"\"status\":\"ok\"";

/// The headers that a browser adds to each request.
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
    /// The successful answer to the event with this id, as a JSON array.
    Ack(u64, Bytes),
    /// An event's name and payload, as a JSON array.
    Event(Bytes),
}

/// The answer to a join.
#[derive(Debug)]
pub struct Joined {
    /// The room's newest `seq`.
    pub last_seq: u64,
    /// The number of messages in the answer.
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

    /// Queues a message of [`BODY_BYTES`] that begins with `head`, under a new id.
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

    /// Returns the next event or ack. Only a WebSocket allows cancelling the wait without loss.
    ///
    /// # Errors
    ///
    /// When the connection ends, or an ack reports an error.
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

    /// Joins a room, and resumes after `last_seq` if given. Events before the answer are dropped:
    /// none of them is the room's.
    ///
    /// # Errors
    ///
    /// When the connection ends, or the join fails.
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

    /// Waits for the answer to the event with this id, and drops everything before it.
    ///
    /// # Errors
    ///
    /// When the connection ends, or an ack reports an error.
    pub async fn answer(&mut self, number: u64) -> anyhow::Result<Bytes> {
        loop {
            if let Packet::Ack(answered, body) = self.next().await?
                && answered == number
            {
                return Ok(body);
            }
        }
    }

    /// Sends the queued events, and waits for a number of answers. Events in between are dropped.
    ///
    /// # Errors
    ///
    /// When the connection ends, or an ack reports an error.
    pub async fn answers(&mut self, count: usize) -> anyhow::Result<()> {
        self.flush().await?;
        let mut missing = count;
        while missing > 0 {
            missing -= usize::from(matches!(self.next().await?, Packet::Ack(..)));
        }
        Ok(())
    }
}

/// Returns the `seq` of a `newMessage`, and none for another event.
pub fn live_seq(event: &[u8]) -> Option<u64> {
    event
        .starts_with(b"[\"newMessage\"")
        .then(|| number_after(event, b"\"seq\":"))?
}

/// Returns the number at the beginning of a message from [`Client::say`].
pub fn head(event: &[u8]) -> Option<u64> {
    number_after(event, b"\"message\":\"")
}

fn number_after(text: &[u8], key: &[u8]) -> Option<u64> {
    number(&text[memmem::find(text, key)? + key.len()..])
}

/// Returns the number at the beginning of a text.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}
