//! Floods from several connections at once, for seconds, most of them before any check of a token.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use futures_util::future::join_all;
use parlor::{model::UserId, testing::auth::TokenClaims};
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{timeout, timeout_at},
};

use super::siege::{Siege, peak};
use crate::support::{
    engine::{Endpoint, Polling, WebSocket},
    http::HttpConnection,
    within_deadline,
};

/// The number of attacking connections.
const ATTACKERS: usize = 4;

/// The length of an attack.
const ATTACK: Duration = Duration::from_secs(3);

/// More memory than the server takes for such an attack; without bounds each takes gigabytes.
const BOUND_MIB: u64 = 96;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Returns a full payload of one packet.
fn payload_of(packet: &str) -> String {
    vec![packet; 990_000 / (packet.len() + 1)].join("\u{1e}")
}

impl Siege {
    /// Chats during an attack, and asserts that the memory stays within a bound.
    async fn withstand(
        mut self,
        attackers: impl IntoIterator<Item = impl Future<Output = ()>>,
        bound_mib: u64,
    ) {
        let mut attack = pin!(join_all(attackers));
        loop {
            tokio::select! {
                _ = attack.as_mut() => break,
                () = tokio::time::sleep(Duration::from_millis(100)) => self.chat().await,
            }
        }
        let grown = peak(&self.process).saturating_sub(self.memory_before);
        assert!(grown < bound_mib, "the memory grew by {grown} MiB");
        self.end_within(bound_mib).await;
    }
}

async fn post_for_seconds(endpoint: Endpoint, payload: String) {
    let end = Instant::now() + ATTACK;
    while Instant::now() < end {
        Polling::unanswered(&endpoint)
            .await
            .post(payload.clone())
            .await;
    }
}

async fn send_for_seconds(endpoint: Endpoint, packet: &'static str) {
    let end = Instant::now() + ATTACK;
    let frame = [
        &[0x81, 0x80 | packet.len() as u8, 0, 0, 0, 0],
        packet.as_bytes(),
    ]
    .concat();
    let frames = frame.repeat(50_000);
    while Instant::now() < end {
        let mut connection = WebSocket::unanswered(&endpoint).await.0.into_stream();
        // A connection that the server does not read waits.
        while let Ok(Ok(())) = timeout_at(end.into(), connection.write_all(&frames)).await {}
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn payloads_of_connects_from_several_at_once() {
    for packet in ["40", r#"40{"userId":"eve"}"#, "40/nowhere,", "41"] {
        let siege = Siege::begin(&[]).await;
        let endpoint = siege.endpoint(4);
        let attackers =
            (0..ATTACKERS).map(|_| post_for_seconds(endpoint.clone(), payload_of(packet)));
        siege.withstand(attackers, BOUND_MIB).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn frames_of_connects_from_several_at_once() {
    for packet in ["40", "40/nowhere,", r#"40{"token":"none"}"#] {
        let siege = Siege::begin(&[]).await;
        let endpoint = siege.endpoint(4);
        let attackers = (0..ATTACKERS).map(|_| send_for_seconds(endpoint.clone(), packet));
        siege.withstand(attackers, BOUND_MIB).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn bad_tokens_from_several_at_once_beside_an_honest_client() {
    let claims = TokenClaims {
        sub: &UserId::try_from("ann").unwrap(),
        exp: Utc::now().timestamp() + 600,
        role: None,
        rooms: &[],
        iss: None,
        aud: None,
    };
    let token = claims.sign(SECRET).unwrap();
    let siege = Siege::begin_with_token(SECRET, &token).await;
    let endpoint = siege.endpoint(4);
    let honest = async {
        let end = Instant::now() + ATTACK;
        while Instant::now() < end {
            let mut socket = WebSocket::open(&endpoint).await;
            socket
                .send(format!("40{}", json!({ "token": token })))
                .await;
            assert!(socket.text().await.starts_with("40{"));
        }
    };
    let bad = payload_of(r#"40{"token":"none"}"#);
    let attackers =
        join_all((0..ATTACKERS).map(|_| post_for_seconds(endpoint.clone(), bad.clone())));
    let both = async {
        tokio::join!(attackers, honest);
    };
    siege.withstand([both], BOUND_MIB).await;
}

/// Begins sessions by pipelined requests, and counts them.
async fn begin_sessions(server: SocketAddr, begun: Arc<AtomicUsize>) {
    const AT_ONCE: usize = 100;
    let end = Instant::now() + ATTACK;
    let requests =
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: parlor\r\n\r\n".repeat(AT_ONCE);
    while Instant::now() < end {
        let mut connection = HttpConnection::open(server).await;
        while Instant::now() < end && connection.send(&requests).await.is_ok() {
            let mut answers = String::new();
            while answers.matches("HTTP/1.1").count() < AT_ONCE {
                let Some(read) = connection.read().await else {
                    break;
                };
                answers += &read;
            }
            begun.fetch_add(answers.matches("HTTP/1.1 200").count(), Ordering::Relaxed);
        }
    }
}

/// By default 8,192 clients may be on their way into the chat; each takes some 20 kB, and more in a
/// debug build.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn sessions_by_pipelined_requests_from_several_at_once() {
    let limited = &["--max-connections=100", "--max-connections-per-address=50"][..];
    for (flags, bound_mib) in [(limited, BOUND_MIB), (&[], 224)] {
        let siege = Siege::begin(flags).await;
        let begun = Arc::<AtomicUsize>::default();
        let attackers: Vec<_> = (0..ATTACKERS)
            .map(|_| begin_sessions(siege.process.address, begun.clone()))
            .collect();
        siege.withstand(attackers, bound_mib).await;
        let begun = begun.load(Ordering::Relaxed);
        assert!(begun > 0 && (flags.is_empty() || begun <= 50), "{begun}");
    }
}

/// Returns the frame of a message of 900,000 bytes, without its end.
fn unfinished() -> Vec<u8> {
    let mut frame = vec![0x81, 0xff];
    frame.extend(900_000_u64.to_be_bytes());
    frame.resize(frame.len() + 4 + 800_000, b'4');
    frame
}

/// Sends the beginning of a large message; returns its connection, to be kept open.
async fn begin_large_message(endpoint: Endpoint, connect: Option<String>) -> TcpStream {
    let (mut socket, _) = WebSocket::unanswered(&endpoint).await;
    if let Some(connect) = connect {
        socket.send(connect).await;
        while !socket.text().await.starts_with("40{") {}
    }
    let mut connection = socket.into_stream();
    timeout(ATTACK, connection.write_all(&unfinished()))
        .await
        .ok();
    connection
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn unfinished_large_messages_from_hundreds_at_once() {
    const CROWD: usize = 300;
    for (enters, bound_mib) in [(false, BOUND_MIB), (true, 160)] {
        let mut siege = Siege::begin(&[]).await;
        let endpoint = siege.endpoint(4);
        let crowd = (0..CROWD).map(|number| {
            let connect = enters.then(|| format!(r#"40{{"userId":"eve-{number}"}}"#));
            begin_large_message(endpoint.clone(), connect)
        });
        let crowd = within_deadline("all to have begun", join_all(crowd)).await;
        siege.chat().await;
        siege.withstand([async {}], bound_mib).await;
        drop(crowd);
    }
}

/// Frames without a message are read no faster than events: a thousand a second, and 4,096 at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn other_frames_are_read_no_faster_than_events() {
    const FRAMES: usize = 8_000;
    let pings = (&[0x89, 0x80, 0, 0, 0, 0][..], &[][..]);
    let pongs = (&[0x81, 0x81, 0, 0, 0, 0, b'3'][..], &[][..]);
    let fragments = (
        &[0x00, 0x80, 0, 0, 0, 0][..],
        &[0x01, 0x81, 0, 0, 0, 0, b'3'][..],
    );
    for (frame, first) in [pings, pongs, fragments] {
        let siege = Siege::begin(&[]).await;
        let (mut socket, _) = WebSocket::unanswered(&siege.endpoint(4)).await;
        socket.send(r#"40{"userId":"eve"}"#).await;
        while !socket.text().await.starts_with("40{") {}
        let begun = Instant::now();
        let mut connection = socket.into_stream();
        connection
            .write_all(&[first, &frame.repeat(FRAMES)].concat())
            .await
            .unwrap();
        if !first.is_empty() {
            connection
                .write_all(&[0x80, 0x80, 0, 0, 0, 0])
                .await
                .unwrap();
        }
        let mut socket = WebSocket::resumed(connection).await;
        socket.send(r#"427["barrier",{}]"#).await;
        while !socket.text_beside_pongs().await.starts_with("437[") {}
        assert!(
            begun.elapsed() >= Duration::from_secs(3),
            "{frame:?}: {:?}",
            begun.elapsed()
        );
        siege.end_within(BOUND_MIB).await;
    }
}

/// Begins sessions that end at once: they send a packet that no client may send before it has
/// entered the chat.
async fn break_off(endpoint: Endpoint) {
    let end = Instant::now() + ATTACK;
    let event = [&[0x81, 0x87, 0, 0, 0, 0], &br#"42["x"]"#[..]].concat();
    let events = event.repeat(20_000);
    while Instant::now() < end {
        if let Ok(socket) = WebSocket::attempt(&endpoint, "EIO=4&transport=websocket").await {
            timeout_at(end.into(), socket.into_stream().write_all(&events))
                .await
                .ok();
        }
    }
}

/// The library keeps each session until the time to enter is over, so their number is limited.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn sessions_that_break_off_before_they_enter_from_several_at_once() {
    let siege = Siege::begin(&[]).await;
    let endpoint = siege.endpoint(4);
    let attackers = (0..ATTACKERS).map(|_| break_off(endpoint.clone()));
    siege.withstand(attackers, 192).await;
}
