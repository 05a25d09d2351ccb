//! A Socket.IO client made of bare WebSocket frames: for load, for pipelining, and for packets that
//! no stock client sends.
//!
//! A frame is an Engine.IO packet's digit, then a Socket.IO packet's, then an ack id, then JSON:
//! <https://socket.io/docs/v4/socket-io-protocol/#packet-encoding>.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message},
};

use super::within_deadline;

/// A connected client.
pub struct RawClient {
    stream: WebSocketStream<TcpStream>,
    next_id: u64,
}

/// What a server sends once a client is connected.
#[derive(Debug, Clone, PartialEq)]
pub enum Packet {
    /// An event's name and payload.
    Event(String, Value),
    /// An ack's id and its one object.
    Ack(u64, Value),
    /// The connection is over, or something else came.
    Other(String),
}

impl RawClient {
    /// Connects by WebSocket and waits until the server has let it in.
    pub async fn connect(address: SocketAddr, user: &str) -> Self {
        let mut client = Self::open(address).await;
        client
            .send(format!("40{}", json!({ "userId": user })))
            .await;
        let answer = client.frame().await;
        assert!(answer.starts_with("40"), "not let in: {answer}");
        client
    }

    /// The same, with the CONNECT packet's payload as JSON (nothing: none); a refusal's frame.
    pub async fn attempt(address: SocketAddr, auth: &str) -> Result<Self, String> {
        let mut client = Self::open(address).await;
        client.send(format!("40{auth}")).await;
        let answer = client.frame().await;
        if answer.starts_with("40") {
            Ok(client)
        } else {
            Err(answer)
        }
    }

    /// Opens the transport only.
    pub async fn open(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (stream, _) = within_deadline("the WebSocket", client_async(url, tcp))
            .await
            .unwrap();
        let mut client = Self { stream, next_id: 0 };
        let open = client.frame().await;
        assert!(open.starts_with('0'), "no open packet: {open}");
        client
    }

    /// Sends a frame as it is.
    pub async fn send(&mut self, frame: String) {
        self.stream.send(Message::text(frame)).await.unwrap();
    }

    /// Queues an event that asks for an ack; its id.
    pub async fn emit(&mut self, event: &str, payload: &Value) -> u64 {
        self.emit_json(&json!([event, payload]).to_string()).await
    }

    /// Queues an event that asks for an ack, given as its packet's JSON, `["name",…]`; its id.
    pub async fn emit_json(&mut self, arguments: &str) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.stream
            .feed(Message::text(format!("42{id}{arguments}")))
            .await
            .unwrap();
        id
    }

    /// Emits an event that asks for an ack and has one attachment, whose placeholder stands in the
    /// packet's JSON; its id.
    pub async fn emit_binary(&mut self, arguments: &str, attachment: &[u8]) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(format!("451-{id}{arguments}")).await;
        self.stream
            .send(Message::binary(attachment.to_vec()))
            .await
            .unwrap();
        id
    }

    /// Sends an event that asks for an ack.
    ///
    /// Errors when the connection is over.
    pub async fn try_emit(&mut self, event: &str, payload: &Value) -> Result<u64, Error> {
        let id = self.next_id;
        self.next_id += 1;
        let frame = format!("42{id}{}", json!([event, payload]));
        self.stream.send(Message::text(frame)).await?;
        Ok(id)
    }

    /// Emits an event that asks for no ack.
    pub async fn tell(&mut self, event: &str, payload: Value) {
        self.send(format!("42{}", json!([event, payload]))).await;
    }

    /// Sends what is queued.
    pub async fn flush(&mut self) {
        self.stream.flush().await.unwrap();
    }

    /// Emits an event and waits for its ack; what else comes is dropped.
    pub async fn call(&mut self, event: &str, payload: Value) -> Value {
        let id = self.emit(event, &payload).await;
        self.flush().await;
        loop {
            match self.packet().await {
                Packet::Ack(acked, answer) if acked == id => return answer,
                Packet::Other(frame) => panic!("waiting for the ack of {event}: {frame}"),
                _ => {}
            }
        }
    }

    /// What comes before an event's ack, and the ack.
    pub async fn until_ack(&mut self, id: u64) -> (Vec<Packet>, Value) {
        let mut before = vec![];
        loop {
            match self.packet().await {
                Packet::Ack(acked, answer) if acked == id => return (before, answer),
                Packet::Other(frame) => panic!("waiting for the ack {id}: {frame}"),
                packet => before.push(packet),
            }
        }
    }

    /// The next event of this name; what else comes is dropped.
    pub async fn next(&mut self, name: &str) -> Value {
        loop {
            match self.packet().await {
                Packet::Event(event, payload) if event == name => return payload,
                Packet::Other(frame) => panic!("waiting for {name}: {frame}"),
                _ => {}
            }
        }
    }

    /// The next packet.
    pub async fn packet(&mut self) -> Packet {
        let frame = self.frame().await;
        parse(&frame).unwrap_or(Packet::Other(frame))
    }

    /// The next frame, pings answered; empty at the end.
    pub async fn frame(&mut self) -> String {
        let receiving = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) if text.as_str() == "2" => {
                        self.send("3".into()).await
                    }
                    Some(Ok(Message::Text(text))) => return text.as_str().to_owned(),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return String::new(),
                    Some(Ok(_)) => {}
                }
            }
        };
        within_deadline("a frame", receiving).await
    }
}

fn parse(frame: &str) -> Option<Packet> {
    let (kind, rest) = (frame.get(..2)?, frame.get(2..)?);
    let digits = rest.find('[')?;
    let mut arguments: Vec<Value> = serde_json::from_str(&rest[digits..]).ok()?;
    match kind {
        "42" if arguments.len() == 2 => {
            let payload = arguments.pop()?;
            Some(Packet::Event(
                arguments.pop()?.as_str()?.to_owned(),
                payload,
            ))
        }
        "43" if arguments.len() == 1 => {
            Some(Packet::Ack(rest[..digits].parse().ok()?, arguments.pop()?))
        }
        _ => None,
    }
}
