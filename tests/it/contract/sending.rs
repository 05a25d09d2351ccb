//! `sendMessage` and `newMessage`.

use serde_json::{Value, json};

use super::{assert_message, received, seqs};
use crate::support::{Client, Server};

async fn send_as(client: &Client, room: &str, text: &str, name: &str) -> Value {
    client
        .ok(
            "sendMessage",
            json!({ "roomId": room, "message": text, "clientMessageId": name }),
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_is_acked_with_the_message_that_everybody_gets() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        ann.join("r").await;
        bob.join("r").await;
        let sent = send_as(&ann, "r", "hello", "name").await;
        let message = &sent["message"];
        assert_message(message);
        let said = json!({
            "id": message["id"], "roomId": "r", "seq": 1, "userId": "ann", "operatorId": null, "message": "hello",
            "timestamp": message["timestamp"], "clientMessageId": "name",
        });
        assert_eq!((message, &sent["duplicate"]), (&said, &json!(false)));
        assert_eq!(ann.next("newMessage").await, said);
        assert_eq!(bob.next("newMessage").await, said);
        assert_eq!(bob.join("r").await["messages"], json!([said]));
        assert_eq!(
            bob.ok("getHistory", json!({ "roomId": "r" })).await["messages"],
            json!([said])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_without_a_name_has_none() {
    let server = Server::start().await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    for named in [json!({}), json!({ "clientMessageId": null })] {
        let mut send = json!({ "roomId": "r", "message": "hello" });
        send.as_object_mut()
            .unwrap()
            .extend(named.as_object().unwrap().clone());
        let sent = ann.ok("sendMessage", send).await;
        assert_message(&sent["message"]);
        assert_eq!(
            (&sent["message"]["clientMessageId"], &sent["duplicate"]),
            (&Value::Null, &json!(false))
        );
    }
    assert_eq!(seqs(&ann.join("r").await), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tabs_in_the_room_get_a_message_and_nobody_else() {
    let server = Server::start().await;
    let members = [
        server.client("ann").await,
        server.client("ann").await,
        server.client("bob").await,
    ];
    for member in &members {
        member.join("r").await;
    }
    let (elsewhere, nowhere) = (server.client("ann").await, server.client("cid").await);
    elsewhere.join("s").await;
    let sent = [
        members[0].send("r", "one").await,
        members[0].send("r", "two").await,
    ];
    for member in &members {
        assert_eq!(member.next("newMessage").await, sent[0]);
        assert_eq!(member.next("newMessage").await, sent[1]);
    }
    assert_eq!(received(&elsewhere, "newMessage").await, [Value::Null; 0]);
    assert_eq!(received(&nowhere, "newMessage").await, [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_left_gets_nothing_more() {
    let server = Server::start().await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    for client in [&ann, &bob] {
        client.join("r").await;
        client.join("s").await;
    }
    bob.ok("leaveRoom", json!({ "roomId": "r" })).await;
    ann.send("r", "one").await;
    ann.send("r", "two").await;
    ann.next("newMessage").await;
    ann.next("newMessage").await;
    let other = ann.send("s", "three").await;
    assert_eq!(bob.next("newMessage").await, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_room_is_numbered_from_one() {
    let server = Server::start().await;
    let ann = server.client("ann").await;
    for room in ["x", "X", "ẍ"] {
        ann.join(room).await;
        assert_eq!(ann.send(room, "one").await["seq"], 1);
        assert_eq!(ann.send(room, "two").await["seq"], 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_comes_back_as_it_was() {
    let texts = [
        "  spaces \n",
        "ünïcödé 🦀 \u{202e}rtl",
        "<b>&amp;</b>",
        "'; DROP TABLE messages; --",
        "\\ \" \u{1}\u{7f}",
        "0",
        "null",
    ];
    for server in Server::on_each_kind().await {
        let ann = server.client("ann").await;
        ann.join("r").await;
        for text in texts {
            assert_eq!(ann.send("r", text).await["message"], text);
            assert_eq!(ann.next("newMessage").await["message"], text);
        }
        let history = ann.ok("getHistory", json!({ "roomId": "r" })).await;
        let read: Vec<_> = history["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| &message["message"])
            .collect();
        assert_eq!(read, texts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_send_gives_the_first_message_and_is_not_broadcast_again() {
    for server in Server::on_each_kind().await {
        let (ann, tab, bob) = (
            server.client("ann").await,
            server.client("ann").await,
            server.client("bob").await,
        );
        for client in [&ann, &tab, &bob] {
            client.join("r").await;
        }
        let first = send_as(&ann, "r", "first", "name").await;
        let repeats = [
            send_as(&ann, "r", "first", "name").await,
            send_as(&tab, "r", "other text", "name").await,
        ];
        for repeat in &repeats {
            assert_eq!(
                (&repeat["message"], &repeat["duplicate"]),
                (&first["message"], &json!(true))
            );
        }
        let next = ann.send("r", "next").await;
        assert_eq!(next["seq"], 2);
        for client in [&ann, &tab, &bob] {
            assert_eq!(client.next("newMessage").await, first["message"]);
            assert_eq!(client.next("newMessage").await, next);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_known_after_the_sender_was_away() {
    for server in Server::on_each_kind().await {
        let ann = server.client("ann").await;
        ann.join("r").await;
        let first = send_as(&ann, "r", "first", "name").await;
        ann.disconnect().await;
        let back = server.client("ann").await;
        back.join("r").await;
        let repeat = send_as(&back, "r", "first", "name").await;
        assert_eq!(
            (&repeat["message"], &repeat["duplicate"]),
            (&first["message"], &json!(true))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_of_another_user_or_in_another_room_is_another_message() {
    let server = Server::start().await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    for client in [&ann, &bob] {
        client.join("r").await;
        client.join("s").await;
    }
    for (client, room, seq) in [
        (&ann, "r", 1),
        (&bob, "r", 2),
        (&ann, "s", 1),
        (&bob, "s", 2),
    ] {
        let sent = send_as(client, room, "hello", "name").await;
        assert_eq!(
            (&sent["message"]["seq"], &sent["duplicate"]),
            (&json!(seq), &json!(false))
        );
    }
}
