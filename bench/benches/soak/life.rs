//! The life of a client, from its first byte to its last.

use std::{
    net::SocketAddr,
    sync::{Arc, RwLock, atomic::Ordering},
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

use crate::{
    client::{Client, Transport, endpoint, polling, websocket},
    counts::{Counts, Present, add},
};

/// Users who return again and again. About half of all clients are new users.
const USERS: usize = 500;
/// Rooms with many visits. About half of all joins open a new room.
const ROOMS: usize = 30;
const MAX_ACTS: usize = 20;
const MAX_PAUSE: Duration = Duration::from_millis(200);
const MAX_BODY_BYTES: usize = 400;
/// The time a stalled client neither reads nor writes: longer than the server's timeouts.
const STALL: Duration = Duration::from_secs(12);
/// The longest time until the server closes a session outside the namespace: the library's limit is
/// 45 s.
const REAPED: Duration = Duration::from_secs(60);
/// Requests of a client that reads no answers, each for [`LONG_ANSWER`] messages: more than fit
/// into its queue.
const UNREAD: usize = 5_000;
const LONG_ANSWER: usize = 200;

/// The addresses of all servers at this moment.
pub type Addresses = Arc<RwLock<Vec<SocketAddr>>>;

/// A series of clients, one after another.
pub struct Worker {
    servers: Addresses,
    /// The server of the present client.
    server: SocketAddr,
    random: Rng,
    counts: Arc<Counts>,
}

impl Worker {
    pub fn new(servers: Addresses, seed: u64, counts: Arc<Counts>) -> Self {
        let server = servers.read().unwrap()[0];
        Self {
            servers,
            server,
            random: Rng::with_seed(seed),
            counts,
        }
    }

    /// Moves on to any of the servers.
    fn pick_server(&mut self) {
        let servers = self.servers.read().unwrap();
        self.server = servers[self.random.usize(..servers.len())];
    }

    /// Runs one client's life after another, until it is dropped.
    pub async fn run(mut self) {
        loop {
            let counts = self.counts.clone();
            let _present = Present::new(&counts);
            self.pick_server();
            if let Err(error) = self.run_once().await {
                // The URL in brackets differs each time.
                let text = format!("{error:#}")
                    .split(" (")
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                *counts.errors.lock().unwrap().entry(text).or_default() += 1;
            }
        }
    }

    async fn run_once(&mut self) -> anyhow::Result<()> {
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

    /// Joins rooms, talks in them, and ends in one way or another. After a cut it may come back.
    async fn talk(&mut self) -> anyhow::Result<()> {
        let (transport, user) = (self.transport(), self.user());
        let mut client = Client::connect(self.server, transport, &user)
            .await
            .with_context(|| format!("{transport:?}"))?;
        let mut rooms = vec![self.join(&mut client).await?];
        for _ in 0..self.random.usize(..MAX_ACTS) {
            self.act(&mut client, &mut rooms)
                .await
                .with_context(|| format!("{transport:?}"))?;
            sleep(MAX_PAUSE.mul_f64(self.random.f64())).await;
        }
        self.counts
            .received
            .fetch_add(client.received, Ordering::Relaxed);
        let room = rooms.pop().unwrap_or_else(|| self.room());
        if self.end(client).await? && self.random.bool() {
            self.come_back(transport, &user, &room).await?;
        }
        Ok(())
    }

    async fn come_back(
        &mut self,
        transport: Transport,
        user: &str,
        room: &str,
    ) -> anyhow::Result<()> {
        add(&self.counts.reconnects);
        self.pick_server();
        let mut client = Client::connect(self.server, transport, user).await?;
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

    /// Ends the client, and returns true when that was a cut.
    async fn end(&mut self, mut client: Client) -> anyhow::Result<bool> {
        if self.random.u8(..3) == 0 {
            client.send("41").await?;
            client.send("1").await?;
            return Ok(false);
        }
        add(&self.counts.cuts);
        match client.into_wire() {
            Wire::WebSocket(socket) => self.cut(socket).await?,
            // The session stays open, and a poll in flight is cancelled.
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
                timeout(STALL, read_to_end(&mut socket))
                    .await
                    .context("a client that hung is still connected")?;
            }
        }
        Ok(())
    }

    /// Disconnects after half a request, or before the answer to its first one.
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

    /// Disconnects, or stalls, amid an upgrade from polling to a WebSocket.
    async fn break_off_an_upgrade(&mut self) -> anyhow::Result<()> {
        add(&self.counts.cuts);
        let user = self.user();
        let client = Client::connect(self.server, Transport::Polling, &user).await?;
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

    /// Opens a session by polling, joins, and never polls again.
    async fn poll_no_more(&mut self) -> anyhow::Result<()> {
        add(&self.counts.cuts);
        let user = self.user();
        let mut client = Client::connect(self.server, Transport::Polling, &user).await?;
        self.join(&mut client).await.map(drop)
    }

    /// Opens a session and disconnects outside the namespace.
    async fn say_nothing(&mut self) -> anyhow::Result<()> {
        if self.random.bool() {
            return polling(self.server).await.map(drop);
        }
        websocket(self.server).await.map(drop)
    }

    /// Opens a session and stays outside the namespace, answering pings.
    async fn wait_to_be_reaped(&mut self) -> anyhow::Result<()> {
        let mut socket = websocket(self.server).await?;
        timeout(REAPED, read_to_end(&mut socket))
            .await
            .context("a client that never said who it is is still connected")
            .map(drop)
    }

    /// Asks without reading any answer, until the server disconnects it.
    async fn read_nothing(&mut self) -> anyhow::Result<()> {
        let user = self.user();
        let mut client = Client::connect(self.server, Transport::WebSocket, &user).await?;
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
            // Leaves processor time to the others on this machine.
            sleep(Duration::from_millis(1)).await;
        }
        ensure!(
            timeout(STALL, read_to_end(&mut socket)).await.is_ok(),
            "a client that reads nothing is still connected"
        );
        add(&self.counts.overflows);
        Ok(())
    }

    fn transport(&mut self) -> Transport {
        match self.random.u8(..20) {
            0..9 => Transport::WebSocket,
            9..12 => Transport::OldWebSocket,
            12..16 => Transport::Polling,
            _ => Transport::Upgrade,
        }
    }

    fn user(&mut self) -> String {
        self.name("user", USERS)
    }

    fn room(&mut self) -> String {
        self.name("room", ROOMS)
    }

    /// Returns one of a few names, or a new one.
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
async fn read_to_end(socket: &mut WebSocket) {
    while let Ok(packet) = socket.packet().await {
        if &*packet == b"2" {
            socket.push(Kind::Text, b"3");
            socket.flush().await.ok();
        }
    }
}

/// Fills the room with the long history.
pub async fn fill_long_room(server: SocketAddr) -> anyhow::Result<()> {
    let mut client = Client::connect(server, Transport::WebSocket, "ann").await?;
    client.join("long", 0).await?;
    for _ in 0..LONG_ANSWER {
        client
            .call("sendMessage", json!({ "roomId": "long", "message": "x" }))
            .await?;
    }
    client.send("41").await
}

/// Uses once everything that the server counts.
pub async fn visit(server: SocketAddr) -> anyhow::Result<()> {
    let mut client = Client::connect(server, Transport::WebSocket, "visitor").await?;
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
