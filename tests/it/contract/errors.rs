//! Every refusal except those of bad payloads.

use parlor::testing::realtime::{MAX_ECHOED_CHARS, MAX_WAITING};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use super::{assert_error, assert_ok, assert_refused, guest};
use crate::support::{Client, Database, Server, raw::Packet};

fn calls(room: &str) -> [(&'static str, Value); 5] {
    [
        ("leaveRoom", json!({ "roomId": room })),
        ("sendMessage", json!({ "roomId": room, "message": "hello" })),
        ("getHistory", json!({ "roomId": room })),
        ("typing", json!({ "roomId": room, "isTyping": true })),
        (
            "signal",
            json!({ "roomId": room, "type": "move", "data": {} }),
        ),
    ]
}

async fn assert_not_in_room(client: &Client, room: &str) {
    for (event, payload) in calls(room) {
        let answer = client.call(event, payload).await;
        assert_refused(&answer, "NOT_IN_ROOM");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_in_a_room_that_was_not_joined() {
    let server = Server::start().await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    bob.join("r").await;
    assert_not_in_room(&ann, "r").await;
    ann.join("s").await;
    assert_not_in_room(&ann, "r").await;
    ann.join("r").await;
    ann.ok("leaveRoom", json!({ "roomId": "r" })).await;
    assert_not_in_room(&ann, "r").await;
    assert_eq!(
        bob.ok("getHistory", json!({ "roomId": "r" })).await["messages"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_user_is_in_no_room() {
    let server = Server::start().await;
    let mut nobody = guest(&server).await;
    for (event, payload) in calls("r") {
        assert_refused(&nobody.call(event, payload).await, "NOT_IN_ROOM");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_join_is_no_join() {
    let server = Server::start().await;
    let ann = server.client("ann").await;
    assert_eq!(
        ann.refused("joinRoom", json!({ "roomId": "r", "userId": "bob" }))
            .await,
        "FORBIDDEN"
    );
    assert_not_in_room(&ann, "r").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_does_not_exist_is_answered() {
    let server = Server::start().await;
    let mut ann = server.raw("ann").await;
    let names = [
        "nope",
        "JOINROOM",
        "joinRoom ",
        "newMessage",
        "presence",
        "error",
        "connect",
        "disconnect",
        "🦀",
        "",
    ];
    for name in names {
        let answer = ann.call(name, json!({ "roomId": "r" })).await;
        let message = assert_refused(&answer, "UNKNOWN_EVENT");
        assert!(message.contains(&format!("{name:?}")), "{message}");
        ann.tell(name, json!(5)).await;
        let failure = ann.next("error").await;
        assert_eq!(failure["event"], name);
        assert_error(&failure["error"], "UNKNOWN_EVENT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_name_of_an_unknown_event_is_cut() {
    let server = Server::start().await;
    let mut ann = server.raw("ann").await;
    let (fits, long) = ("🦀".repeat(MAX_ECHOED_CHARS), "🦀".repeat(100_000));
    ann.tell(&fits, json!({})).await;
    assert_eq!(ann.next("error").await["event"], fits);
    ann.tell(&long, json!({})).await;
    let failure = ann.next("error").await;
    assert_eq!(failure["event"], format!("{fits}…"));
    let answer = ann.call(&long, json!({})).await;
    let message = assert_refused(&answer, "UNKNOWN_EVENT");
    assert_eq!(message.matches('🦀').count(), MAX_ECHOED_CHARS);
}

/// While a join waits for the database, the events after it wait, too.
#[tokio::test(flavor = "multi_thread")]
async fn events_beyond_the_rate_are_refused_with_a_time_to_retry() {
    let server = Server::on(Database::postgres().await, &[]).await;
    let mut lock = PgConnection::connect(server.database.url()).await.unwrap();
    lock.execute("BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut ann = server.raw("ann").await;
    let join = ann.emit("joinRoom", &json!({ "roomId": "r" })).await;
    let last_waiting = join + MAX_WAITING as u64 - 1;
    let too_many = [last_waiting + 1, last_waiting + 2];
    for _ in join..too_many[1] {
        ann.emit("leaveRoom", &json!({ "roomId": "s" })).await;
    }
    ann.flush().await;

    for _ in too_many {
        let Packet::Ack(id, answer) = ann.packet().await else {
            panic!("no ack")
        };
        assert!(too_many.contains(&id), "{id}: {answer}");
        assert_refused(&answer, "RATE_LIMITED");
        assert!(
            answer["error"]["retryAfterMs"].as_u64().unwrap() > 0,
            "{answer}"
        );
    }
    lock.close().await.unwrap();
    let (before, answer) = ann.until_ack(last_waiting).await;
    assert_refused(&answer, "NOT_IN_ROOM");
    assert!(
        before
            .iter()
            .any(|packet| matches!(packet, Packet::Ack(id, _) if *id == join))
    );
    assert_ok(
        &ann.call("joinRoom", json!({ "roomId": "r" })).await,
        &super::JOINED,
    );
}

/// The library alone would close the connection.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_name_needs_escapes_is_an_unknown_one() {
    let server = Server::start().await;
    let mut ann = server.raw("ann").await;
    for name in ["\"", "a\nb", "\\", "\u{1}", "\",[\"\\"] {
        assert_refused(&ann.call(name, json!({})).await, "UNKNOWN_EVENT");
    }
    assert_ok(
        &ann.call("joinRoom", json!({ "roomId": "r" })).await,
        &super::JOINED,
    );
}
