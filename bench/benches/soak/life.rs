//! What clients do from their first byte to their last.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use fastrand::Rng;
use serde_json::json;
use testkit::wire::{Kind, WebSocket, Wire};
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};

use crate::client::{Client, Way, endpoint, polling, websocket};

/// Users who come again and again; as many others come once.
const USERS: usize = 500;
/// Rooms that are entered again and again; as many others once.
const ROOMS: usize = 30;
const MAX_ACTS: usize = 20;
const MAX_PAUSE: Duration = Duration::from_millis(200);
const MAX_BODY_BYTES: usize = 400;
/// How long a client that hangs neither reads nor writes: longer than the server takes to be rid of
/// it.
const STALL: Duration = Duration::from_secs(12);
/// How long the server may take to be rid of a client that has never said who it is: the library's
/// limit is 45 s.
const REAPED: Duration = Duration::from_secs(60);
/// Requests of a client that reads no answers, each of [`LONG_ANSWER`] messages: more than fit into
/// its queue.
const UNREAD: usize = 5_000;
const LONG_ANSWER: usize = 200;

/// What has happened.
#[derive(Debug, Default)]
pub struct Counts {
    /// Who is there now.
    pub clients: AtomicU64,
    /// Messages that clients were told are stored.
    pub sent: AtomicU64,
    /// Messages that clients have got.
    pub received: AtomicU64,
    /// Connections that did not end in order.
    pub cuts: AtomicU64,
    pub reconnects: AtomicU64,
    /// Clients that the server cut as they did not read.
    pub overflows: AtomicU64,
    /// Lives that went otherwise than they should, by what went wrong.
    pub errors: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    /// All but the errors, in this order.
    pub fn numbers(&self) -> [u64; 6] {
        [
            &self.clients,
            &self.sent,
            &self.received,
            &self.cuts,
            &self.reconnects,
            &self.overflows,
        ]
        .map(|count| count.load(Ordering::Relaxed))
    }
}

/// Who lives one life after the other.
pub struct Soul {
    pub server: SocketAddr,
    pub random: Rng,
    pub counts: Arc<Counts>,
}

/// A client is counted while this is there.
struct Present<'a>(&'a Counts);

impl<'a> Present<'a> {
    fn new(counts: &'a Counts) -> Self {
        add(&counts.clients);
        Self(counts)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Soul {
    /// Lives until it is dropped.
    pub async fn live(mut self) {
        loop {
            let counts = self.counts.clone();
            let _present = Present::new(&counts);
            if let Err(error) = self.life().await {
                // An URL follows in brackets, another one each time.
                let text = format!("{error:#}")
                    .split(" (")
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                *counts.errors.lock().unwrap().entry(text).or_default() += 1;
            }
        }
    }

    async fn life(&mut self) -> anyhow::Result<()> {
        match self.random.u8(..100) {
            0..70 => self.talk().await,
            70..80 => self.break_off_a_handshake().await,
            80..86 => self.break_off_an_upgrade().await,
            86..92 => self.poll_no_more().await,
            92..95 => self.say_nothing().await,
            95..97 => self.wait_to_be_reaped().await,
            _ => self.read_nothing().await,
        }
    }

    /// Joins rooms, talks in them, and ends in one way or another; after a cut it may come back.
    async fn talk(&mut self) -> anyhow::Result<()> {
        let (way, user) = (self.way(), self.user());
        let mut client = Client::connect(self.server, way, &user)
            .await
            .with_context(|| format!("{way:?}"))?;
        let mut rooms = vec![self.join(&mut client).await?];
        for _ in 0..self.random.usize(..MAX_ACTS) {
            self.act(&mut client, &mut rooms)
                .await
                .with_context(|| format!("{way:?}"))?;
            sleep(MAX_PAUSE.mul_f64(self.random.f64())).await;
        }
        self.counts
            .received
            .fetch_add(client.received, Ordering::Relaxed);
        let room = rooms.pop().unwrap_or_else(|| self.room());
        if self.end(client).await? && self.random.bool() {
            self.come_back(way, &user, &room).await?;
        }
        Ok(())
    }

    async fn come_back(&mut self, way: Way, user: &str, room: &str) -> anyhow::Result<()> {
        add(&self.counts.reconnects);
        let mut client = Client::connect(self.server, way, user).await?;
        client.join(room, self.random.u64(..100)).await?;
        self.end(client).await.map(drop)
    }

    async fn act(&mut self, client: &mut Client, rooms: &mut Vec<String>) -> anyhow::Result<()> {
        let Some(room) = self.random.choice(&*rooms).cloned() else {
            rooms.push(self.join(client).await?);
            return Ok(());
        };
        match self.random.u8(..10) {
            0..2 => rooms.push(self.join(client).await?),
            2..6 => {
                client.call("sendMessage", self.message(&room)).await?;
                add(&self.counts.sent);
            }
            6 => drop(
                client
                    .call("getHistory", json!({ "roomId": room, "afterSeq": 0 }))
                    .await?,
            ),
            7..9 => drop(
                client
                    .call("typing", json!({ "roomId": room, "isTyping": true }))
                    .await?,
            ),
            _ => {
                client.call("leaveRoom", json!({ "roomId": room })).await?;
                rooms.retain(|other| *other != room);
            }
        }
        Ok(())
    }

    async fn join(&mut self, client: &mut Client) -> anyhow::Result<String> {
        let room = self.room();
        client.join(&room, 0).await?;
        Ok(room)
    }

    /// Ends in some way; whether that was a cut.
    async fn end(&mut self, mut client: Client) -> anyhow::Result<bool> {
        if self.random.u8(..3) == 0 {
            client.send("41").await?;
            client.send("1").await?;
            return Ok(false);
        }
        add(&self.counts.cuts);
        match client.into_wire() {
            Wire::WebSocket(socket) => self.cut(socket).await?,
            // The session lives on, and the poll, if there is one, is cancelled.
            Wire::Polling(polling) => {
                timeout(MAX_PAUSE.mul_f64(self.random.f64()), polling.poll())
                    .await
                    .ok();
            }
        }
        Ok(true)
    }

    async fn cut(&mut self, mut socket: WebSocket) -> anyhow::Result<()> {
        match self.random.u8(..20) {
            0..8 => {}
            8..16 => socket.stream().set_zero_linger()?,
            16..18 => socket.into_stream().shutdown().await?,
            _ => {
                sleep(STALL).await;
                timeout(STALL, rest(&mut socket))
                    .await
                    .context("a client that hung is still connected")?;
            }
        }
        Ok(())
    }

    /// Goes before the server has answered its first request, or half of it.
    async fn break_off_a_handshake(&mut self) -> anyhow::Result<()> {
        add(&self.counts.cuts);
        let (version, server) = (self.random.choice([3, 4]).unwrap_or(4), self.server);
        let request = format!(
            "GET /socket.io/?EIO={version}&transport=websocket HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let sent = if self.random.bool() {
            request.len()
        } else {
            self.random.usize(..request.len())
        };
        let mut stream = endpoint(server, version).dial().await?;
        stream.write_all(&request.as_bytes()[..sent]).await?;
        if sent == request.len() && self.random.bool() {
            stream.readable().await?;
        }
        stream.set_zero_linger()?;
        Ok(())
    }

    /// Goes somewhere on its way from polling to a WebSocket, or stops there.
    async fn break_off_an_upgrade(&mut self) -> anyhow::Result<()> {
        add(&self.counts.cuts);
        let user = self.user();
        let client = Client::connect(self.server, Way::Polling, &user).await?;
        let Wire::Polling(polling) = client.into_wire() else {
            return Ok(());
        };
        let mut socket = polling.websocket().await?;
        if self.random.bool() {
            socket.push(Kind::Text, b"2probe");
            socket.flush().await?;
        }
        if self.random.bool() {
            sleep(STALL).await;
        } else if self.random.bool() {
            socket.stream().set_zero_linger()?;
        }
        Ok(())
    }

    /// Begins a session by polling, joins, and is not heard of again.
    async fn poll_no_more(&mut self) -> anyhow::Result<()> {
        add(&self.counts.cuts);
        let user = self.user();
        let mut client = Client::connect(self.server, Way::Polling, &user).await?;
        self.join(&mut client).await.map(drop)
    }

    /// Opens a session, does not say who it is, and goes.
    async fn say_nothing(&mut self) -> anyhow::Result<()> {
        if self.random.bool() {
            return polling(self.server).await.map(drop);
        }
        websocket(self.server).await.map(drop)
    }

    /// Opens a session, does not say who it is, and stays, answering pings.
    async fn wait_to_be_reaped(&mut self) -> anyhow::Result<()> {
        let mut socket = websocket(self.server).await?;
        timeout(REAPED, rest(&mut socket))
            .await
            .context("a client that never said who it is is still connected")
            .map(drop)
    }

    /// Asks without reading the answers until it is cut.
    async fn read_nothing(&mut self) -> anyhow::Result<()> {
        let user = self.user();
        let mut client = Client::connect(self.server, Way::WebSocket, &user).await?;
        client.join("long", 0).await?;
        let Wire::WebSocket(mut socket) = client.into_wire() else {
            return Ok(());
        };
        let ask = json!(["getHistory", { "roomId": "long", "afterSeq": 0, "limit": LONG_ANSWER }]);
        for number in 0..UNREAD {
            socket.push(Kind::Text, format!("42{number}{ask}").as_bytes());
            if socket.flush().await.is_err() {
                add(&self.counts.overflows);
                return Ok(());
            }
            // Room for others on this machine.
            sleep(Duration::from_millis(1)).await;
        }
        ensure!(
            timeout(STALL, rest(&mut socket)).await.is_ok(),
            "a client that reads nothing is still connected"
        );
        add(&self.counts.overflows);
        Ok(())
    }

    fn way(&mut self) -> Way {
        match self.random.u8(..20) {
            0..9 => Way::WebSocket,
            9..12 => Way::OldWebSocket,
            12..16 => Way::Polling,
            _ => Way::Upgrade,
        }
    }

    fn user(&mut self) -> String {
        self.name("user", USERS)
    }

    fn room(&mut self) -> String {
        self.name("room", ROOMS)
    }

    /// One of a few names, or one that has never been.
    fn name(&mut self, kind: &str, few: usize) -> String {
        match self.random.bool() {
            true => format!("{kind}-{}", self.random.usize(..few)),
            false => format!("{kind}-{}", uuid::Uuid::now_v7()),
        }
    }

    fn message(&mut self, room: &str) -> serde_json::Value {
        let body = "x".repeat(self.random.usize(1..MAX_BODY_BYTES));
        json!({ "roomId": room, "message": body, "clientMessageId": uuid::Uuid::now_v7() })
    }
}

/// Reads to the end, and answers pings.
async fn rest(socket: &mut WebSocket) {
    while let Ok(packet) = socket.packet().await {
        if &*packet == b"2" {
            socket.push(Kind::Text, b"3");
            socket.flush().await.ok();
        }
    }
}

/// Fills the room whose history is long.
pub async fn fill_long_room(server: SocketAddr) -> anyhow::Result<()> {
    let mut client = Client::connect(server, Way::WebSocket, "ann").await?;
    client.join("long", 0).await?;
    for _ in 0..LONG_ANSWER {
        client
            .call("sendMessage", json!({ "roomId": "long", "message": "x" }))
            .await?;
    }
    client.send("41").await
}

/// Does once whatever the server counts.
pub async fn visit(server: SocketAddr) -> anyhow::Result<()> {
    let mut client = Client::connect(server, Way::WebSocket, "visitor").await?;
    client.join("visited", 0).await?;
    client
        .call(
            "sendMessage",
            json!({ "roomId": "visited", "message": "x" }),
        )
        .await?;
    client
        .call("typing", json!({ "roomId": "visited", "isTyping": false }))
        .await?;
    client.send("41").await
}
