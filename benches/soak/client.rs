//! A client that may stop anywhere: by WebSocket, by long-polling, or gone on from the one to the
//! other.

use std::{collections::VecDeque, net::SocketAddr, sync::LazyLock, time::Duration};

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// Little, so that a client that does not read is soon felt.
const RECEIVE_BUFFER_BYTES: u32 = 16 * 1024;
/// How long a connection for polling is kept without use.
const MAX_IDLE: Duration = Duration::from_secs(1);
/// What parts the packets of a payload:
/// <https://github.com/socketio/engine.io-protocol#packet-encoding>.
const SEPARATOR: char = '\x1e';

/// How a client comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    WebSocket,
    /// As clients of version 2 do.
    OldWebSocket,
    Polling,
    /// By polling, then on to a WebSocket.
    Upgrade,
}

/// A client in the namespace.
pub struct Client {
    pub transport: Transport,
    /// It is the client who asks for signs of life.
    pings: bool,
    user: String,
    calls: u64,
    /// Messages that have come.
    pub received: u64,
}

pub enum Transport {
    WebSocket(Box<WebSocket>),
    Polling(Polling),
}

pub type WebSocket = WebSocketStream<TcpStream>;

/// What all sessions by long-polling share, as it costs much to make. Connections that nobody uses
/// are soon closed.
static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
    reqwest::Client::builder()
        .pool_idle_timeout(MAX_IDLE)
        .build()
        .unwrap()
});

/// A session by long-polling.
pub struct Polling {
    url: String,
    /// Its query, where it goes on to a WebSocket.
    upgrade: String,
    received: VecDeque<String>,
}

impl Client {
    pub async fn connect(server: SocketAddr, way: Way, user: &str) -> anyhow::Result<Self> {
        let transport = match way {
            Way::WebSocket => {
                Transport::WebSocket(open(server, "EIO=4&transport=websocket").await?.into())
            }
            Way::OldWebSocket => {
                Transport::WebSocket(open(server, "EIO=3&transport=websocket").await?.into())
            }
            Way::Polling | Way::Upgrade => Transport::Polling(Polling::open(server).await?),
        };
        let mut client = Self {
            transport,
            pings: way == Way::OldWebSocket,
            user: user.to_owned(),
            calls: 0,
            received: 0,
        };
        if !client.pings {
            client
                .send(format!("40{}", json!({ "userId": user })))
                .await?;
        }
        while !client.packet().await?.starts_with("40") {}
        if way == Way::Upgrade {
            client.upgrade(server).await?;
        }
        Ok(client)
    }

    async fn upgrade(&mut self, server: SocketAddr) -> anyhow::Result<()> {
        let Transport::Polling(polling) = &self.transport else {
            return Ok(());
        };
        let mut socket = polling.websocket(server).await?;
        socket.send(Message::text("2probe")).await?;
        ensure!(next_text(&mut socket).await? == "3probe");
        socket.send(Message::text("5")).await?;
        self.transport = Transport::WebSocket(socket.into());
        Ok(())
    }

    pub async fn join(&mut self, room: &str, last_seq: u64) -> anyhow::Result<Value> {
        self.call(
            "joinRoom",
            json!({ "roomId": room, "userId": self.user, "lastSeq": last_seq }),
        )
        .await
    }

    /// Emits an event, and waits for the answer, which must be a good one.
    pub async fn call(&mut self, event: &'static str, payload: Value) -> anyhow::Result<Value> {
        if self.pings {
            self.send("2".into()).await?;
        }
        self.calls += 1;
        let begin = format!("43{}[", self.calls);
        self.send(format!("42{}{}", self.calls, json!([event, payload])))
            .await
            .context(event)?;
        loop {
            let packet = self.packet().await.context(event)?;
            if let Some(rest) = packet.strip_prefix(&begin) {
                let answer: Value = serde_json::from_str(rest.strip_suffix(']').context(event)?)?;
                ensure!(answer["status"] == "ok", "{event}: {answer}");
                return Ok(answer);
            }
            self.received += u64::from(packet.starts_with(r#"42["newMessage""#));
        }
    }

    pub async fn send(&mut self, packet: String) -> anyhow::Result<()> {
        let sending = async {
            match &mut self.transport {
                Transport::WebSocket(socket) => Ok(socket.send(Message::text(packet)).await?),
                Transport::Polling(polling) => polling.post(packet).await,
            }
        };
        timeout(DEADLINE, sending)
            .await
            .context("not sent in time")?
    }

    /// The next packet that is not a ping, which is answered.
    pub async fn packet(&mut self) -> anyhow::Result<String> {
        loop {
            let receiving = async {
                match &mut self.transport {
                    Transport::WebSocket(socket) => next_text(socket).await,
                    Transport::Polling(polling) => polling.next().await,
                }
            };
            let packet = timeout(DEADLINE, receiving)
                .await
                .context("no packet in time")??;
            if packet != "2" {
                return Ok(packet);
            }
            self.send("3".into()).await?;
        }
    }
}

impl Polling {
    pub async fn open(server: SocketAddr) -> anyhow::Result<Self> {
        let url = format!("http://{server}/socket.io/?EIO=4&transport=polling");
        let mut polling = Self {
            url,
            upgrade: String::new(),
            received: VecDeque::new(),
        };
        let open = polling.next().await?;
        let handshake: Value =
            serde_json::from_str(open.strip_prefix('0').context("no open packet")?)?;
        let sid = handshake["sid"].as_str().context("no session id")?;
        polling.url += &format!("&sid={sid}");
        polling.upgrade = format!("EIO=4&transport=websocket&sid={sid}");
        Ok(polling)
    }

    async fn post(&self, payload: String) -> anyhow::Result<()> {
        let response = HTTP.post(&self.url).body(payload).send().await?;
        ensure!(
            response.status().is_success(),
            "POST: {}",
            response.status()
        );
        Ok(())
    }

    /// Polls; what it is answered.
    pub async fn poll(&self) -> anyhow::Result<String> {
        let response = HTTP.get(&self.url).send().await?;
        ensure!(response.status().is_success(), "GET: {}", response.status());
        Ok(response.text().await?)
    }

    /// Opens the WebSocket to go on by.
    pub async fn websocket(&self, server: SocketAddr) -> anyhow::Result<WebSocket> {
        open(server, &self.upgrade).await
    }

    async fn next(&mut self) -> anyhow::Result<String> {
        loop {
            if let Some(packet) = self.received.pop_front() {
                return Ok(packet);
            }
            self.received
                .extend(self.poll().await?.split(SEPARATOR).map(str::to_owned));
        }
    }
}

/// Opens a connection.
pub async fn tcp(server: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    Ok(socket.connect(server).await?)
}

/// Opens a WebSocket.
pub async fn open(server: SocketAddr, query: &str) -> anyhow::Result<WebSocket> {
    let stream = tcp(server).await?;
    let handshake = client_async(format!("ws://{server}/socket.io/?{query}"), stream);
    Ok(timeout(DEADLINE, handshake)
        .await
        .context("no WebSocket in time")??
        .0)
}

async fn next_text(socket: &mut WebSocket) -> anyhow::Result<String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => bail!("the connection is over"),
            Some(Ok(_)) => {}
        }
    }
}
