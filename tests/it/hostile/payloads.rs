//! Requests and payloads: too many packets in one, too many bytes, or no end.

use std::time::Instant;

use super::siege::{BOUND_MIB, CROWD, CROWD_BOUND_MIB, MAX_PAYLOAD, Siege, files};
use crate::support::{DEADLINE, Database, Process, engine::Polling, http::HttpConnection};

/// The bound for payloads of hundreds of thousands of packets. A task for each event would take
/// more.
const PACKETS_BOUND_MIB: u64 = 40;

/// The bound for payloads of CONNECT packets: the library spawns a task for each of them.
const CONNECTS_BOUND_MIB: u64 = 256;

/// Sends payloads full of one packet to a server with a single thread, so that all of a payload's
/// events are there before the first of them is handled.
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
    socket.send_refused(packet(MAX_PAYLOAD + 1)).await;
    assert!(socket.is_closed().await);
    siege.end().await;
}

/// Each connection sends a header now and then, as if more were to come.
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

/// Each connection sends most of a large payload, and then a byte now and then.
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
        // A user that does not answer a ping in time is disconnected.
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
