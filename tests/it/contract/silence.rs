//! Events without an ack.

use serde_json::{Value, json};

use super::{assert_error, assert_keys, guest, raw_member};
use crate::support::{RawClient, Server, raw::Packet};

async fn error_event(client: &mut RawClient, event: &str, code: &str) -> String {
    let failure = client.next("error").await;
    assert_keys(&failure, &["event", "error"]);
    assert_eq!(failure["event"], event);
    assert_error(&failure["error"], code).to_owned()
}

/// Returns everything before the answer to a further call, except presence.
async fn events(client: &mut RawClient) -> Vec<(String, Value)> {
    let barrier = client
        .emit("getHistory", &json!({ "roomId": "stays" }))
        .await;
    client.flush().await;
    let (before, answer) = client.until_ack(barrier).await;
    assert_eq!(answer["status"], "ok");
    let events = before.into_iter().filter_map(|packet| match packet {
        Packet::Event(name, payload) => (name != "presence").then_some((name, payload)),
        other => panic!("{other:?}"),
    });
    events.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_without_an_ack_is_the_event_error() {
    let server = Server::start().await;
    let mut ann = raw_member(&server, "ann", "r").await;
    let too_large = "x".repeat(8193);
    let failures = [
        ("joinRoom", json!({}), "INVALID_PAYLOAD"),
        (
            "joinRoom",
            json!({ "roomId": "r", "userId": "bob" }),
            "FORBIDDEN",
        ),
        ("leaveRoom", json!({ "roomId": "s" }), "NOT_IN_ROOM"),
        ("leaveRoom", json!(5), "INVALID_PAYLOAD"),
        (
            "sendMessage",
            json!({ "roomId": "s", "message": "hello" }),
            "NOT_IN_ROOM",
        ),
        (
            "sendMessage",
            json!({ "roomId": "r", "message": too_large }),
            "MESSAGE_TOO_LARGE",
        ),
        (
            "sendMessage",
            json!({ "roomId": "r", "message": " " }),
            "INVALID_PAYLOAD",
        ),
        ("getHistory", json!({ "roomId": "s" }), "NOT_IN_ROOM"),
        (
            "getHistory",
            json!({ "roomId": "r", "limit": -1 }),
            "INVALID_PAYLOAD",
        ),
        (
            "typing",
            json!({ "roomId": "s", "isTyping": true }),
            "NOT_IN_ROOM",
        ),
        ("typing", json!({ "roomId": "r" }), "INVALID_PAYLOAD"),
        ("nope", json!({}), "UNKNOWN_EVENT"),
    ];
    for (event, payload, code) in failures {
        ann.tell(event, payload).await;
        error_event(&mut ann, event, code).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_join_without_an_ack_and_without_a_user_is_the_event_error() {
    let server = Server::start().await;
    let mut nobody = guest(&server).await;
    nobody.tell("joinRoom", json!({ "roomId": "r" })).await;
    let message = error_event(&mut nobody, "joinRoom", "INVALID_PAYLOAD").await;
    assert!(message.contains("userId"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_without_an_ack_goes_unsaid() {
    let server = Server::start().await;
    let mut ann = raw_member(&server, "ann", "stays").await;
    ann.call("joinRoom", json!({ "roomId": "r" })).await;
    ann.tell("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    ann.tell("getHistory", json!({ "roomId": "r" })).await;
    ann.tell("leaveRoom", json!({ "roomId": "r" })).await;
    assert_eq!(events(&mut ann).await, []);
    let left = ann.call("leaveRoom", json!({ "roomId": "r" })).await;
    assert_eq!(left["error"]["code"], "NOT_IN_ROOM");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_without_an_ack_is_answered_by_new_message_alone() {
    let server = Server::start().await;
    let mut ann = raw_member(&server, "ann", "stays").await;
    ann.tell(
        "sendMessage",
        json!({ "roomId": "stays", "message": "one" }),
    )
    .await;
    let told = ann.next("newMessage").await;
    assert_eq!((&told["seq"], &told["message"]), (&json!(1), &json!("one")));
    assert_eq!(events(&mut ann).await, []);
}
