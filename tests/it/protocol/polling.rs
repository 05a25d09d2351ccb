//! <https://socket.io/docs/v4/engine-io-protocol/#http-long-polling>

use futures_util::future::join;

use super::{Stack, everywhere};
use crate::support::{engine::Polling, eventually};

const MAX_PAYLOAD: usize = 1_000_000;

/// <https://socket.io/docs/v4/engine-io-protocol/#http-long-polling-1>
#[tokio::test(flavor = "multi_thread")]
async fn packets_come_back_as_they_were_sent() {
    let session = Polling::open(&Stack::start().await.engine).await;
    for payload in [
        "4hello",
        "4",
        "4one\x1e4two\x1e4three",
        "4€ 😀",
        "bAQIDBA==",
        "4hello\x1ebAQIDBA==\x1e4b",
        "4a\nb",
    ] {
        assert_eq!(session.post(payload).await, (200, "ok".into()), "{payload}");
        assert_eq!(session.poll().await, (200, payload.into()));
    }
}

/// <https://socket.io/docs/v4/engine-io-protocol/#sending-and-receiving-data>
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_waits_for_a_packet() {
    let session = Polling::open(&Stack::start().await.engine).await;
    let (polled, posted) = join(session.poll(), session.post("4hello")).await;
    assert_eq!(
        (polled, posted),
        ((200, "4hello".into()), (200, "ok".into()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_cannot_be_read_closes_the_session() {
    let (endpoints, _chat) = everywhere().await;
    for payload in ["abc", "7", "b!", "\x1e", "é"] {
        for endpoint in &endpoints {
            let session = Polling::open(endpoint).await;
            assert_eq!(session.post(payload).await.0, 400, "{payload:?}");
            assert_eq!(session.poll().await.0, 400, "{payload:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_of_the_most_bytes_is_accepted_and_a_larger_one_closes_the_session() {
    let (endpoints, _chat) = everywhere().await;
    let text = |bytes| format!("4{}", "x".repeat(bytes - 1));
    let session = Polling::open(&endpoints[0]).await;
    assert_eq!(session.post(text(MAX_PAYLOAD)).await, (200, "ok".into()));
    assert_eq!(session.poll().await, (200, text(MAX_PAYLOAD)));
    for endpoint in &endpoints {
        let session = Polling::open(endpoint).await;
        assert_eq!(session.post(text(MAX_PAYLOAD + 1)).await.0, 413);
        assert_eq!(session.poll().await.0, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_do_not_fit_in_a_payload_come_in_the_next() {
    let session = Polling::open(&Stack::start().await.engine).await;
    let text = |letter: &str| format!("4{}", letter.repeat(MAX_PAYLOAD * 2 / 3));
    for letter in ["a", "b"] {
        assert_eq!(session.post(text(letter)).await, (200, "ok".into()));
    }
    for letter in ["a", "b"] {
        assert!(session.poll().await == (200, text(letter)), "{letter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_polls_at_once_close_the_session() {
    let (endpoints, _chat) = everywhere().await;
    for endpoint in &endpoints {
        let session = Polling::open(endpoint).await;
        let ((one, _), (other, _)) = join(session.poll(), session.poll()).await;
        assert_eq!((one, other), (400, 400));
        assert_eq!(session.poll().await.0, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_packet_ends_the_session_and_the_poll_that_waits() {
    let (endpoints, _chat) = everywhere().await;
    for endpoint in &endpoints {
        eventually("the poll to come before the close packet", async || {
            let session = Polling::open(endpoint).await;
            let (polled, posted) = join(session.poll(), session.post("1")).await;
            assert_eq!(posted, (200, "ok".into()));
            assert_eq!(session.poll().await.0, 400);
            polled == (200, "6".into())
        })
        .await;
    }
}
