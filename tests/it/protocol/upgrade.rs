//! <https://socket.io/docs/v4/engine-io-protocol/#upgrade>

use futures_util::future::join;

use super::{Stack, everywhere};
use crate::support::engine::{Endpoint, Polling, WebSocket};

/// A session after its client's upgrade packet.
async fn upgraded(endpoint: &Endpoint) -> (Polling, WebSocket) {
    let session = Polling::open(endpoint).await;
    let mut socket = session.probed().await;
    socket.send("5").await;
    (session, socket)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_by_websocket() {
    let (endpoints, _chat) = everywhere().await;
    for endpoint in &endpoints {
        let session = Polling::open(endpoint).await;
        let (waiting, mut socket) = join(session.poll(), session.probed()).await;
        assert_eq!(waiting, (200, "6".into()));
        assert_eq!(session.poll().await, (200, "6".into()));
        socket.send("5").await;
        socket.send("1").await;
        assert!(socket.is_closed().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_packet_is_lost_or_reordered_in_an_upgrade() {
    let session = Polling::open(&Stack::start().await.engine).await;
    session.post("4before").await;
    let mut socket = session.probed().await;
    session.post("4between\x1ebAQID").await;
    socket.send("5").await;
    socket.send("4after").await;
    assert_eq!(socket.text().await, "4before");
    assert_eq!(socket.text().await, "4between");
    assert_eq!(socket.frame().await, [1, 2, 3].into());
    assert_eq!(socket.text().await, "4after");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_session_is_not_polled() {
    let (session, mut socket) = upgraded(&Stack::start().await.engine).await;
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "4hello");
    assert_eq!(
        (session.poll().await.0, session.post("4hello").await.0),
        (400, 400)
    );
    socket.send("4still here").await;
    assert_eq!(socket.text().await, "4still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_session_has_one_websocket() {
    let (session, mut socket) = upgraded(&Stack::start().await.engine).await;
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "4hello");
    assert!(session.websocket().await.is_closed().await);
    socket.send("4still here").await;
    assert_eq!(socket.text().await, "4still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_probe_ends_the_websocket_and_polling_goes_on() {
    let (endpoints, _chat) = everywhere().await;
    for frame in ["2", "3probe", "4hello", "5", "abc", ""] {
        for endpoint in &endpoints {
            let session = Polling::open(endpoint).await;
            let mut socket = session.websocket().await;
            socket.send(frame).await;
            assert!(socket.is_closed().await, "{frame:?}");
            assert_eq!(session.post("3").await, (200, "ok".into()));
        }
    }
}

/// A middlebox may reset the probe or swallow it: polling goes on, and another WebSocket may be
/// tried.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_broken_off_or_hanging_leaves_the_session_to_polling() {
    let session = Polling::open(&Stack::start().await.engine).await;
    let _hanging = {
        let mut broken = session.probed().await;
        broken.close().await;
        assert!(broken.is_closed().await);
        assert_eq!(session.post("4one").await, (200, "ok".into()));
        assert_eq!(session.poll().await, (200, "4one".into()));
        session.probed().await
    };
    for text in ["4two", "4three"] {
        assert_eq!(session.post(text).await, (200, "ok".into()));
        assert_eq!(session.poll().await, (200, text.into()));
    }
    assert!(session.websocket().await.is_closed().await);
}
