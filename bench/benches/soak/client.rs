//! A client that may stop anywhere: on a WebSocket, in long-polling, or after an upgrade.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testkit::{
    client::Packet,
    wire::{Carrier, Endpoint, Polling, WebSocket, Wire},
};
use tokio::time::timeout;

/// The longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// Small, so that the server soon notices a stalled reader.
const RECEIVE_BUFFER_BYTES: u32 = 16 * 1024;

/// A client's transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    /// A client of version 2, which speaks Engine.IO 3.
    OldWebSocket,
    Polling,
    /// Polling, then a WebSocket.
    Upgrade,
}

/// A client in the namespace.
pub struct Client {
    client: testkit::Client,
    /// True when the client pings, as in Engine.IO 3.
    pings: bool,
    user: String,
    /// Messages received.
    pub received: u64,
}

impl Client {
    pub async fn connect(
        server: SocketAddr,
        transport: Transport,
        user: &str,
    ) -> anyhow::Result<Self> {
        let (carrier, version) = match transport {
            Transport::WebSocket => (Carrier::WebSocket, 4),
            Transport::OldWebSocket => (Carrier::WebSocket, 3),
            Transport::Polling | Transport::Upgrade => (Carrier::Polling, 4),
        };
        let (endpoint, auth) = (endpoint(server, version), json!({ "userId": user }));
        let connecting = async {
            let mut client =
                testkit::Client::connect(&endpoint, carrier, &auth.to_string()).await?;
            if transport == Transport::Upgrade {
                client.upgrade().await?;
            }
            anyhow::Ok(client)
        };
        Ok(Self {
            client: in_time(connecting).await?,
            pings: transport == Transport::OldWebSocket,
            user: user.to_owned(),
            received: 0,
        })
    }

    pub async fn join(&mut self, room: &str, last_seq: u64) -> anyhow::Result<Value> {
        self.call(
            "joinRoom",
            json!({ "roomId": room, "userId": self.user, "lastSeq": last_seq }),
        )
        .await
    }

    /// Emits an event, and waits for its ack, which must be `ok`.
    pub async fn call(&mut self, event: &'static str, payload: Value) -> anyhow::Result<Value> {
        if self.pings {
            self.send("2").await?;
        }
        let id = self.client.ask(event, format_args!("{payload}"));
        in_time(self.client.flush()).await.context(event)?;
        loop {
            match in_time(self.client.next()).await.context(event)? {
                Packet::Ack(acked, body) if acked == id => {
                    let [answer]: [Value; 1] = serde_json::from_slice(&body)?;
                    ensure!(answer["status"] == "ok", "{event}: {answer}");
                    return Ok(answer);
                }
                Packet::Event(body) if body.starts_with(br#"["newMessage""#) => self.received += 1,
                _ => {}
            }
        }
    }

    pub async fn send(&mut self, packet: &str) -> anyhow::Result<()> {
        in_time(self.client.send(packet.as_bytes())).await
    }

    /// Gives up the client for its session.
    pub fn into_wire(self) -> Wire {
        self.client.into_wire()
    }
}

/// Returns the endpoint of the soak's clients.
pub fn endpoint(server: SocketAddr, version: u8) -> Endpoint {
    Endpoint {
        version,
        receive_buffer: Some(RECEIVE_BUFFER_BYTES),
        ..Endpoint::new(server)
    }
}

/// Opens a session by WebSocket.
pub async fn websocket(server: SocketAddr) -> anyhow::Result<WebSocket> {
    let endpoint = endpoint(server, 4);
    Ok(in_time(WebSocket::open_session(&endpoint)).await?.0)
}

/// Opens a session by long-polling.
pub async fn polling(server: SocketAddr) -> anyhow::Result<Polling> {
    in_time(Polling::open(&endpoint(server, 4))).await
}

async fn in_time<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    timeout(DEADLINE, future).await.context("not in time")?
}
