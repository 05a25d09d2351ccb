//! A Socket.IO client that takes no more from a packet than a workload asks for.

use std::{fmt, io::Write, net::SocketAddr, sync::Arc};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use memchr::memmem;

use crate::wire::{Carrier, Wire};

/// How many bytes the text of a message has.
pub const BODY_BYTES: usize = 100;

/// What a server sends, as far as the workloads need it.
#[derive(Debug)]
pub enum Packet {
    /// The answer to the event with this number: a JSON array.
    Ack(u64, Bytes),
    /// An event and its payload: a JSON array.
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

/// A client that has been let in.
pub struct Client {
    wire: Wire,
    user: Arc<str>,
    asked: u64,
}

impl Client {
    /// Connects as a guest of this name.
    pub async fn connect(
        address: SocketAddr,
        carrier: Carrier,
        user: &str,
    ) -> anyhow::Result<Self> {
        let mut client = Self {
            wire: Wire::connect(address, carrier).await?,
            user: user.into(),
            asked: 0,
        };
        client
            .wire
            .push(format!("40{{\"userId\":\"{user}\"}}").as_bytes());
        client.flush().await?;
        loop {
            match &*client.text().await? {
                [b'4', b'0', ..] => return Ok(client),
                [b'4', b'4', error @ ..] => bail!("refused: {}", String::from_utf8_lossy(error)),
                _ => {}
            }
        }
    }

    /// Queues an event that wants an answer, and tells the answer's number. The payload is JSON.
    pub fn ask(&mut self, event: &str, payload: fmt::Arguments<'_>) -> u64 {
        self.asked += 1;
        let mut packet = Vec::with_capacity(2 * BODY_BYTES);
        write!(packet, "42{}[\"{event}\",{payload}]", self.asked)
            .expect("memory takes all that is written");
        self.wire.push(&packet);
        self.asked
    }

    /// Queues a message of [`BODY_BYTES`] that begins with `head`, under an id of its own.
    pub fn say(&mut self, room: &str, head: u64) -> u64 {
        let (user, id) = (self.user.clone(), self.asked + 1);
        self.ask(
            "sendMessage",
            format_args!(
                "{{\"roomId\":\"{room}\",\"message\":\"{head:x<BODY_BYTES$}\",\"clientMessageId\":\"{user}-{id}\"}}"
            ),
        )
    }

    /// Sends what is queued.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        self.wire.flush().await
    }

    /// Whether packets have come that [`Self::next`] has not given out yet.
    pub fn has_more(&self) -> bool {
        self.wire.has_more()
    }

    /// The next packet, as soon as there is one; pings are answered. The wait may be given up
    /// without loss by a WebSocket only.
    ///
    /// Errors when the connection ends, or an answer is none of success.
    pub async fn next(&mut self) -> anyhow::Result<Packet> {
        loop {
            let text = self.text().await?;
            match &*text {
                [b'4', b'2', ..] => return Ok(Packet::Event(text.slice(2..))),
                [b'4', b'3', ..] => return ack(&text),
                [b'4', b'1', ..] => bail!("disconnected by the server"),
                _ => {}
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

    /// The next packet of Engine.IO that is no ping.
    async fn text(&mut self) -> anyhow::Result<Bytes> {
        loop {
            let text = self.wire.next().await?;
            if &*text != b"2" {
                return Ok(text);
            }
            self.wire.push(b"3");
            self.flush().await?;
        }
    }
}

/// Reads `43NUMBER[…]`.
fn ack(text: &Bytes) -> anyhow::Result<Packet> {
    let digits = text[2..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let body = text.slice(2 + digits..);
    ensure!(
        memmem::find(&body, b"\"status\":\"ok\"").is_some(),
        "{}",
        String::from_utf8_lossy(&body)
    );
    Ok(Packet::Ack(
        number(&text[2..]).context("an answer has a number")?,
        body,
    ))
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
