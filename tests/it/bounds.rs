//! Bounds in bytes, for messages of the greatest length in JSON: six bytes for each byte of text.

use std::{
    fs,
    time::{Duration, Instant},
};

use parlor::testing::room::MAX_ANSWER_BYTES;
use serde_json::{Value, json};

use crate::support::{Database, FLOODED, Process, RawClient, eventually, raw::Packet};

/// The least bytes of such a message in JSON.
const LONG: usize = 6 * 8_192;

/// The most messages in an answer.
const PAGE: usize = 200;

/// More bytes than many clients accept in one WebSocket message.
const LARGEST_FRAME: usize = 1_048_576;

/// Fills rooms, numbered from 0, with long messages.
async fn fill(database: &Database, rooms: usize, messages: usize) {
    database.store().await.close().await;
    database
        .execute(&format!(
            r#"WITH RECURSIVE room (r) AS (SELECT 0 UNION ALL SELECT r + 1 FROM room WHERE r < {rooms} - 1),
                message (s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM message WHERE s < {messages})
            INSERT INTO messages (room_id, seq, id, user_id, message, "timestamp")
            SELECT 'long-' || r, s, printf('01a1fbaf-3173-7719-a70c-%012x', r * 1000 + s), 'ann',
                replace(hex(zeroblob(4096)), '0', char(1)), 1700000000000 FROM room, message"#
        ))
        .await;
    database
        .execute("INSERT INTO rooms SELECT room_id, max(seq) FROM messages GROUP BY room_id")
        .await;
}

fn seqs(answer: &Value) -> Vec<i64> {
    answer["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["seq"].as_i64().unwrap())
        .collect()
}

/// Returns a figure of a process's memory, in MiB.
fn memory(process: &Process, figure: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(figure))
        .unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit())
        .parse::<u64>()
        .unwrap()
        / 1024
}

/// Returns the growth of a process's peak memory, in MiB.
fn grown(process: &Process, before: u64) -> u64 {
    memory(process, "VmHWM:").saturating_sub(before)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_messages_ends_at_about_a_megabyte_and_says_that_there_are_more() {
    const MESSAGES: usize = 50;
    let database = Database::sqlite();
    fill(&database, 1, MESSAGES).await;
    let process = Process::start(&database).await;
    let mut ann = RawClient::connect(process.address, "ann").await;
    let id = ann
        .emit("joinRoom", &json!({ "roomId": "long-0", "limit": PAGE }))
        .await;
    ann.flush().await;
    let frame = ann.frame().await;
    assert!(
        frame.starts_with(&format!("43{id}[")) && frame.len() < LARGEST_FRAME,
        "{}",
        frame.len()
    );
    assert!(frame.len() > MAX_ANSWER_BYTES - 2 * LONG, "{}", frame.len());
    let joined: Value = serde_json::from_str::<Value>(&frame[3..]).unwrap()[0].take();
    assert_eq!(
        (seqs(&joined).last(), &joined["hasMore"]),
        (Some(&(MESSAGES as i64)), &json!(true))
    );

    let newest = ann
        .call("getHistory", json!({ "roomId": "long-0", "limit": PAGE }))
        .await;
    assert_eq!(
        (seqs(&newest), &newest["hasMore"]),
        (seqs(&joined), &json!(true))
    );
    let all: Vec<_> = (1..=MESSAGES as i64).collect();
    let (mut forward, mut backward) = (vec![], vec![]);
    while forward.len() < MESSAGES {
        let asked =
            json!({ "roomId": "long-0", "limit": PAGE, "afterSeq": forward.last().unwrap_or(&0) });
        let page = ann.call("getHistory", asked).await;
        forward.extend(seqs(&page));
        assert_eq!(page["hasMore"], forward.len() < MESSAGES);
    }
    while backward.len() < MESSAGES {
        let asked = json!({ "roomId": "long-0", "limit": PAGE, "beforeSeq": backward.first().unwrap_or(&i64::MAX) });
        let page = ann.call("getHistory", asked).await;
        backward.splice(0..0, seqs(&page));
        assert_eq!(page["hasMore"], backward.len() < MESSAGES);
    }
    assert_eq!((forward, backward), (all.clone(), all));
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_full_of_long_messages_are_kept_within_a_bound() {
    const CLIENTS: usize = 4;
    const ROOMS: usize = 64;
    const BOUND_MIB: u64 = 160;
    let database = Database::sqlite();
    fill(&database, CLIENTS * ROOMS, 30).await;
    let process = Process::start(&database).await;
    let before = memory(&process, "VmRSS:");
    let joining = (0..CLIENTS).map(|client| {
        let address = process.address;
        tokio::spawn(async move {
            let mut eve = RawClient::connect(address, "eve").await;
            for room in client * ROOMS..(client + 1) * ROOMS {
                let id = eve
                    .emit(
                        "joinRoom",
                        &json!({ "roomId": format!("long-{room}"), "limit": PAGE }),
                    )
                    .await;
                eve.flush().await;
                while !eve
                    .frame()
                    .await
                    .starts_with(&format!(r#"43{id}[{{"status":"ok""#))
                {}
            }
            eve
        })
    });
    let mut clients = vec![];
    for client in joining.collect::<Vec<_>>() {
        clients.push(client.await.unwrap());
    }
    let grown = grown(&process, before);
    assert!(grown < BOUND_MIB, "the memory grew by {grown} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_several_clients_do_not_read_are_kept_within_a_bound() {
    const CLIENTS: usize = 8;
    const ASKED: usize = 200;
    const BOUND_MIB: u64 = 192;
    const LOOKED_AT: Duration = Duration::from_secs(5);
    let database = Database::sqlite();
    fill(&database, 1, 50).await;
    let process = Process::with(&database, &["--tcp-user-timeout-ms=0"]).await;
    let before = memory(&process, "VmRSS:");
    let mut crowd = vec![];
    for number in 0..CLIENTS {
        let mut eve = RawClient::connect(process.address, &format!("eve-{number}")).await;
        eve.emit("joinRoom", &json!({ "roomId": "long-0", "limit": 0 }))
            .await;
        for number in 0..ASKED {
            let event = if number % 2 == 0 {
                "getHistory"
            } else {
                "joinRoom"
            };
            eve.emit(event, &json!({ "roomId": "long-0", "limit": PAGE }))
                .await;
        }
        eve.flush().await;
        crowd.push(eve);
    }
    let mut ann = RawClient::connect(process.address, "ann").await;
    let begun = Instant::now();
    while begun.elapsed() < LOOKED_AT {
        let joined = ann
            .call("joinRoom", json!({ "roomId": "long-0", "limit": 1 }))
            .await;
        assert_eq!(joined["status"], "ok", "{joined}");
    }
    let grown = grown(&process, before);
    assert!(grown < BOUND_MIB, "the memory grew by {grown} MiB");
    let mut eve = crowd.remove(0);
    let (mut full, mut refused, mut limited) = (0, 0, 0);
    while full + refused <= ASKED {
        match eve.packet().await {
            Packet::Ack(_, answer) if answer["status"] == "ok" => full += 1,
            Packet::Ack(_, answer) => {
                assert_eq!(answer["error"]["retryable"], true, "{answer}");
                refused += 1;
                limited += usize::from(answer["error"]["code"] == "RATE_LIMITED");
            }
            Packet::Event(..) => {}
            Packet::Other(frame) => panic!("the connection is over: {frame}"),
        }
    }
    assert!(
        full > 4 && limited > ASKED / 4,
        "{full} answers, {refused} refusals, {limited} as too much waits"
    );
    assert_eq!(
        eve.call("getHistory", json!({ "roomId": "long-0", "limit": 1 }))
            .await["status"],
        "ok"
    );
}

/// Their backlog is few packets, but many bytes.
#[tokio::test(flavor = "multi_thread")]
async fn members_that_do_not_read_long_messages_lose_their_connections() {
    const ROUNDS: usize = 30;
    const ROUND: usize = 30;
    let database = Database::sqlite();
    let flags = ["--tcp-user-timeout-ms=0", "--presence-grace-ms=0", FLOODED];
    let process = Process::with(&database, &flags).await;
    let mut talker = RawClient::connect(process.address, "talker").await;
    let room = json!({ "roomId": "loud", "limit": 0 });
    assert_eq!(talker.call("joinRoom", room.clone()).await["status"], "ok");
    let mut crowd = vec![];
    for number in 0..3 {
        let mut silent = RawClient::connect(process.address, &format!("silent-{number}")).await;
        assert_eq!(silent.call("joinRoom", room.clone()).await["status"], "ok");
        crowd.push(silent);
    }
    let message = json!({ "roomId": "loud", "message": "\u{1}".repeat(8_192) });
    for _ in 0..ROUNDS {
        for _ in 1..ROUND {
            talker.emit("sendMessage", &message).await;
        }
        assert_eq!(
            talker.call("sendMessage", message.clone()).await["status"],
            "ok"
        );
    }
    let alone = async || talker.call("joinRoom", room.clone()).await["memberCount"] == 1;
    eventually("the leave of those who do not read", alone).await;
    drop(crowd);
}
