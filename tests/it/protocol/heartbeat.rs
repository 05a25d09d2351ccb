//! <https://socket.io/docs/v4/engine-io-protocol/#heartbeat>
//!
//! The library sends its first ping at once, not after the interval.

use std::time::Duration;

use parlor::testing::realtime::Settings;

use super::{PATIENT, Stack};
use crate::support::engine::{Endpoint, Polling, WebSocket};

const SHORT: Duration = Duration::from_millis(50);

async fn with(settings: Settings) -> [Endpoint; 2] {
    let stack = Stack::with(settings).await;
    [stack.engine, stack.socket_io]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_answers_is_pinged_again() {
    for endpoint in &with(Settings {
        ping_interval: SHORT,
        ..PATIENT
    })
    .await
    {
        let polling = Polling::open(endpoint).await;
        let mut websocket = WebSocket::open(endpoint).await;
        for _ in 0..3 {
            assert_eq!(polling.poll().await, (200, "2".into()));
            assert_eq!(polling.post("3").await, (200, "ok".into()));
            assert_eq!(websocket.text().await, "2");
            websocket.send("3").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_polls_and_answers_no_ping_is_closed() {
    for endpoint in &with(Settings {
        ping_timeout: SHORT,
        ..PATIENT
    })
    .await
    {
        let session = Polling::unanswered(endpoint).await;
        let packets = session.rest().await;
        assert!(
            ["", "2", "21", "2\x1e1"].contains(&packets.as_str()),
            "{packets:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_answers_no_ping_is_closed() {
    for endpoint in &with(Settings {
        ping_timeout: SHORT,
        ..PATIENT
    })
    .await
    {
        let (mut socket, _) = WebSocket::unanswered(endpoint).await;
        assert_eq!(socket.text().await, "2");
        assert!(socket.is_closed().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_no_answer_to_a_ping() {
    let [endpoint, _] = with(Settings {
        ping_timeout: 10 * SHORT,
        ..PATIENT
    })
    .await;
    let (mut socket, _) = WebSocket::unanswered(&endpoint).await;
    assert_eq!(socket.text().await, "2");
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "4hello");
    assert!(socket.is_closed().await);
}
