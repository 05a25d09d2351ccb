//! The wire contract, row by row, as clients see it.

mod edges;
mod errors;
mod flows;
mod history;
mod http;
mod identity;
mod joining;
mod payloads;
mod presence;
mod sending;
mod silence;
mod typing;

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use parlor::model::{Body, Draft};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, RawClient, Server, raw::Packet};

const MESSAGE: [&str; 8] = [
    "id",
    "roomId",
    "seq",
    "userId",
    "operatorId",
    "message",
    "timestamp",
    "clientMessageId",
];
const JOINED: [&str; 9] = [
    "roomId",
    "userId",
    "messages",
    "lastSeq",
    "hasMore",
    "members",
    "memberCount",
    "lastRevision",
    "readSeq",
];

/// Asserts that an object has these keys and no others.
#[track_caller]
fn assert_keys(object: &Value, expected: &[&str]) {
    let mut keys: Vec<_> = object
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = expected.to_vec();
    keys.sort_unstable();
    expected.sort_unstable();
    assert_eq!(keys, expected, "{object}");
}

/// Asserts that an ack is `ok`, with these keys and no others.
#[track_caller]
fn assert_ok(answer: &Value, expected: &[&str]) {
    assert_eq!(answer["status"], "ok", "{answer}");
    assert_keys(answer, &[expected, &["status"]].concat());
}

/// Asserts that an ack is this refusal, and returns its message.
#[track_caller]
fn assert_refused<'a>(answer: &'a Value, code: &str) -> &'a str {
    assert_eq!(answer["status"], "error", "{answer}");
    assert_keys(answer, &["status", "error"]);
    assert_error(&answer["error"], code)
}

/// Asserts that an error object has this code and its fields, and returns its message.
#[track_caller]
fn assert_error<'a>(error: &'a Value, code: &str) -> &'a str {
    assert_eq!(error["code"], code, "{error}");
    // A send may be repeated once its room is joined; see `early`.
    let retryable = matches!(code, "RATE_LIMITED" | "UNAVAILABLE")
        || error["message"] == "join the room first, then send again";
    assert_eq!(error["retryable"], retryable, "{error}");
    match code {
        "RATE_LIMITED" => assert_keys(error, &["code", "message", "retryable", "retryAfterMs"]),
        _ => assert_keys(error, &["code", "message", "retryable"]),
    }
    let message = error["message"].as_str().expect("a text");
    assert!(!message.is_empty());
    message
}

/// Asserts that a value is a message, stored a moment ago.
#[track_caller]
fn assert_message(message: &Value) {
    assert_keys(message, &MESSAGE);
    let id = message["id"].as_str().unwrap();
    let parsed: Uuid = id.parse().unwrap();
    assert_eq!(
        (parsed.get_version_num(), parsed.to_string().as_str()),
        (7, id)
    );
    let timestamp = message["timestamp"].as_str().unwrap();
    let time: DateTime<Utc> = timestamp.parse().unwrap();
    assert_eq!(time.to_rfc3339_opts(SecondsFormat::Millis, true), timestamp);
    assert!(
        (Utc::now() - time).abs() < TimeDelta::minutes(5),
        "{timestamp}"
    );
}

/// Stores messages in a room's log before the first join.
async fn seed(server: &Server, room: &str, count: usize) {
    let draft = |number| {
        let body = Body::parse(&format!("message {number}"), 100).unwrap();
        Draft::new(
            room.try_into().unwrap(),
            "seeder".try_into().unwrap(),
            None,
            body,
            None,
        )
    };
    let drafts: Vec<_> = (1..=count).map(draft).collect();
    server.database.store().await.append(&drafts).await.unwrap();
}

fn seqs(answer: &Value) -> Vec<i64> {
    let messages = answer["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|message| message["seq"].as_i64().unwrap())
        .collect()
}

/// Returns all events of a name that the server has sent to the client up to now.
async fn received(client: &Client, name: &str) -> Vec<Value> {
    client.call("barrier", json!({})).await;
    let events = client.received().await.into_iter();
    events
        .filter_map(|(event, payload)| (event == name).then_some(payload))
        .collect()
}

/// Connects a client without a user.
async fn guest(server: &Server) -> RawClient {
    RawClient::attempt(server.address(), "").await.unwrap()
}

/// Connects a raw client as `user`, and joins a room.
async fn raw_member(server: &Server, user: &str, room: &str) -> RawClient {
    let mut client = server.raw(user).await;
    let joined = client.call("joinRoom", json!({ "roomId": room })).await;
    assert_eq!(joined["status"], "ok", "{joined}");
    client
}

/// Emits events, each given as its packet's JSON, in one go, and returns their answers: exactly one
/// for each.
async fn answers(client: &mut RawClient, events: &[String]) -> Vec<Value> {
    let mut numbers = HashMap::new();
    for (number, event) in events.iter().enumerate() {
        numbers.insert(client.emit_json(event).await, number);
    }
    client.flush().await;
    let mut answers = vec![Value::Null; events.len()];
    while !numbers.is_empty() {
        match client.packet().await {
            Packet::Ack(id, answer) => {
                let number = numbers
                    .remove(&id)
                    .unwrap_or_else(|| panic!("one ack too many: {answer}"));
                answers[number] = answer;
            }
            Packet::Event(..) => {}
            Packet::Other(frame) => panic!("waiting for answers: {frame:?}"),
        }
    }
    let barrier = client.emit("barrier", &json!({})).await;
    client.flush().await;
    let (before, _) = client.until_ack(barrier).await;
    assert!(
        !before
            .iter()
            .any(|packet| matches!(packet, Packet::Ack(..))),
        "one ack too many: {before:?}"
    );
    answers
}
