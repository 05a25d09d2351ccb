//! Clients that do not read: a backlog grows until they lose their connections.

use std::time::Instant;

use serde_json::json;

use super::siege::{BOUND_MIB, CROWD_BOUND_MIB, Siege, files, members, peak};
use crate::support::{DEADLINE, FLOODED, RawClient, engine::Polling, eventually, raw::Packet};

/// The most messages in an answer.
const PAGE: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_never_polls() {
    let flags = [
        "--ping-interval-ms=3000",
        "--ping-timeout-ms=3000",
        "--presence-grace-ms=0",
        FLOODED,
    ];
    let mut siege = Siege::begin(&flags).await;
    let session = Polling::open(&siege.endpoint(4)).await;
    session.post(r#"40{"userId":"eve"}"#).await;
    assert!(session.poll().await.1.starts_with("40"));
    session.post(r#"42["joinRoom",{"roomId":"r"}]"#).await;
    let body = "x".repeat(8_000);
    let mut gone = false;
    let deadline = Instant::now() + DEADLINE;
    while !gone {
        assert!(Instant::now() < deadline, "the session goes on");
        siege.said += 1;
        let sent = siege
            .ann
            .emit("sendMessage", &json!({ "roomId": "r", "message": body }))
            .await;
        siege.ann.flush().await;
        let (before, answer) = siege.ann.until_ack(sent).await;
        assert_eq!(answer["message"]["seq"], siege.said, "{answer}");
        siege.bob.next("newMessage").await;
        gone = before.iter().any(|packet| {
            matches!(packet, Packet::Event(name, presence) if name == "presence" && presence["left"] == json!(["eve"]))
        });
    }
    assert_eq!(session.poll().await.0, 400);
    siege.end().await;
}

/// A packet is encoded once for a room, so the crowd's backlog is the same bytes for all; each
/// member only has a place in its queue for it. With bytes of their own the members would take more
/// than a gigabyte.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_loud_room_that_never_read() {
    const ROUNDS: usize = 30;
    const ROUND: usize = 100;
    let mut siege = Siege::begin(&["--presence-grace-ms=0", FLOODED]).await;
    let mut talker = siege.member("talker", "loud").await;
    let files = files(&siege.process);
    let crowd = siege.silent_crowd("loud").await;
    let message = json!({ "roomId": "loud", "message": "x".repeat(8_000) });
    for round in 1..=ROUNDS {
        for _ in 0..ROUND {
            talker.emit("sendMessage", &message).await;
        }
        talker.flush().await;
        while talker.next("newMessage").await["seq"] != round * ROUND {}
        siege.chat().await;
        siege.assert_memory(CROWD_BOUND_MIB);
    }
    siege.wait_for_files(files).await;
    eventually("their leave", async || {
        members(&mut talker, "loud").await == 1
    })
    .await;
    let grown = peak(&siege.process).saturating_sub(siege.memory_before);
    assert!(
        grown < CROWD_BOUND_MIB,
        "the memory grew by {grown} MiB when they were given up"
    );
    drop(crowd);
    siege.end_within(CROWD_BOUND_MIB).await;
}

/// Their systems still take the server's packets; only pings go unanswered.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn peers_that_vanish_without_a_word() {
    let flags = [
        "--ping-interval-ms=2000",
        "--ping-timeout-ms=2000",
        "--tcp-user-timeout-ms=0",
        "--presence-grace-ms=0",
    ];
    let mut siege = Siege::begin(&flags).await;
    let files = files(&siege.process);
    let crowd = siege.silent_crowd("r").await;
    siege.wait_for_files(files).await;
    eventually("their leave", async || {
        members(&mut siege.ann, "r").await == 2
    })
    .await;
    drop(crowd);
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_events_with_unread_answers() {
    let mut siege = Siege::begin(&["--tcp-user-timeout-ms=0", "--events-per-second=0"]).await;
    let mut eve = RawClient::connect(siege.process.address, "eve").await;
    let mut sent = 0;
    while eve.try_emit("x", &json!({})).await.is_ok() {
        sent += 1;
        assert!(sent < 1_000_000, "the connection goes on");
        if sent % 10_000 == 0 {
            siege.chat().await;
            siege.assert_memory(BOUND_MIB);
        }
    }
    siege.end().await;
}

/// Fills a room with the longest messages that fit into one answer.
async fn fill(siege: &Siege, room: &str) {
    let mut talker = siege.member("talker", room).await;
    for _ in 0..PAGE {
        let sent = talker
            .call(
                "sendMessage",
                json!({ "roomId": room, "message": "x".repeat(8_000) }),
            )
            .await;
        assert_eq!(sent["status"], "ok");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_to_a_client_that_never_reads() {
    const ASKED: usize = 1_000;
    let mut siege = Siege::begin(&["--tcp-user-timeout-ms=0"]).await;
    fill(&siege, "long").await;
    let mut eve = siege.member("eve", "long").await;
    assert_eq!(
        eve.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
    for number in 0..ASKED {
        let event = if number % 2 == 0 {
            "getHistory"
        } else {
            "joinRoom"
        };
        eve.emit(event, &json!({ "roomId": "long", "limit": PAGE }))
            .await;
    }
    eve.tell("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    assert_eq!(siege.bob.next("typing").await["userId"], "eve");
    for _ in 0..20 {
        siege.chat().await;
        siege.assert_memory(BOUND_MIB);
    }
    let mut answers = vec![];
    while answers.len() < ASKED {
        if let Packet::Ack(_, answer) = eve.packet().await {
            answers.push(answer);
        }
    }
    let (full, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer["status"] == "ok");
    let messages = |answer: &serde_json::Value| answer["messages"].as_array().unwrap().len();
    assert!(
        full.iter()
            .all(|answer| messages(answer) > PAGE / 2 && answer["hasMore"] == true)
    );
    assert!(refused.len() > ASKED / 4, "{}", full.len());
    assert!(
        refused
            .iter()
            .all(|answer| answer["error"]["retryable"] == true)
    );
    assert!(
        refused
            .iter()
            .any(|answer| answer["error"]["code"] == "RATE_LIMITED")
    );
    assert_eq!(
        eve.call("getHistory", json!({ "roomId": "long" })).await["status"],
        "ok"
    );
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_to_a_client_that_never_polls() {
    const ASKED: usize = 1_000;
    let mut siege = Siege::begin(&[]).await;
    fill(&siege, "long").await;
    let session = Polling::open(&siege.endpoint(4)).await;
    session.post(r#"40{"userId":"eve"}"#).await;
    assert!(session.poll().await.1.starts_with("40"));
    session
        .post(r#"420["joinRoom",{"roomId":"long","limit":1}]"#)
        .await;
    let asks: Vec<_> = (1..=ASKED)
        .map(|id| format!(r#"42{id}["getHistory",{{"roomId":"long","limit":{PAGE}}}]"#))
        .collect();
    assert_eq!(session.post(asks.join("\u{1e}")).await.0, 200);
    for _ in 0..20 {
        siege.chat().await;
        siege.assert_memory(BOUND_MIB);
    }
    let (mut full, mut refused, mut limited, deadline) = (0, 0, 0, Instant::now() + DEADLINE);
    while full + refused < ASKED {
        assert!(
            Instant::now() < deadline,
            "{full} answers, {refused} refusals"
        );
        let (status, payload) = session.poll().await;
        assert_eq!(status, 200);
        let answers = || {
            payload
                .split('\u{1e}')
                .filter(|packet| packet.starts_with("43") && !packet.starts_with("430["))
        };
        full += answers()
            .filter(|answer| answer.contains(r#""status":"ok""#))
            .count();
        refused += answers()
            .filter(|answer| answer.contains(r#""retryable":true"#))
            .count();
        limited += answers()
            .filter(|answer| answer.contains("RATE_LIMITED"))
            .count();
        if payload.split('\u{1e}').any(|packet| packet == "2") {
            session.post("3").await;
        }
    }
    assert!(
        refused > ASKED / 4 && limited > 0,
        "{full} answers, {refused} refusals, {limited} as too much waits"
    );
    assert_eq!(
        session
            .post(r#"429999["getHistory",{"roomId":"long","limit":1}]"#)
            .await
            .0,
        200
    );
    assert!(session.poll().await.1.contains(r#"439999[{"status":"ok""#));
    siege.end().await;
}
