//! Engine.IO sessions, below the chat: the meaning of a request, the carriers of a session, and its
//! end.

use std::time::{Duration, Instant};

use parlor::testing::realtime;
use reqwest::{Client, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::support::{
    DEADLINE, Database, RawClient, Server,
    engine::{Endpoint, Frame, Polling, WebSocket},
    http::HttpConnection,
    log::append,
    within_deadline,
};

const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn endpoint(server: &Server, version: u8) -> Endpoint {
    Endpoint {
        address: server.address(),
        path: realtime::PATH,
        version,
        http: Client::new(),
    }
}

/// A member of the room `r` by polling.
async fn polling_member(server: &Server, user: &str) -> Polling {
    let session = Polling::open(&endpoint(server, 4)).await;
    assert_eq!(
        session
            .post(format!("40{}", json!({ "userId": user })))
            .await
            .0,
        200
    );
    assert!(session.poll().await.1.starts_with("40"));
    session.post(r#"420["joinRoom",{"roomId":"r"}]"#).await;
    assert!(session.poll().await.1.contains(r#""status":"ok""#));
    session
}

async fn joined(server: &Server, user: &str) -> RawClient {
    let mut client = server.raw(user).await;
    assert_eq!(
        client.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_two_readings_is_refused_and_its_connection_goes_on() {
    let server = Server::start().await;
    let mut connection = HttpConnection::open(server.address()).await;
    for query in [
        "EIO=4&transport=polling&transport=websocket",
        "EIO=4&transport=websocket&transport=polling",
        "EIO=4&transport=websocket=x",
        "EIO=4&EIO=3&transport=polling",
        "EIO=4&transport=polling&sid=a&sid=b",
    ] {
        for headers in ["", UPGRADE] {
            assert_eq!(
                connection
                    .ask(&format!("/socket.io/?{query}"), headers)
                    .await,
                Some(400),
                "{query}"
            );
        }
    }
    assert_eq!(
        connection
            .ask("/socket.io/?EIO=4&transport=polling", "")
            .await,
        Some(200)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_a_numeric_code_and_a_reason() {
    let server = Server::start().await;
    for (query, code) in [
        ("EIO=4", 0),
        ("EIO=4&transport=polling&sid=nobody", 1),
        ("EIO=4&transport=polling&sid=a&sid=b", 3),
        ("EIO=4&transport=websocket", 3),
        ("transport=polling", 5),
    ] {
        let answer = reqwest::get(format!("{}/socket.io/?{query}", server.url()))
            .await
            .unwrap();
        assert_eq!(answer.status(), 400);
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body["code"], code, "{query}: {body}");
        assert!(body["message"].is_string(), "{body}");
    }
    let posted = Client::new()
        .post(format!(
            "{}/socket.io/?EIO=4&transport=polling",
            server.url()
        ))
        .send()
        .await;
    assert!(
        posted
            .unwrap()
            .text()
            .await
            .unwrap()
            .starts_with(r#"{"code":2,"#)
    );
}

/// Each lacks a header that proxies remove unless they are told to pass WebSockets on.
#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_handshake_is_refused_at_once_and_leaves_the_session_unchanged() {
    let server = Server::start().await;
    let session = Polling::open(&endpoint(&server, 4)).await;
    let id = session.handshake["sid"].as_str().unwrap();
    let lines: Vec<_> = UPGRADE.split_inclusive("\r\n").collect();
    let without = |gone: usize| {
        lines
            .iter()
            .enumerate()
            .filter(move |(at, _)| *at != gone)
            .map(|(_, line)| *line)
    };
    let mut handshakes: Vec<String> = (0..lines.len())
        .map(|gone| without(gone).collect())
        .collect();
    for (right, wrong) in [
        ("version: 13", "version: 8"),
        ("upgrade: websocket", "upgrade: h2c"),
        ("bXBs", "*XBs"),
        ("ZQ==", "ZQ"),
    ] {
        handshakes.push(UPGRADE.replace(right, wrong));
    }
    for handshake in &handshakes {
        for query in ["".to_owned(), format!("&sid={id}")] {
            let mut connection = HttpConnection::open(server.address()).await;
            let path = format!("/socket.io/?EIO=4&transport=websocket{query}");
            assert_eq!(
                connection.ask(&path, handshake).await,
                Some(400),
                "{handshake}"
            );
        }
    }
    assert_eq!(session.post("3").await.0, 200);
    let mut spoken = HttpConnection::open(server.address()).await;
    let several = UPGRADE.replace("connection: upgrade", "connection: keep-alive, Upgrade");
    assert_eq!(
        spoken
            .ask("/socket.io/?EIO=4&transport=websocket", &several)
            .await,
        Some(101)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_protocol_that_a_client_offers_is_chosen() {
    let server = Server::start().await;
    let mut connection = HttpConnection::open(server.address()).await;
    let headers = format!("{UPGRADE}sec-websocket-protocol: chat.v2, chat.v1\r\n");
    let answer = connection
        .answer("/socket.io/?EIO=4&transport=websocket", &headers)
        .await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(
        answer.contains("sec-websocket-protocol: chat.v2\r\n"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_and_enters_again_at_once_is_answered() {
    const TIMES: usize = 40;
    let server = Server::start().await;
    let connect = r#"40{"userId":"ann"}"#;
    let mut socket = WebSocket::open(&endpoint(&server, 4)).await;
    socket.send(connect).await;
    for _ in 0..TIMES {
        assert!(socket.text().await.starts_with("40{"));
        socket.send("41").await;
        socket.send(connect).await;
    }
    assert!(socket.text().await.starts_with("40{"));
    let session = Polling::open(&endpoint(&server, 4)).await;
    let payload = vec![connect; TIMES].join("\u{1e}41\u{1e}");
    assert_eq!(session.post(payload).await, (200, "ok".into()));
    let mut answers = 0;
    while answers < TIMES {
        answers += session
            .poll()
            .await
            .1
            .split('\u{1e}')
            .filter(|packet| packet.starts_with("40{"))
            .count();
    }
}

/// The event is sent before the answer to its client's CONNECT.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_right_behind_a_connect_waits_for_it() {
    let server = Server::start().await;
    let packets = [r#"40{"userId":"ann"}"#, r#"421["joinRoom",{"roomId":"r"}]"#];
    let mut socket = WebSocket::open(&endpoint(&server, 4)).await;
    for packet in packets {
        socket.send(packet).await;
    }
    assert!(socket.text().await.starts_with("40{"));
    assert!(socket.text().await.starts_with(r#"431[{"status":"ok""#));
    let session = Polling::open(&endpoint(&server, 4)).await;
    assert_eq!(
        session.post(packets.join("\u{1e}")).await,
        (200, "ok".into())
    );
    let mut got = String::new();
    while !got.contains(r#"431[{"status":"ok""#) {
        got += &session.poll().await.1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polling_client_that_vanishes_is_soon_gone() {
    let server = Server::on(Database::sqlite(), &["--presence-grace-ms=0"]).await;
    let mut ann = joined(&server, "ann").await;
    let bob = polling_member(&server, "bob").await;
    let poll = timeout(Duration::from_millis(300), bob.poll());
    while !ann.next("presence").await["joined"]
        .as_array()
        .unwrap()
        .contains(&json!("bob"))
    {}
    let begun = Instant::now();
    // The poll brings news of its own arrival, or nothing; dropping its future ends its connection.
    drop(poll.await);
    drop(timeout(Duration::from_millis(300), bob.poll()).await);
    while !ann.next("presence").await["left"]
        .as_array()
        .unwrap()
        .contains(&json!("bob"))
    {}
    assert!(begun.elapsed() < DEADLINE);
    assert_eq!(bob.poll().await.0, 400);
}

/// A proxy repeats a poll in this way after a broken connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_repeated_at_once_keeps_its_session() {
    let server = Server::on(Database::sqlite(), &["--presence-grace-ms=0"]).await;
    let mut ann = joined(&server, "ann").await;
    let bob = polling_member(&server, "bob").await;
    let mut said = 0;
    for _ in 0..5 {
        drop(timeout(Duration::from_millis(300), bob.poll()).await);
        said += 1;
        ann.call("sendMessage", json!({ "roomId": "r", "message": "hi" }))
            .await;
        let mut got = String::new();
        while !got.contains(&format!(r#""seq":{said},"#)) {
            let (status, payload) = bob.poll().await;
            assert_eq!(status, 200);
            got += &payload;
        }
    }
}

/// Several clients take Engine.IO's close packet, or a WebSocket's close frame, for final.
#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_shutdown_ends_connections_without_a_close_packet_after_all_messages() {
    let server = Server::start().await;
    let mut socket = WebSocket::open(&endpoint(&server, 4)).await;
    let mut old = WebSocket::open(&endpoint(&server, 3)).await;
    assert_eq!(old.text().await, "40");
    socket.send(r#"40{"userId":"ann"}"#).await;
    assert!(socket.text().await.starts_with("40{"));
    let session = polling_member(&server, "bob").await;
    while timeout(Duration::from_millis(200), session.poll())
        .await
        .is_ok()
    {}
    let address = server.address();
    let (polled, _) = tokio::join!(session.poll(), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(server.stop().await);
    });
    assert_eq!(polled.0, 400, "{polled:?}");
    for socket in [socket, old] {
        let mut rest = vec![];
        let mut connection = socket.into_stream();
        within_deadline("the connection's end", connection.read_to_end(&mut rest))
            .await
            .unwrap();
        assert!(
            !rest.windows(3).any(|frame| frame == b"\x81\x011") && !rest.contains(&0x88),
            "{address}: {rest:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_polls_are_never_cached_and_large_ones_are_compressed_on_request() {
    let server = Server::start().await;
    append(
        &server.database,
        "r",
        "ann",
        &["hello there, and good morning"; 100],
    )
    .await;
    let session = polling_member(&server, "bob").await;
    session
        .post(r#"421["getHistory",{"roomId":"r","limit":100}]"#)
        .await;
    let url = format!("{}/socket.io/?EIO=4&transport=polling&sid=", server.url());
    let url = url + session.handshake["sid"].as_str().unwrap();
    let mut sizes = vec![];
    for encoding in ["gzip", "identity"] {
        if encoding == "identity" {
            session
                .post(r#"422["getHistory",{"roomId":"r","limit":100}]"#)
                .await;
        }
        let polled = Client::new()
            .get(&url)
            .header(header::ACCEPT_ENCODING, encoding)
            .send()
            .await
            .unwrap();
        assert_eq!(polled.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(
            polled.headers().contains_key(header::CONTENT_ENCODING),
            encoding == "gzip"
        );
        sizes.push(polled.bytes().await.unwrap().len());
    }
    assert!(sizes[0] * 4 < sizes[1], "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_probe_costs_the_session_no_message_and_does_not_lift_its_limits() {
    let server = Server::start().await;
    let mut ann = joined(&server, "ann").await;
    let bob = polling_member(&server, "bob").await;
    let mut reset = bob.probed().await;
    reset.close().await;
    assert_eq!(reset.frame().await, Frame::Closed);
    let _hanging = bob.websocket().await;
    for seq in 1..=20 {
        ann.call("sendMessage", json!({ "roomId": "r", "message": "hi" }))
            .await;
        let mut got = String::new();
        while !got.contains(&format!(r#""seq":{seq},"#)) {
            got += &bob.poll().await.1;
        }
    }
}

/// Returns masked text frames, each with a part of a message.
fn fragments(message: &str, bytes: usize) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let parts: Vec<_> = message.as_bytes().chunks(bytes).collect();
    let frame = |(at, part): (usize, &&[u8])| {
        let last = if at + 1 == parts.len() { 0x80 } else { 0 };
        let mut frame = vec![last | u8::from(at == 0), 0x80 | part.len() as u8];
        frame.extend(MASK);
        frame.extend(
            part.iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    };
    parts.iter().enumerate().flat_map(frame).collect()
}

/// However a client splits its packets, and the network its frames.
#[tokio::test(flavor = "multi_thread")]
async fn packets_are_recognized_in_any_number_of_pieces() {
    let server = Server::start().await;
    let packets = [
        r#"40{"userId":"ann"}"#,
        "41",
        r#"40{"userId":"ann"}"#,
        r#"421["joinRoom",{"roomId":"r"}]"#,
    ];
    for (fragment, piece) in [(100, 1), (1, 1000), (1, 1), (2, 3), (5, 7)] {
        let (socket, _) = WebSocket::unanswered(&endpoint(&server, 4)).await;
        let mut connection = socket.into_stream();
        let bytes: Vec<u8> = packets
            .iter()
            .flat_map(|packet| fragments(packet, fragment))
            .collect();
        for piece in bytes.chunks(piece) {
            connection.write_all(piece).await.unwrap();
            connection.flush().await.unwrap();
        }
        let mut socket = WebSocket::resumed(connection).await;
        let mut got = vec![];
        while got.len() < 3 {
            let packet = socket.text_beside_pongs().await;
            got.extend(packet.starts_with('4').then_some(packet));
        }
        assert!(
            got[0].starts_with("40{") && got[1].starts_with("40{"),
            "{got:?}"
        );
        assert!(
            got[2].starts_with(r#"431[{"status":"ok""#) || got[2].starts_with("42"),
            "{got:?}"
        );
    }
}
