//! <https://socket.io/docs/v4/engine-io-protocol/#websocket>

use super::{Stack, everywhere};
use crate::support::engine::{Frame, WebSocket};

const MAX_PAYLOAD: usize = 1_000_000;

/// <https://socket.io/docs/v4/engine-io-protocol/#websocket-1>
#[tokio::test(flavor = "multi_thread")]
async fn frames_come_back_as_they_were_sent() {
    let mut socket = WebSocket::open(&Stack::start().await.engine).await;
    for text in ["4hello", "4", "4€ 😀", "4one\x1e4two", "4bAQIDBA=="] {
        socket.send(text).await;
        assert_eq!(socket.frame().await, text.into());
    }
    for bytes in [&[1, 2, 3, 4][..], b"4", &[]] {
        socket.send_bytes(bytes).await;
        assert_eq!(socket.frame().await, Frame::Binary(bytes.into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_cannot_be_read_closes_the_session() {
    let (endpoints, _chat) = everywhere().await;
    for frame in ["abc", "", "7", "é", "0", "5", "3probe"] {
        for endpoint in &endpoints {
            let mut socket = WebSocket::open(endpoint).await;
            socket.send(frame).await;
            assert!(socket.is_closed().await, "{frame:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_the_most_bytes_is_accepted_and_a_larger_one_closes_the_session() {
    let (endpoints, _chat) = everywhere().await;
    let text = |bytes| format!("4{}", "x".repeat(bytes - 1));
    let mut socket = WebSocket::open(&endpoints[0]).await;
    socket.send(text(MAX_PAYLOAD)).await;
    assert!(socket.text().await == text(MAX_PAYLOAD));
    for endpoint in &endpoints {
        let mut socket = WebSocket::open(endpoint).await;
        socket.send_refused(text(MAX_PAYLOAD + 1)).await;
        assert!(socket.is_closed().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_packet_ends_the_session() {
    let (endpoints, _chat) = everywhere().await;
    for endpoint in &endpoints {
        let mut socket = WebSocket::open(endpoint).await;
        socket.send("1").await;
        assert!(socket.is_closed().await);
    }
}
