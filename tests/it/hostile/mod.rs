//! Clients that mean harm: whatever they send, the server lives, its memory stays within a bound,
//! and others chat on.
//!
//! The classes are those of CVEs against Socket.IO servers: 2020-36048 and 2023-31125 (polling
//! payloads), 2022-2421 and 2026-33151 (attachments), 2022-41940 and 2023-32695 (packets that no
//! client sends), 2024-38355 (reserved events).

mod floods;

use std::{process::Command, time::Instant};

use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::json;

use crate::support::{
    DEADLINE, Database, FLOODED, Process, RawClient,
    engine::{Endpoint, Frame, Polling, WebSocket},
    eventually,
    http::HttpConnection,
    raw::Packet,
};

/// More than the server takes for some hundred connections, far less than an attack here would take
/// without bounds.
const BOUND_MIB: u64 = 64;

/// The same where a payload holds hundreds of thousands of packets. A task for each event would
/// take more.
const PACKETS_BOUND_MIB: u64 = 40;

/// The same where they are CONNECT packets, as the library starts a task for each of them.
const CONNECTS_BOUND_MIB: u64 = 256;

/// The same while much waits for a crowd.
const CROWD_BOUND_MIB: u64 = 128;

/// The largest payload that a client may send, in bytes.
const MAX_PAYLOAD: usize = 1_000_000;

/// The most rooms that one connection may be in.
const MAX_ROOMS: usize = 256;

/// The most messages in an answer.
const PAGE: usize = 200;

/// How many clients there are at once where one would not be felt.
const CROWD: usize = 50;

/// A server under attack, and two who chat on it.
struct Siege {
    process: Process,
    _database: Database,
    ann: RawClient,
    bob: RawClient,
    said: i64,
    memory_before: u64,
}

impl Siege {
    async fn begin(flags: &[&str]) -> Self {
        let database = Database::sqlite();
        Self::of(Process::with(&database, flags).await, database).await
    }

    /// One where a token is needed; the two who chat are the same user's.
    async fn begin_with_token(secret: &str, token: &str) -> Self {
        let database = Database::sqlite();
        let process = Process::with(&database, &[&format!("--jwt-secret={secret}")]).await;
        let auth = json!({ "token": token }).to_string();
        let connect = async || RawClient::attempt(process.address, &auth).await.unwrap();
        let pair = [connect().await, connect().await];
        Self::between(pair, process, database).await
    }

    async fn of(process: Process, database: Database) -> Self {
        let pair = [
            RawClient::connect(process.address, "ann").await,
            RawClient::connect(process.address, "bob").await,
        ];
        Self::between(pair, process, database).await
    }

    async fn between(
        [mut ann, mut bob]: [RawClient; 2],
        process: Process,
        database: Database,
    ) -> Self {
        for client in [&mut ann, &mut bob] {
            assert_eq!(
                client.call("joinRoom", json!({ "roomId": "r" })).await["status"],
                "ok"
            );
        }
        let memory_before = memory(&process);
        let mut siege = Self {
            process,
            _database: database,
            ann,
            bob,
            said: 0,
            memory_before,
        };
        siege.chat().await;
        siege
    }

    /// Ann says something; it is the next thing that Bob hears.
    async fn chat(&mut self) {
        self.said += 1;
        let sent = self
            .ann
            .call("sendMessage", json!({ "roomId": "r", "message": "hi" }))
            .await;
        assert_eq!(
            (&sent["status"], &sent["message"]["seq"]),
            (&json!("ok"), &json!(self.said))
        );
        assert_eq!(self.bob.next("newMessage").await["seq"], self.said);
    }

    fn endpoint(&self, version: u8) -> Endpoint {
        Endpoint {
            address: self.process.address,
            path: "/socket.io",
            version,
            http: Client::new(),
        }
    }

    /// A WebSocket in the namespace.
    async fn socket(&self) -> WebSocket {
        let mut socket = WebSocket::open(&self.endpoint(4)).await;
        socket.send(r#"40{"userId":"eve"}"#).await;
        assert!(socket.text().await.starts_with("40{"));
        socket
    }

    /// Someone in a room.
    async fn member(&self, user: &str, room: &str) -> RawClient {
        let mut client = RawClient::connect(self.process.address, user).await;
        assert_eq!(
            client.call("joinRoom", json!({ "roomId": room })).await["status"],
            "ok"
        );
        client
    }

    /// Many in a room, who are not heard of again.
    async fn silent_crowd(&self, room: &str) -> Vec<RawClient> {
        let mut crowd = vec![];
        for number in 0..CROWD {
            crowd.push(self.member(&format!("silent-{number}"), room).await);
        }
        crowd
    }

    /// Waits until the server has no more than so many files open, connections among them; the two
    /// chat meanwhile.
    #[cfg(target_os = "linux")]
    async fn until_files(&mut self, count: usize) {
        eventually("the connections to be closed", async || {
            self.chat().await;
            files(&self.process) <= count
        })
        .await;
    }

    fn assert_memory(&self, bound_mib: u64) {
        let grown = memory(&self.process).saturating_sub(self.memory_before);
        assert!(grown < bound_mib, "the memory grew by {grown} MiB");
    }

    async fn end(self) {
        self.end_within(BOUND_MIB).await;
    }

    /// Those who chat have missed nothing, the memory is within its bound, and the server stops in
    /// order.
    async fn end_within(mut self, bound_mib: u64) {
        self.chat().await;
        self.assert_memory(bound_mib);
        self.process.signal(Signal::SIGTERM);
        let (status, log) = self.process.ended().await;
        assert!(
            status.success() && !log.contains("panicked") && !log.contains("ERROR"),
            "{status}: {log}"
        );
    }
}

/// Memory in use, in MiB.
fn memory(process: &Process) -> u64 {
    let output = Command::new("ps")
        .args(["-o", "rss=", "-p", &process.id().to_string()])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse::<u64>()
        .unwrap()
        / 1024
}

/// How many files are open.
#[cfg(target_os = "linux")]
fn files(process: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", process.id()))
        .unwrap()
        .count()
}

/// The most memory that was ever in use, in MiB.
#[cfg(target_os = "linux")]
fn peak(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// How many are in the room of `client`.
#[cfg(target_os = "linux")]
async fn members(client: &mut RawClient, room: &str) -> serde_json::Value {
    client
        .call("joinRoom", json!({ "roomId": room, "limit": 0 }))
        .await["memberCount"]
        .take()
}

/// Waits until the connection is over, or has answered all that it was sent, this last.
async fn settled(socket: &mut WebSocket) {
    if socket.try_send(r#"4299["barrier",{}]"#).await.is_err() {
        return;
    }
    loop {
        match socket.frame().await {
            Frame::Closed => return,
            Frame::Text(text) if text.starts_with("4399[") => return,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_no_client_sends() {
    let mut siege = Siege::begin(&[]).await;
    let deep = |count| format!("{}{}", "[".repeat(count), "]".repeat(count));
    let packets = [
        r#"42["error"]"#.to_owned(),
        r#"42["error",{}]"#.into(),
        r#"421["connect",{}]"#.into(),
        r#"421["disconnect",{}]"#.into(),
        r#"421["disconnecting",{}]"#.into(),
        r#"421["newListener",{}]"#.into(),
        r#"421["__proto__",{"__proto__":{}}]"#.into(),
        r#"42{"toString":"x"}"#.into(),
        r#"42["joinRoom",{"toString":"x","hasOwnProperty":1}]"#.into(),
        r#"42[{"toString":"x"}]"#.into(),
        r#"42[null]"#.into(),
        r#"42[[],[]]"#.into(),
        r#"4299999999999999999999["joinRoom",{}]"#.into(),
        r#"42-1["joinRoom",{}]"#.into(),
        "4399999999999999999999[]".into(),
        r#"43"#.into(),
        r#"40"#.into(),
        r#"40{"userId":"other"}"#.into(),
        r#"40/"#.into(),
        format!("40/{},{{}}", "n".repeat(100_000)),
        r#"41/nowhere,"#.into(),
        r#"42/nowhere,["joinRoom",{}]"#.into(),
        r#"44"#.into(),
        r#"46"#.into(),
        r#"459999999999-["joinRoom",{"_placeholder":true,"num":0}]"#.into(),
        r#"4518446744073709551616-["joinRoom",{}]"#.into(),
        r#"450-["joinRoom",{"_placeholder":true,"num":0}]"#.into(),
        format!(r#"421["joinRoom",{}]"#, deep(400_000)),
        format!(r#"421["joinRoom",{{"roomId":{}}}]"#, deep(400_000)),
        format!(r#"42["{}",{{}}]"#, "e".repeat(900_000)),
        format!(r#"421["joinRoom",{{"roomId":"{}"}}]"#, "r".repeat(900_000)),
        format!("4{}", "2".repeat(900_000)),
        "\u{0}".into(),
        "2".into(),
        "5".into(),
        "6".into(),
        "b".into(),
        "bAAAA".into(),
        "0{}".into(),
        "9".into(),
        "\u{1e}\u{1e}".into(),
        String::new(),
    ];
    for packet in &packets {
        let mut socket = siege.socket().await;
        socket.send(packet).await;
        settled(&mut socket).await;
        siege.chat().await;
        let session = Polling::open(&siege.endpoint(4)).await;
        assert_eq!(session.post(r#"40{"userId":"eve"}"#).await.0, 200);
        session.post(packet.clone()).await;
        siege.chat().await;
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn placeholders_that_are_none() {
    let mut siege = Siege::begin(&[]).await;
    for number in [
        "-1",
        "1",
        "10",
        "1e9",
        "0.5",
        "null",
        r#""splice""#,
        r#"{"num":0}"#,
        "18446744073709551616",
    ] {
        let mut socket = siege.socket().await;
        socket
            .send(format!(
                r#"451-1["joinRoom",{{"_placeholder":true,"num":{number}}}]"#
            ))
            .await;
        socket.send_bytes([1, 2, 3]).await;
        settled(&mut socket).await;
        siege.chat().await;
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_no_utf_8() {
    let mut siege = Siege::begin(&[]).await;
    let mut socket = siege.socket().await;
    socket
        .send_invalid_text(b"42[\"joinRoom\",{\"roomId\":\"\xff\xfe\"}]")
        .await;
    assert!(socket.is_closed().await);
    let session = Polling::open(&siege.endpoint(4)).await;
    assert_eq!(session.post(b"40\xff".to_vec()).await.0, 400);
    siege.chat().await;
    for payload in [
        "2:4\u{1F980}",
        "99999999999:40",
        "-1:40",
        "1:",
        ":",
        "\u{1F980}",
        "0:0:0:",
    ] {
        Polling::open(&siege.endpoint(3)).await.post(payload).await;
    }
    siege.end().await;
}

/// Sends payloads full of a packet, to a server all of whose work is on one thread: what a payload
/// brings is all there before any of it is done.
async fn send_very_many(packets: &[&str], bound_mib: u64) {
    let database = Database::sqlite();
    let mut siege = Siege::of(Process::on_one_thread(&database).await, database).await;
    for packet in packets {
        let session = Polling::open(&siege.endpoint(4)).await;
        assert_eq!(session.post(r#"40{"userId":"eve"}"#).await.0, 200);
        assert!(session.poll().await.1.starts_with("40"));
        for _ in 0..3 {
            session
                .post(vec![*packet; MAX_PAYLOAD / (packet.len() + 1)].join("\u{1e}"))
                .await;
            siege.chat().await;
        }
        siege.assert_memory(bound_mib);
    }
    siege.end_within(bound_mib).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_of_very_many_packets() {
    send_very_many(
        &[r#"42["x"]"#, r#"42["joinRoom",{}]"#, "2", "3", "43[]", "6"],
        PACKETS_BOUND_MIB,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_of_very_many_connects() {
    send_very_many(&["40"], CONNECTS_BOUND_MIB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_over_the_limit() {
    let siege = Siege::begin(&[]).await;
    let packet = |bytes| {
        format!(
            r#"421["x","{}"]"#,
            "a".repeat(bytes - r#"421["x",""]"#.len())
        )
    };
    let session = Polling::open(&siege.endpoint(4)).await;
    assert_eq!(session.post(packet(MAX_PAYLOAD + 1)).await.0, 413);
    let mut socket = siege.socket().await;
    socket.send(packet(MAX_PAYLOAD)).await;
    assert!(socket.text().await.starts_with("431["));
    socket.send(packet(MAX_PAYLOAD + 1)).await;
    assert!(socket.is_closed().await);
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_acks_that_nobody_waits_for() {
    let mut siege = Siege::begin(&[]).await;
    let mut socket = siege.socket().await;
    for number in 0..10_000 {
        if socket.try_send(format!("43{number}[]")).await.is_err() {
            break;
        }
        if number % 1_000 == 0 {
            siege.chat().await;
        }
    }
    settled(&mut socket).await;
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_joins_of_new_rooms() {
    let mut siege = Siege::begin(&["--events-per-second=0"]).await;
    let mut eve = RawClient::connect(siege.process.address, "eve").await;
    let mut joined = 0;
    for batch in 0..100 {
        let mut last = 0;
        for number in 0..1_000 {
            last = eve
                .emit(
                    "joinRoom",
                    &json!({ "roomId": format!("{batch}/{number}") }),
                )
                .await;
        }
        eve.flush().await;
        let (before, _) = eve.until_ack(last).await;
        joined += before
            .iter()
            .filter(|packet| matches!(packet, Packet::Ack(_, ack) if ack["status"] == "ok"))
            .count();
        siege.chat().await;
    }
    assert_eq!(joined, MAX_ROOMS);
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_that_are_announced_and_do_not_come() {
    let mut siege = Siege::begin(&[]).await;
    let placeholders: Vec<_> = (0..10)
        .map(|number| format!(r#"{{"_placeholder":true,"num":{number}}}"#))
        .collect();
    let packet = format!(r#"4510-["joinRoom",{}]"#, placeholders.join(","));
    let mut sockets = vec![];
    for _ in 0..100 {
        let mut socket = siege.socket().await;
        socket.send(packet.as_str()).await;
        // Nine of ten, a megabyte altogether; beyond the limit the connection ends.
        for _ in 0..9 {
            socket.try_send_bytes(vec![0; MAX_PAYLOAD / 10]).await.ok();
        }
        sockets.push(socket);
        siege.chat().await;
    }
    siege.end().await;
}

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

/// What waits for them is the same bytes for all, as a packet is encoded once for a room; each has
/// only a place in its queue for it. For each on its own this would be more than a gigabyte.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_loud_room_who_never_read() {
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
    siege.until_files(files).await;
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

/// Their systems still take what is sent; only pings go unanswered.
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
    siege.until_files(files).await;
    eventually("their leave", async || {
        members(&mut siege.ann, "r").await == 2
    })
    .await;
    drop(crowd);
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_events_whose_answers_nobody_reads() {
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

/// Fills a room with the longest messages that one answer holds.
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
async fn long_answers_that_nobody_reads() {
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
async fn long_answers_to_one_who_never_polls() {
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

/// Each sends a header now and then, as if more were to come.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_never_end() {
    let mut siege = Siege::begin(&["--handshake-timeout-ms=3000"]).await;
    let before = files(&siege.process);
    let mut crowd = vec![];
    for _ in 0..10 * CROWD {
        let mut connection = HttpConnection::open(siege.process.address).await;
        connection
            .send("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: parlor\r\n")
            .await
            .unwrap();
        crowd.push(connection);
    }
    let deadline = Instant::now() + DEADLINE;
    while files(&siege.process) > before {
        assert!(Instant::now() < deadline, "they are still connected");
        for connection in &mut crowd {
            connection.send("x: x\r\n").await.ok();
        }
        siege.chat().await;
        siege.assert_memory(BOUND_MIB);
    }
    siege.end().await;
}

/// Each sends most of a large payload, and then a byte now and then.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn payloads_that_never_end() {
    let mut siege = Siege::begin(&["--ping-interval-ms=2000", "--ping-timeout-ms=2000"]).await;
    let before = files(&siege.process);
    let mut crowd = vec![];
    for _ in 0..CROWD {
        let session = Polling::open(&siege.endpoint(4)).await;
        let sid = session.handshake["sid"].as_str().unwrap();
        let mut connection = HttpConnection::open(siege.process.address).await;
        let head = format!(
            "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nhost: parlor\r\n"
        );
        connection
            .send(format!("{head}content-length: {MAX_PAYLOAD}\r\n\r\n"))
            .await
            .unwrap();
        connection.send("4".repeat(MAX_PAYLOAD - 1_000)).await.ok();
        crowd.push(connection);
        // Who does not answer a ping in time is put out.
        siege.chat().await;
    }
    let deadline = Instant::now() + DEADLINE;
    while files(&siege.process) > before {
        assert!(Instant::now() < deadline, "they are still connected");
        for connection in &mut crowd {
            connection.send("4").await.ok();
        }
        siege.chat().await;
        siege.assert_memory(CROWD_BOUND_MIB);
    }
    siege.end_within(CROWD_BOUND_MIB).await;
}
