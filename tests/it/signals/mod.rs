//! `signal`: clients' own events.

mod bounds;
mod nodes;
mod receivers;

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::{Client, RawClient, Server, raw::Packet};

/// Returns a signal to all others in the room `r`.
fn signal(data: Value) -> Value {
    json!({ "roomId": "r", "type": "move", "data": data })
}

/// Returns a signal to a user in the room `r`.
fn signal_to(to: &str, data: Value) -> Value {
    json!({ "roomId": "r", "type": "move", "data": data, "to": to })
}

/// Returns the signals that a client has heard up to now.
async fn heard(client: &Client) -> Vec<Value> {
    client.call("barrier", json!({})).await;
    let events = client.received().await.into_iter();
    events
        .filter_map(|(event, payload)| (event == "signal").then_some(payload))
        .collect()
}

/// Joins a room as a new client.
async fn member(server: &Server, user: &str, room: &str) -> RawClient {
    let mut client = server.raw(user).await;
    let joined = client.call("joinRoom", json!({ "roomId": room })).await;
    assert_eq!(joined["status"], "ok", "{joined}");
    client
}

/// Emits events at once, and returns their answers in order.
async fn all(client: &mut RawClient, signals: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut ids = vec![];
    for signal in signals {
        ids.push(client.emit("signal", &signal).await);
    }
    client.flush().await;
    let mut answers = HashMap::new();
    while answers.len() < ids.len() {
        match client.packet().await {
            Packet::Ack(id, answer) => _ = answers.insert(id, answer),
            Packet::Event(..) => {}
            Packet::Other(frame) => panic!("waiting for acks: {frame}"),
        }
    }
    let answers = ids.iter().map(|id| answers.remove(id).unwrap());
    answers.collect()
}
