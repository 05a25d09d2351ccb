//! Broken connections: nobody else notices, and a client has lost nothing when it comes back.

use std::{fs, net::Ipv4Addr, time::Duration};

use futures_util::future::try_join_all;
use parlor::testing::{
    net::{self, AdmissionSettings, BACKLOG, Timeouts},
    realtime,
};
use serde_json::{Value, json};

use crate::support::{
    Database, FLOODED, RawClient, Server,
    engine::{Endpoint, Frame, Polling, WebSocket},
    log::append,
    raw::Packet,
    within_deadline,
};

/// More messages than kernels buffer for a connection whose peer does not read.
const MESSAGES: i64 = 1000;
const BODY_BYTES: usize = 8000;

async fn member(server: &Server, user: &str) -> RawClient {
    let mut client = server.raw(user).await;
    join(&mut client, 0).await;
    client
}

async fn join(client: &mut RawClient, last_seq: i64) -> Value {
    let answer = client
        .call("joinRoom", json!({ "roomId": "r", "lastSeq": last_seq }))
        .await;
    assert_eq!(answer["status"], "ok", "{answer}");
    answer
}

async fn chat(client: &mut RawClient, messages: i64) {
    let text = "x".repeat(BODY_BYTES);
    for _ in 0..messages {
        let answer = client
            .call("sendMessage", json!({ "roomId": "r", "message": text }))
            .await;
        assert_eq!(answer["status"], "ok", "{answer}");
    }
}

fn seqs(messages: &Value) -> impl Iterator<Item = i64> {
    messages
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["seq"].as_i64().unwrap())
}

fn is_gone(user: &str, presence: &Value) -> bool {
    presence["left"].as_array().unwrap().contains(&user.into())
}

/// Reads until the room has learned of the user's leaving and the last message has come; returns
/// the `seq` of every message.
async fn live_until_gone(mut client: RawClient, user: &str) -> Vec<i64> {
    let (mut live, mut gone) = (Vec::new(), false);
    while !gone || live.last() != Some(&MESSAGES) {
        match client.packet().await {
            Packet::Event(event, message) if event == "newMessage" => {
                live.push(message["seq"].as_i64().unwrap())
            }
            Packet::Event(event, presence) if event == "presence" => {
                gone |= is_gone(user, &presence);
            }
            Packet::Other(frame) => panic!("{frame:?}"),
            _ => {}
        }
    }
    live
}

/// Reads to the end of the connection; returns the `seq` of every message.
async fn live_until_end(client: &mut RawClient) -> Vec<i64> {
    let mut live = Vec::new();
    loop {
        match client.packet().await {
            Packet::Event(event, message) if event == "newMessage" => {
                live.push(message["seq"].as_i64().unwrap())
            }
            Packet::Other(_) => return live,
            _ => {}
        }
    }
}

/// Chats until a room has all [`MESSAGES`]; another member gets them all, and learns of the user's
/// leaving.
async fn chat_until_gone(server: &Server, user: &'static str) {
    let [mut ann, bob] = [member(server, "ann").await, member(server, "bob").await];
    let watching = tokio::spawn(live_until_gone(bob, user));
    chat(&mut ann, MESSAGES).await;
    let live = within_deadline("the reader that does not read to be gone", watching)
        .await
        .unwrap();
    assert!(live.iter().copied().eq(1..=MESSAGES), "{live:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stops_reading_is_reaped_and_nobody_else_is_disturbed() {
    let flags = [
        "--tcp-user-timeout-ms=1000",
        "--presence-grace-ms=0",
        FLOODED,
    ];
    let server = Server::on(Database::sqlite(), &flags).await;
    let _stalled = member(&server, "stalled").await;
    chat_until_gone(&server, "stalled").await;
}

/// Queues overflow soon, and nothing else ends a connection.
const SMALL_QUEUE: [&str; 4] = [
    "--send-queue-packets=64",
    "--tcp-user-timeout-ms=0",
    "--presence-grace-ms=0",
    FLOODED,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_too_slow_for_its_queue_loses_its_connection_comes_back_and_has_every_message_once()
 {
    let server = Server::on(Database::sqlite(), &SMALL_QUEUE).await;
    let mut slow = member(&server, "slow").await;
    chat_until_gone(&server, "slow").await;

    let mut got = live_until_end(&mut slow).await;
    assert!((1..MESSAGES as usize).contains(&got.len()), "{}", got.len());
    let mut again = server.raw("slow").await;
    let page = join(&mut again, *got.last().unwrap()).await;
    let newest: Vec<_> = seqs(&page["messages"]).collect();
    while got.last() < Some(&(newest[0] - 1)) {
        let query = json!({ "roomId": "r", "afterSeq": got.last(), "limit": 200 });
        let page = again.call("getHistory", query).await;
        got.extend(seqs(&page["messages"]).take_while(|seq| *seq < newest[0]));
    }
    got.extend(newest);
    assert!(got.iter().copied().eq(1..=MESSAGES), "{got:?}");
}

fn endpoint(server: &Server) -> Endpoint {
    Endpoint {
        address: server.address(),
        path: realtime::PATH,
        version: 4,
        http: reqwest::Client::new(),
    }
}

/// A member by long-polling.
async fn polling_member(server: &Server, user: &str) -> Polling {
    let session = Polling::open(&endpoint(server)).await;
    session
        .post(format!("40{}", json!({ "userId": user })))
        .await;
    assert!(session.poll().await.1.starts_with("40"));
    session
        .post(format!("420{}", json!(["joinRoom", { "roomId": "r" }])))
        .await;
    assert!(session.poll().await.1.contains(r#""status":"ok""#));
    session
}

/// A member by long-polling after an upgrade to a WebSocket, as in stock clients.
async fn upgraded_member(server: &Server, user: &str) -> WebSocket {
    let session = polling_member(server, user).await;
    let mut socket = session.websocket().await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    socket.send("5").await;
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_that_began_by_polling_loses_its_websocket() {
    let server = Server::on(Database::sqlite(), &SMALL_QUEUE).await;
    let mut slow = upgraded_member(&server, "slow").await;
    chat_until_gone(&server, "slow").await;
    let reading = async { while slow.frame().await != Frame::Closed {} };
    within_deadline("the WebSocket's end", reading).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_polls_too_rarely_for_its_queue_is_refused_and_begins_anew() {
    let server = Server::on(Database::sqlite(), &SMALL_QUEUE).await;
    let slow = polling_member(&server, "slow").await;
    let mut ann = member(&server, "ann").await;
    chat(&mut ann, 10).await;
    assert_eq!(slow.poll().await.0, 200);
    chat(&mut ann, 100).await;
    let (status, answer) = slow.poll().await;
    assert_eq!(
        (status, answer.as_str()),
        (400, r#"{"code":1,"message":"Session ID unknown"}"#)
    );
    assert_eq!(slow.post("3").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_its_answers_loses_its_connection() {
    const ASKED: usize = 60;
    let flags = [
        "--send-queue-packets=16",
        "--tcp-user-timeout-ms=0",
        "--presence-grace-ms=0",
    ];
    let server = Server::on(Database::sqlite(), &flags).await;
    append(
        &server.database,
        "r",
        "ann",
        &["x".repeat(BODY_BYTES).as_str(); 200],
    )
    .await;
    let [mut slow, mut bob] = [member(&server, "slow").await, member(&server, "bob").await];
    for _ in 0..ASKED {
        slow.emit(
            "getHistory",
            &json!({ "roomId": "r", "afterSeq": 0, "limit": 200 }),
        )
        .await;
    }
    slow.flush().await;
    while !is_gone("slow", &bob.next("presence").await) {}
    let mut answered = 0;
    loop {
        match slow.packet().await {
            Packet::Ack(..) => answered += 1,
            Packet::Event(..) => {}
            Packet::Other(_) => break,
        }
    }
    assert!(answered < ASKED, "{answered}");
}

/// Clients that connect at once, unless the kernel's backlog is shorter: more than the default
/// backlog holds, and fewer than a process may have open.
const CROWD: u32 = 500;

/// Returns the number of clients that fit into the backlog.
fn backlog() -> usize {
    let allowed = fs::read_to_string("/proc/sys/net/core/somaxconn")
        .map_or(BACKLOG, |text| text.trim().parse().unwrap());
    allowed.min(BACKLOG).min(CROWD) as usize
}

/// Nobody accepts them: a client beyond the backlog would get no answer.
#[tokio::test]
async fn hundreds_of_clients_that_connect_at_once_wait_until_they_are_accepted() {
    let timeouts = Timeouts {
        tcp_user_timeout: Duration::ZERO,
        handshake_timeout: Duration::ZERO,
    };
    let listener = net::listen(
        (Ipv4Addr::LOCALHOST, 0).into(),
        timeouts,
        AdmissionSettings::default().into(),
    )
    .unwrap();
    let address = listener.local_addr().unwrap();
    let connecting = try_join_all((0..backlog()).map(|_| tokio::net::TcpStream::connect(address)));
    within_deadline("all connections", connecting)
        .await
        .unwrap();
}
