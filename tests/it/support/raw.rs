//! A Socket.IO client made of single frames on the kit's wire: for load, for pipelining, and for
//! packets that no stock client sends.
//!
//! A frame is an Engine.IO packet's digit, then a Socket.IO packet's, then an ack id, then JSON:
//! <https://socket.io/docs/v4/socket-io-protocol/#packet-encoding>.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use serde_json::{Value, json};
use testkit::{
    client,
    wire::{Endpoint, Kind, WebSocket},
};

use super::within_deadline;

/// A connected client.
pub struct RawClient {
    socket: WebSocket,
    next_id: u64,
}

/// A packet from the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Packet {
    /// An event's name and payload.
    Event(String, Value),
    /// An ack's id and its only argument.
    Ack(u64, Value),
    /// Any other frame; empty at the connection's end.
    Other(String),
}

impl RawClient {
    /// Connects by WebSocket and waits for the server's welcome.
    pub async fn connect(address: SocketAddr, user: &str) -> Self {
        let mut client = Self::open(address).await;
        client
            .send(format!("40{}", json!({ "userId": user })))
            .await;
        let answer = client.frame().await;
        assert!(answer.starts_with("40"), "not let in: {answer}");
        client
    }

    /// Connects with a CONNECT packet's payload in JSON (empty for none), or returns the frame of
    /// the refusal.
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
        let endpoint = Endpoint::new(address);
        let opening = within_deadline("an open packet", WebSocket::open_session(&endpoint));
        let (socket, _) = opening.await.unwrap();
        Self { socket, next_id: 0 }
    }

    /// Sends a frame as it is.
    pub async fn send(&mut self, frame: String) {
        self.queue(&frame);
        self.flush().await;
    }

    /// Queues an event with an ack, and returns its id.
    pub async fn emit(&mut self, event: &str, payload: &Value) -> u64 {
        self.emit_json(&json!([event, payload]).to_string()).await
    }

    /// Queues an event with an ack, given as its packet's JSON, `["name",…]`, and returns its id.
    pub async fn emit_json(&mut self, arguments: &str) -> u64 {
        let id = self.new_id();
        self.queue(&format!("42{id}{arguments}"));
        id
    }

    /// Sends an event with an ack and one attachment, whose placeholder stands in the packet's
    /// JSON, and returns its id.
    pub async fn emit_binary(&mut self, arguments: &str, attachment: &[u8]) -> u64 {
        let id = self.new_id();
        self.queue(&format!("451-{id}{arguments}"));
        self.socket.push(Kind::Binary, attachment);
        self.flush().await;
        id
    }

    /// Sends an event with an ack.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub async fn try_emit(&mut self, event: &str, payload: &Value) -> io::Result<u64> {
        let id = self.emit(event, payload).await;
        self.socket.flush().await?;
        Ok(id)
    }

    /// Sends an event without an ack.
    pub async fn tell(&mut self, event: &str, payload: Value) {
        self.send(format!("42{}", json!([event, payload]))).await;
    }

    /// Sends the queued frames.
    pub async fn flush(&mut self) {
        self.socket.flush().await.unwrap();
    }

    fn queue(&mut self, frame: &str) {
        self.socket.push(Kind::Text, frame.as_bytes());
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Emits an event, waits for its ack, and drops other packets.
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

    /// Returns the packets before an event's ack, and the ack.
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

    /// Waits for an event of this name, and drops other packets.
    pub async fn next(&mut self, name: &str) -> Value {
        loop {
            match self.packet().await {
                Packet::Event(event, payload) if event == name => return payload,
                Packet::Other(frame) => panic!("waiting for {name}: {frame}"),
                _ => {}
            }
        }
    }

    /// Returns the next packet.
    pub async fn packet(&mut self) -> Packet {
        let frame = self.frame().await;
        parse(&frame).unwrap_or(Packet::Other(frame))
    }

    /// Returns the next frame, and answers pings; empty at the connection's end.
    pub async fn frame(&mut self) -> String {
        let receiving = async {
            loop {
                match self.socket.frame().await {
                    Ok(Some(frame)) if frame.kind == Kind::Text && &*frame.payload == b"2" => {
                        self.send("3".into()).await
                    }
                    Ok(Some(frame)) if frame.kind == Kind::Text => {
                        return String::from_utf8(frame.payload.into()).unwrap();
                    }
                    Ok(Some(frame)) if frame.kind != Kind::Close => {}
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => panic!("{error}"),
                    Ok(_) | Err(_) => return String::new(),
                }
            }
        };
        within_deadline("a frame", receiving).await
    }
}

fn parse(frame: &str) -> Option<Packet> {
    let arguments = |json: Bytes| serde_json::from_slice::<Vec<Value>>(&json).ok();
    match client::Packet::parse(Bytes::copy_from_slice(frame.as_bytes())) {
        client::Packet::Event(json) => {
            let [name, payload] = arguments(json)?.try_into().ok()?;
            Some(Packet::Event(name.as_str()?.to_owned(), payload))
        }
        client::Packet::Ack(id, json) => {
            let [answer] = arguments(json)?.try_into().ok()?;
            Some(Packet::Ack(id, answer))
        }
        client::Packet::Other(_) => None,
    }
}
