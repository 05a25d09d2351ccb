//! The expiry of tokens, and their renewal.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{SECRET, bearer_of, code, in_seconds, join, refresh, say, server, token};
use crate::support::{RawClient, eventually, node, raw::Packet};

/// A short validity of a token, in seconds; enough to connect and join on a slow machine.
const SHORT: f64 = 3.0;

/// Waits until the server tells the client of the expiry and disconnects it.
async fn until_expired(client: &mut RawClient) {
    let failure = client.next("error").await;
    assert_eq!(
        (&failure["event"], &failure["error"]["code"]),
        (&json!("connect"), &json!("TOKEN_EXPIRED"))
    );
    assert_eq!(failure["error"]["retryable"], false);
    assert_eq!(client.packet().await, Packet::Other("41".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_client_is_told_and_disconnected() {
    let server = server().await;
    let mut bob = bearer_of(&server, json!({ "sub": "bob" })).await;
    join(&mut bob, "r").await;
    let mut ann = bearer_of(&server, json!({ "exp": in_seconds(SHORT) })).await;
    join(&mut ann, "r").await;
    until_expired(&mut ann).await;
    while bob.next("presence").await["left"] != json!(["ann"]) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_token_extends_the_time() {
    let server = server().await;
    let mut ann = bearer_of(&server, json!({ "exp": in_seconds(SHORT) })).await;
    join(&mut ann, "r").await;
    let until = in_seconds(60.0).trunc();
    let answer = refresh(&mut ann, &token(json!({ "exp": until }))).await;
    let time: DateTime<Utc> = answer["expiresAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        (&answer["status"], time.timestamp()),
        (&json!("ok"), until as i64)
    );
    let mut other = bearer_of(&server, json!({ "exp": in_seconds(SHORT) })).await;
    until_expired(&mut other).await;
    assert_eq!(say(&mut ann, "r").await["status"], "ok");
    refresh(&mut ann, &token(json!({ "exp": in_seconds(SHORT) }))).await;
    until_expired(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_newer_token_changes_nothing() {
    let server = server().await;
    let mut ann = bearer_of(&server, json!({ "exp": in_seconds(SHORT) })).await;
    join(&mut ann, "r").await;
    for (bad, expected) in [
        (
            json!({ "token": token(json!({ "sub": "bob", "role": "operator" })) }),
            "FORBIDDEN",
        ),
        (
            json!({ "token": token(json!({ "exp": in_seconds(-1.0) })) }),
            "TOKEN_EXPIRED",
        ),
        (json!({ "token": "x" }), "UNAUTHORIZED"),
        (json!({ "token": null }), "INVALID_PAYLOAD"),
        (json!({}), "INVALID_PAYLOAD"),
    ] {
        assert_eq!(
            code(&ann.call("refreshAuth", bad.clone()).await),
            expected,
            "{bad}"
        );
        let message = say(&mut ann, "r").await["message"].take();
        assert_eq!(
            (&message["userId"], &message["operatorId"]),
            (&json!("ann"), &Value::Null)
        );
    }
    until_expired(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_token_decides_on_rooms_and_role() {
    let server = server().await;
    let mut bob = bearer_of(&server, json!({ "sub": "bob" })).await;
    join(&mut bob, "old").await;
    let mut ann = bearer_of(&server, json!({ "rooms": ["old", "both"] })).await;
    join(&mut ann, "old").await;
    join(&mut ann, "both").await;
    refresh(
        &mut ann,
        &token(json!({ "rooms": ["both", "new"], "role": "operator" })),
    )
    .await;
    assert_eq!(code(&say(&mut ann, "old").await), "NOT_IN_ROOM");
    assert_eq!(code(&join(&mut ann, "old").await), "FORBIDDEN");
    while bob.next("presence").await["left"] != json!(["ann"]) {}
    bob.tell(
        "sendMessage",
        json!({ "roomId": "old", "message": "hello" }),
    )
    .await;
    bob.next("newMessage").await;
    let sending = ann
        .emit(
            "sendMessage",
            &json!({ "roomId": "both", "message": "hello" }),
        )
        .await;
    ann.flush().await;
    let (before, answer) = ann.until_ack(sending).await;
    assert_eq!(answer["message"]["operatorId"], "ann");
    let old =
        |packet: &Packet| matches!(packet, Packet::Event(_, payload) if payload["roomId"] == "old");
    assert!(!before.iter().any(old), "{before:?}");
    assert_eq!(join(&mut ann, "new").await["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_beyond_the_calendar_never_comes() {
    let server = server().await;
    for exp in [
        json!(1e18),
        json!(i64::MAX),
        json!(253_402_300_800_i64),
        json!(in_seconds(1e8)),
    ] {
        let mut ann = bearer_of(&server, json!({ "exp": exp })).await;
        assert_eq!(join(&mut ann, "r").await["status"], "ok", "{exp}");
        let answer = refresh(&mut ann, &token(json!({ "exp": exp }))).await;
        assert!(answer["expiresAt"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn a_socket_leaves_no_timer_behind() {
    let server = server().await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    drop(bearer_of(&server, json!({})).await);
    let mut before = 0;
    eventually("the tasks to settle", async || {
        std::mem::replace(&mut before, tasks()) == tasks()
    })
    .await;
    let mut clients = vec![];
    for _ in 0..50 {
        let mut client = bearer_of(&server, json!({})).await;
        refresh(&mut client, &token(json!({ "exp": in_seconds(1e6) }))).await;
        clients.push(client);
    }
    assert!(tasks() >= before + 50);
    drop(clients);
    eventually("the tasks to end", async || tasks() <= before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_renews_its_token_and_comes_back_with_a_new_one() {
    let server = server().await;
    for transport in ["polling", "websocket", "upgrade"] {
        node::run("credentials.mjs", &[&server.url(), transport, SECRET]).await;
    }
}
