//! <https://socket.io/docs/v4/socket-io-protocol/#connection-to-a-namespace>

use std::time::Duration;

use parlor::testing::realtime::Settings;
use serde_json::Value;

use super::{PATIENT, Stack, connected, everywhere};
use crate::support::engine::{Polling, WebSocket};

/// Asserts that a packet answers a CONNECT, with nothing in it but an identifier.
fn assert_connect(packet: &str, namespace: &str) {
    let payload = packet
        .strip_prefix(&format!("40{namespace}"))
        .unwrap_or_else(|| panic!("{packet}"));
    let payload: Value = serde_json::from_str(payload).unwrap();
    assert!(
        payload
            .as_object()
            .is_some_and(|fields| fields.len() == 1 && fields["sid"].is_string()),
        "{packet}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_enters_a_namespace_and_its_payload_arrives() {
    let endpoint = Stack::start().await.socket_io;
    for (connect, namespace, auth) in [
        ("40", "", "{}"),
        (r#"40{"token":"123"}"#, "", r#"{"token":"123"}"#),
        ("40/custom,", "/custom,", "{}"),
        ("40/custom", "/custom,", "{}"),
        (
            r#"40/custom,{"token":"abc"}"#,
            "/custom,",
            r#"{"token":"abc"}"#,
        ),
    ] {
        let mut socket = WebSocket::open(&endpoint).await;
        socket.send(connect).await;
        assert_connect(&socket.text().await, namespace);
        assert_eq!(
            socket.text().await,
            format!(r#"42{namespace}["auth",{auth}]"#),
            "{connect}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_enters_a_namespace_by_polling() {
    let session = Polling::open(&Stack::start().await.socket_io).await;
    assert_eq!(
        session.post(r#"40{"token":"123"}"#).await,
        (200, "ok".into())
    );
    let mut packets = vec![];
    while packets.len() < 2 {
        packets.extend(session.poll().await.1.split('\x1e').map(str::to_owned));
    }
    assert_connect(&packets[0], "");
    assert_eq!(packets[1], r#"42["auth",{"token":"123"}]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_namespace_is_refused_and_the_connection_stays() {
    let ([_, stack, chat], _server) = everywhere().await;
    for endpoint in [&stack, &chat] {
        let mut socket = WebSocket::open(endpoint).await;
        for nope in ["40/nope", "40/nope,", r#"40/nope,{"token":"123"}"#] {
            socket.send(nope).await;
            assert_eq!(
                socket.text().await,
                r#"44/nope,{"message":"Invalid namespace"}"#
            );
        }
        socket.send("40").await;
        assert_connect(&socket.text().await, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_shared_by_namespaces() {
    let mut socket = WebSocket::open(&Stack::start().await.socket_io).await;
    for namespace in ["", "/custom,"] {
        socket.send(format!("40{namespace}")).await;
        assert_connect(&socket.text().await, namespace);
        assert_eq!(
            socket.text().await,
            format!(r#"42{namespace}["auth",{{}}]"#)
        );
    }
    for namespace in ["", "/custom,"] {
        socket.send(format!(r#"42{namespace}["message",1]"#)).await;
        assert_eq!(
            socket.text().await,
            format!(r#"42{namespace}["message-back",1]"#)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connect_packet_changes_nothing() {
    let mut socket = connected(&Stack::start().await.socket_io).await;
    socket.send("40").await;
    socket.send(r#"420["message-with-ack",1]"#).await;
    assert_eq!(socket.text().await, "430[1]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_begins_with_another_packet_is_closed() {
    let ([_, stack, chat], _server) = everywhere().await;
    for packet in [
        r#"42["message",1]"#,
        r#"420["joinRoom",{}]"#,
        "41",
        "430[1]",
        r#"44{"message":"no"}"#,
    ] {
        for endpoint in [&stack, &chat] {
            let mut socket = WebSocket::open(endpoint).await;
            socket.send(packet).await;
            assert!(socket.is_closed().await, "{packet}");
        }
    }
}

/// The protocol sets no time limit; the library has the same one as Node's server.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_enters_no_namespace_is_closed() {
    let endpoint = Stack::with(Settings {
        handshake_timeout: Duration::from_millis(500),
        ..PATIENT
    })
    .await
    .socket_io;
    assert!(WebSocket::open(&endpoint).await.is_closed().await);
}

/// <https://socket.io/docs/v4/socket-io-protocol/#disconnection-from-a-namespace>
#[tokio::test(flavor = "multi_thread")]
async fn a_client_leaves_one_namespace_and_stays_in_the_other() {
    for leave in ["41/custom,", "41/custom"] {
        let mut socket = connected(&Stack::start().await.socket_io).await;
        socket.send("40/custom,").await;
        assert_connect(&socket.text().await, "/custom,");
        assert_eq!(socket.text().await, r#"42/custom,["auth",{}]"#);
        socket.send(leave).await;
        socket
            .send(r#"42["message","to the main namespace"]"#)
            .await;
        assert_eq!(
            socket.text().await,
            r#"42["message-back","to the main namespace"]"#
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_left_may_come_back_by_the_same_connection() {
    let mut socket = connected(&Stack::start().await.socket_io).await;
    for _ in 0..3 {
        socket.send("41").await;
        socket.send("40").await;
        assert_connect(&socket.text().await, "");
        assert_eq!(socket.text().await, r#"42["auth",{}]"#);
    }
}
