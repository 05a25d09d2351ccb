//! Engine.IO 3 and Socket.IO 4, the protocols of old clients:
//! <https://github.com/socketio/engine.io-protocol/tree/v3>,
//! <https://github.com/socketio/socket.io-protocol/tree/v4>.

use std::time::Duration;

use parlor::testing::realtime::Settings;
use reqwest::Method;

use super::{PATIENT, Stack, everywhere, old};
use crate::support::engine::{Frame, Polling, WebSocket, answer};

/// <https://github.com/socketio/engine.io-protocol/tree/v3#payload>
#[tokio::test(flavor = "multi_thread")]
async fn a_packet_is_preceded_by_its_length() {
    let (endpoints, _chat) = everywhere().await;
    for endpoint in &endpoints {
        let (status, payload) =
            answer(endpoint.request(Method::GET, "EIO=3&transport=polling")).await;
        let (length, packet) = payload.split_once(':').unwrap();
        assert_eq!((status, length.parse()), (200, Ok(packet.len())));
        assert!(packet.starts_with(r#"0{"sid":"#), "{packet}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_come_back_as_they_were_sent() {
    let session = Polling::open(&old(&Stack::start().await.engine)).await;
    for payload in ["6:4hello", "1:4", "4:4one4:4two", "2:4€", "7:42:4two"] {
        assert_eq!(session.post(payload).await, (200, "ok".into()), "{payload}");
        assert_eq!(session.poll().await, (200, payload.into()));
    }
}

/// <https://github.com/socketio/engine.io-protocol/tree/v3#websocket>
#[tokio::test(flavor = "multi_thread")]
async fn frames_come_back_as_they_were_sent() {
    let mut socket = WebSocket::open(&old(&Stack::start().await.engine)).await;
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "4hello");
    socket.send_bytes([4, 1, 2, 3]).await;
    assert_eq!(socket.frame().await, [4, 1, 2, 3].into());
}

/// <https://github.com/socketio/engine.io-protocol/tree/v3#2-ping>
#[tokio::test(flavor = "multi_thread")]
async fn the_client_pings_and_the_server_answers() {
    let (endpoints, _chat) = everywhere().await;
    for endpoint in &endpoints.each_ref().map(old) {
        let session = Polling::open(endpoint).await;
        let mut socket = WebSocket::open(endpoint).await;
        for _ in 0..3 {
            assert_eq!(session.post("1:2").await, (200, "ok".into()));
            assert!(poll_until(&session, "1:3").await);
            socket.send("2").await;
            while socket.text().await != "3" {}
        }
    }
}

/// Polls until this packet comes; under Socket.IO, the namespace's packets come first.
async fn poll_until(session: &Polling, packet: &str) -> bool {
    loop {
        match session.poll().await {
            (200, payload) if payload.ends_with(packet) => return true,
            (200, payload) => assert!(payload.contains(":40"), "{payload}"),
            (status, _) => panic!("{status}"),
        }
    }
}

/// <https://github.com/socketio/engine.io-protocol/tree/v3#timeouts>
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_ping_is_closed() {
    let short = Duration::from_millis(50);
    let settings = Settings {
        ping_interval: short,
        ping_timeout: short,
        ..PATIENT
    };
    let endpoint = old(&Stack::with(settings).await.engine);
    assert!(WebSocket::open(&endpoint).await.is_closed().await);
    Polling::open(&endpoint).await.rest().await;
}

/// <https://github.com/socketio/engine.io-protocol/tree/v3#transport-upgrading>
#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_by_websocket() {
    let session = Polling::open(&old(&Stack::start().await.engine)).await;
    let mut socket = session.websocket().await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    assert_eq!(session.poll().await, (200, "1:6".into()));
    socket.send("5").await;
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "4hello");
}

/// <https://github.com/socketio/socket.io-protocol/tree/v4#connection-to-the-default-namespace>
///
/// The protocol refuses an unknown namespace with a text; the library sends the object of later
/// versions.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_in_the_main_namespace_at_once() {
    let mut socket = WebSocket::open(&old(&Stack::start().await.socket_io)).await;
    for (sent, expected) in [
        ("", &["40", r#"42["auth",{}]"#][..]),
        (r#"42["message",1,"2"]"#, &[r#"42["message-back",1,"2"]"#]),
        (r#"427["message-with-ack",1]"#, &["437[1]"]),
        ("40/custom", &["40/custom,", r#"42/custom,["auth",{}]"#]),
        ("40/nope", &[r#"44/nope,{"message":"Invalid namespace"}"#]),
    ] {
        if !sent.is_empty() {
            socket.send(sent).await;
        }
        for frame in expected {
            assert_eq!(socket.frame().await, Frame::from(*frame), "{sent}");
        }
    }
}
