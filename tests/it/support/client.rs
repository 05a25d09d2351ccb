//! A chat client on `rust_socketio`.

use std::sync::Arc;

use futures_util::FutureExt;
use rust_socketio::{
    Event, Payload, TransportType,
    asynchronous::{Client as Socket, ClientBuilder},
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use super::{DEADLINE, within_deadline};

/// A connected client, and its received events.
pub struct Client {
    socket: Socket,
    events: Mutex<mpsc::UnboundedReceiver<(String, Value)>>,
}

impl Client {
    /// Connects by WebSocket and waits for the server's welcome.
    pub async fn connect(url: &str, user: &str) -> Self {
        Self::by(TransportType::Websocket, url, json!({ "userId": user })).await
    }

    /// Connects by a transport, with an auth payload.
    pub async fn by(transport: TransportType, url: &str, auth: Value) -> Self {
        let client = Self::attempt(transport, url, auth).await;
        match client.next_any().await {
            (event, _) if event == "connect" => client,
            other => panic!("not let in: {other:?}"),
        }
    }

    /// Connects; the first event is `connect` or, after a refusal, `connect_error`.
    pub async fn attempt(transport: TransportType, url: &str, auth: Value) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (connected, failed, any) = (sender.clone(), sender.clone(), sender);
        let socket = ClientBuilder::new(url)
            .auth(auth)
            .transport_type(transport)
            .reconnect(false)
            .on(Event::Connect, move |_, _| {
                connected.send(("connect".into(), Value::Null)).ok();
                async {}.boxed()
            })
            .on(Event::Error, move |payload, _| {
                failed.send(("connect_error".into(), first(payload))).ok();
                async {}.boxed()
            })
            .on_any(move |event, payload, _| {
                if let Event::Custom(name) = event {
                    any.send((name, first(payload))).ok();
                }
                async {}.boxed()
            })
            .connect();
        let socket = within_deadline("the transport", socket).await.unwrap();
        Self {
            socket,
            events: Mutex::new(events),
        }
    }

    /// Emits an event and waits for its ack.
    pub async fn call(&self, event: &str, payload: Value) -> Value {
        let (sender, answer) = tokio::sync::oneshot::channel();
        let sender = Arc::new(std::sync::Mutex::new(Some(sender)));
        let acked = move |payload: Payload, _: Socket| {
            if let Some(sender) = sender.lock().unwrap().take() {
                sender.send(first(payload)).ok();
            }
            async {}.boxed()
        };
        self.socket
            .emit_with_ack(event, payload, DEADLINE, acked)
            .await
            .unwrap();
        within_deadline(&format!("the ack of {event}"), answer)
            .await
            .unwrap()
    }

    /// Emits an event and waits for its ack, which must be `ok`.
    pub async fn ok(&self, event: &str, payload: Value) -> Value {
        let answer = self.call(event, payload).await;
        assert_eq!(answer["status"], "ok", "{event}: {answer}");
        answer
    }

    /// Emits an event and waits for its ack, which must be an error, and returns its code.
    pub async fn refused(&self, event: &str, payload: Value) -> String {
        let answer = self.call(event, payload).await;
        assert_eq!(answer["status"], "error", "{event}: {answer}");
        answer["error"]["code"].as_str().unwrap().to_owned()
    }

    /// Emits an event without asking for an ack.
    pub async fn emit(&self, event: &str, payload: Value) {
        self.socket.emit(event, payload).await.unwrap();
    }

    /// Joins a room.
    pub async fn join(&self, room: &str) -> Value {
        self.ok("joinRoom", json!({ "roomId": room })).await
    }

    /// Sends a message, and returns it as stored.
    pub async fn send(&self, room: &str, text: &str) -> Value {
        let sent = self
            .ok("sendMessage", json!({ "roomId": room, "message": text }))
            .await;
        sent["message"].clone()
    }

    /// Waits for an event of this name, and skips others.
    pub async fn next(&self, name: &str) -> Value {
        loop {
            let (event, payload) = self.next_any().await;
            if event == name {
                return payload;
            }
        }
    }

    /// Waits for the next event.
    pub async fn next_any(&self) -> (String, Value) {
        let mut events = self.events.lock().await;
        within_deadline("an event", events.recv())
            .await
            .expect("the client lives")
    }

    /// Returns all events received so far.
    pub async fn received(&self) -> Vec<(String, Value)> {
        let mut events = self.events.lock().await;
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }

    /// Leaves the namespace on purpose.
    pub async fn disconnect(&self) {
        self.socket.disconnect().await.unwrap();
    }
}

/// Returns an event's first argument. (`rust_socketio` passes an ack's arguments as one list.)
fn first(payload: Payload) -> Value {
    match payload {
        Payload::Text(mut values) if !values.is_empty() => match values.remove(0) {
            Value::Array(mut inner) if !inner.is_empty() => inner.remove(0),
            value => value,
        },
        _ => Value::Null,
    }
}
