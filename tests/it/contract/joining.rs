//! `joinRoom`: its answer, and the events after it.

use serde_json::{Value, json};

use super::{JOINED, assert_keys, assert_ok, received, seed, seqs};
use crate::support::{Client, Database, Server};

/// The most messages in an answer.
const MOST: i64 = 200;
const SEEDED: i64 = 205;

/// Requests without their room; the first `seq` of the expected answer, whose last is the newest;
/// and whether there are older messages.
const ASKED: [(&str, i64, bool); 20] = [
    ("{}", 156, true),
    (r#"{"limit":null,"lastSeq":null}"#, 156, true),
    (r#"{"limit":0}"#, SEEDED + 1, true),
    (r#"{"limit":1}"#, SEEDED, true),
    (r#"{"limit":200}"#, 6, true),
    (r#"{"limit":201}"#, 6, true),
    (r#"{"limit":9007199254740991}"#, 6, true),
    (r#"{"limit":18446744073709551615}"#, 6, true),
    (r#"{"lastSeq":0}"#, 156, true),
    (r#"{"lastSeq":0,"limit":200}"#, 6, true),
    (r#"{"lastSeq":4,"limit":200}"#, 6, true),
    (r#"{"lastSeq":5,"limit":200}"#, 6, false),
    (r#"{"lastSeq":154}"#, 156, true),
    (r#"{"lastSeq":155}"#, 156, false),
    (r#"{"lastSeq":204}"#, SEEDED, false),
    (r#"{"lastSeq":204,"limit":0}"#, SEEDED + 1, true),
    (r#"{"lastSeq":205}"#, SEEDED + 1, false),
    (r#"{"lastSeq":205,"limit":0}"#, SEEDED + 1, false),
    (r#"{"lastSeq":206}"#, SEEDED + 1, false),
    (r#"{"lastSeq":9223372036854775807}"#, SEEDED + 1, false),
];

async fn assert_history(client: &Client) {
    for (asked, from, has_more) in ASKED {
        let mut join: Value = serde_json::from_str(asked).unwrap();
        join["roomId"] = "r".into();
        let joined = client.ok("joinRoom", join).await;
        assert_eq!(
            seqs(&joined),
            (from..=SEEDED).collect::<Vec<_>>(),
            "{asked}"
        );
        assert_eq!(
            (&joined["hasMore"], &joined["lastSeq"]),
            (&json!(has_more), &json!(SEEDED)),
            "{asked}"
        );
        client.ok("leaveRoom", json!({ "roomId": "r" })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_gives_the_requested_newest_messages() {
    assert_eq!(MOST, parlor::testing::chat::MAX_HISTORY as i64);
    for server in Server::on_each_kind().await {
        seed(&server, "r", SEEDED as usize).await;
        let ann = server.client("ann").await;
        assert_history(&ann).await;
        let stays = server.client("stays").await;
        stays.join("r").await;
        assert_history(&ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_of_an_empty_room_has_no_messages() {
    for server in Server::on_each_kind().await {
        let ann = server.client("ann").await;
        let joined = ann.join("r").await;
        assert_ok(&joined, &JOINED);
        let expected = json!({
            "status": "ok", "roomId": "r", "userId": "ann", "messages": [], "lastSeq": 0, "hasMore": false,
            "members": ["ann"], "memberCount": 1, "lastRevision": 0, "readSeq": 0,
        });
        assert_eq!(joined, expected);
        let asked_after = ann
            .ok("joinRoom", json!({ "roomId": "r", "lastSeq": 7 }))
            .await;
        assert_eq!(asked_after, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_limit_can_be_set() {
    let server = Server::on(Database::sqlite(), &["--history-limit=3"]).await;
    seed(&server, "r", 5).await;
    let ann = server.client("ann").await;
    assert_eq!(seqs(&ann.join("r").await), [3, 4, 5]);
    assert_eq!(
        seqs(&ann.ok("getHistory", json!({ "roomId": "r" })).await),
        [3, 4, 5]
    );
    let joined = ann
        .ok("joinRoom", json!({ "roomId": "r", "limit": 4 }))
        .await;
    assert_eq!(
        (seqs(&joined), &joined["hasMore"]),
        (vec![2, 3, 4, 5], &json!(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_lists_the_members() {
    let server = Server::start().await;
    let mut clients = vec![];
    for (count, user) in (1..).zip(["ann", "bob", "cid"]) {
        let client = server.client(user).await;
        let joined = client.join("r").await;
        let mut members: Vec<_> = joined["members"].as_array().unwrap().clone();
        members.sort_by_key(|member| member.as_str().unwrap().to_owned());
        assert_eq!(members, ["ann", "bob", "cid"][..count]);
        assert_eq!(joined["memberCount"], count);
        clients.push(client);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_join_gives_the_missing_messages_unnoticed_by_others() {
    let server = Server::start().await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    ann.join("r").await;
    bob.join("r").await;
    ann.send("r", "one").await;
    let two = ann.send("r", "two").await;
    while ann.next("presence").await["memberCount"] != 2 {}

    let again = bob
        .ok("joinRoom", json!({ "roomId": "r", "lastSeq": 1 }))
        .await;
    assert_eq!(
        (&again["messages"], &again["lastSeq"]),
        (&json!([two]), &json!(2))
    );
    assert_eq!(
        (&again["hasMore"], &again["memberCount"]),
        (&json!(false), &json!(2))
    );

    bob.ok("leaveRoom", json!({ "roomId": "r" })).await;
    let told = ann.next("presence").await;
    assert_eq!(
        told,
        json!({ "roomId": "r", "joined": [], "left": ["bob"], "memberCount": 1 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_joined_twice_gets_each_message_once() {
    let server = Server::start().await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    ann.join("r").await;
    let sent = [ann.send("r", "one").await, ann.send("r", "two").await];
    assert_eq!(ann.next("newMessage").await, sent[0]);
    assert_eq!(ann.next("newMessage").await, sent[1]);
    assert_eq!(received(&ann, "newMessage").await, [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leave_undoes_two_joins() {
    let server = Server::start().await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    bob.join("r").await;
    ann.join("r").await;
    assert_eq!(ann.join("r").await["memberCount"], 2);
    ann.ok("leaveRoom", json!({ "roomId": "r" })).await;
    assert_eq!(
        ann.refused("leaveRoom", json!({ "roomId": "r" })).await,
        "NOT_IN_ROOM"
    );
    assert_eq!(bob.join("r").await["members"], json!(["bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_without_an_ack_is_answered_by_the_event_history() {
    let server = Server::start().await;
    seed(&server, "r", 60).await;
    let ann = server.client("ann").await;
    ann.emit("joinRoom", json!({ "roomId": "r", "limit": 2 }))
        .await;
    let history = ann.next("history").await;
    assert_keys(&history, &JOINED);
    let mut joined = ann
        .ok("joinRoom", json!({ "roomId": "r", "limit": 2 }))
        .await;
    joined.as_object_mut().unwrap().remove("status");
    assert_eq!((&history, seqs(&history)), (&joined, vec![59, 60]));
    let sent = ann.send("r", "after it").await;
    assert_eq!(ann.next("newMessage").await, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_messages_begin_where_the_history_ends() {
    let server = Server::start().await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    for text in ["one", "two", "three"] {
        ann.send("r", text).await;
    }
    let bob = server.client("bob").await;
    assert_eq!(bob.join("r").await["lastSeq"], 3);
    ann.send("r", "four").await;
    ann.send("r", "five").await;
    assert_eq!(bob.next("newMessage").await["seq"], 4);
    assert_eq!(bob.next("newMessage").await["seq"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_be_in_so_many_rooms_at_once() {
    let server = Server::on(Database::sqlite(), &["--max-rooms-per-socket=2"]).await;
    let ann = server.client("ann").await;
    ann.join("a").await;
    ann.join("b").await;
    assert_eq!(
        ann.refused("joinRoom", json!({ "roomId": "c" })).await,
        "FORBIDDEN"
    );
    ann.join("b").await;
    ann.ok("leaveRoom", json!({ "roomId": "a" })).await;
    ann.join("c").await;
    server.client("bob").await.join("a").await;
}
