//! A whole conversation, by every transport, on every kind of database.

use rust_socketio::TransportType;
use serde_json::{Value, json};

use super::{JOINED, assert_keys, assert_ok, assert_refused, received, seqs};
use crate::support::{Client, Server};

async fn converse(server: &Server, transport: TransportType, room: &str) {
    let ann = Client::by(transport, &server.url(), json!({ "userId": "ann" })).await;
    let bob = server.client("bob").await;
    assert_eq!(seqs(&ann.join(room).await), [0; 0]);
    assert_eq!(bob.join(room).await["members"].as_array().unwrap().len(), 2);

    let hello = ann.send(room, "hello").await;
    let answer = bob.send(room, "good day").await;
    for client in [&ann, &bob] {
        assert_eq!(client.next("newMessage").await, hello);
        assert_eq!(client.next("newMessage").await, answer);
    }
    let again = ann.join(room).await;
    assert_eq!(again["messages"], json!([hello, answer]));
    let page = ann
        .ok("getHistory", json!({ "roomId": room, "afterSeq": 1 }))
        .await;
    assert_eq!(
        (&page["messages"], &page["hasMore"]),
        (&json!([answer]), &json!(false))
    );

    ann.ok("leaveRoom", json!({ "roomId": room })).await;
    bob.send(room, "alone").await;
    bob.next("newMessage").await;
    assert_eq!(received(&ann, "newMessage").await, [Value::Null; 0]);
    assert_refused(
        &ann.call("sendMessage", json!({ "roomId": room, "message": "?" }))
            .await,
        "NOT_IN_ROOM",
    );
    ann.disconnect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_converse_by_websocket() {
    for server in Server::on_each_kind().await {
        converse(&server, TransportType::Websocket, "r").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_converse_by_polling() {
    for server in Server::on_each_kind().await {
        converse(&server, TransportType::Polling, "r").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_converse_when_polling_is_upgraded() {
    for server in Server::on_each_kind().await {
        converse(&server, TransportType::WebsocketUpgrade, "r").await;
        converse(&server, TransportType::Any, "s").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_payloads_are_answered_by_every_transport() {
    let server = Server::start().await;
    for transport in [
        TransportType::Websocket,
        TransportType::Polling,
        TransportType::WebsocketUpgrade,
    ] {
        let ann = Client::by(transport, &server.url(), json!({ "userId": "ann" })).await;
        for payload in [
            json!(null),
            json!(5),
            json!("text"),
            json!({}),
            json!({ "roomId": 5 }),
        ] {
            for event in [
                "joinRoom",
                "leaveRoom",
                "sendMessage",
                "getHistory",
                "typing",
            ] {
                assert_refused(&ann.call(event, payload.clone()).await, "INVALID_PAYLOAD");
            }
        }
        assert_ok(&ann.join("r").await, &JOINED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_its_fields() {
    for server in Server::on_each_kind().await {
        let ann = server.client("ann").await;
        assert_ok(&ann.join("r").await, &JOINED);
        let send = json!({ "roomId": "r", "message": "hello" });
        assert_ok(
            &ann.call("sendMessage", send).await,
            &["message", "duplicate"],
        );
        assert_ok(
            &ann.call("getHistory", json!({ "roomId": "r" })).await,
            &["messages", "hasMore"],
        );
        assert_ok(
            &ann.call("typing", json!({ "roomId": "r", "isTyping": true }))
                .await,
            &[],
        );
        let left = ann.call("leaveRoom", json!({ "roomId": "r" })).await;
        assert_eq!(left, json!({ "status": "ok", "roomId": "r" }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_has_its_fields() {
    let server = Server::start().await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    let presence = ann.next("presence").await;
    assert_eq!(
        presence,
        json!({ "roomId": "r", "joined": ["ann"], "left": [], "memberCount": 1 })
    );
    let bob = server.client("bob").await;
    bob.emit("joinRoom", json!({ "roomId": "r" })).await;
    assert_keys(&bob.next("history").await, &JOINED);
    bob.ok("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    assert_eq!(
        ann.next("typing").await,
        json!({ "roomId": "r", "userId": "bob", "isTyping": true })
    );
    let sent = bob.send("r", "hello").await;
    assert_eq!(ann.next("newMessage").await, sent);
}
