//! <https://socket.io/docs/v4/engine-io-protocol/#handshake>

use reqwest::{
    Method,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, ORIGIN},
};
use serde_json::{Value, json};

use super::{NEVER, Stack, everywhere};
use crate::support::{
    engine::{Polling, WebSocket, answer},
    within_deadline,
};

const HANDSHAKE: &str = "EIO=4&transport=polling";

/// Returns the complete payload of an open packet.
fn open(sid: &Value, upgrades: Value) -> Value {
    assert!(!sid.as_str().unwrap().is_empty());
    let never = NEVER.as_millis() as u64;
    json!({"sid": sid, "upgrades": upgrades, "pingInterval": never, "pingTimeout": never, "maxPayload": 1_000_000})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polling_session_opens() {
    let (endpoints, _chat) = everywhere().await;
    for endpoint in &endpoints {
        let response = within_deadline(
            "a handshake",
            endpoint.request(Method::GET, HANDSHAKE).send(),
        )
        .await
        .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.headers()[CONTENT_TYPE],
            "text/plain; charset=UTF-8"
        );
        let packet = response.text().await.unwrap();
        let handshake: Value = serde_json::from_str(packet.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(handshake, open(&handshake["sid"], json!(["websocket"])));
        assert_ne!(
            Polling::open(endpoint).await.handshake["sid"],
            handshake["sid"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_session_opens() {
    let (endpoints, _chat) = everywhere().await;
    for endpoint in &endpoints {
        let (_socket, handshake) = WebSocket::unanswered(endpoint).await;
        assert_eq!(handshake, open(&handshake["sid"], json!([])));
    }
}

/// <https://socket.io/docs/v4/engine-io-protocol/#query-parameters>
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_handshake_is_refused() {
    let (endpoints, _chat) = everywhere().await;
    for (method, query) in [
        (Method::GET, ""),
        (Method::GET, "transport=polling"),
        (Method::GET, "EIO=&transport=polling"),
        (Method::GET, "EIO=abc&transport=polling"),
        (Method::GET, "EIO=2&transport=polling"),
        (Method::GET, "EIO=5&transport=polling"),
        (Method::GET, "EIO=4"),
        (Method::GET, "EIO=4&transport="),
        (Method::GET, "EIO=4&transport=abc"),
        (Method::GET, "EIO=4&transport=websocket"),
        (Method::POST, HANDSHAKE),
        (Method::PUT, HANDSHAKE),
        (Method::DELETE, HANDSHAKE),
    ] {
        for endpoint in &endpoints {
            let (status, body) = answer(endpoint.request(method.clone(), query)).await;
            assert_eq!(status, 400, "{method} {query}: {body}");
        }
    }
}

/// <https://socket.io/docs/v4/engine-io-protocol/#sending-and-receiving-data>
#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_an_unknown_session_is_refused() {
    let (endpoints, _chat) = everywhere().await;
    for sid in [
        "AAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAA",
        "x",
        "",
        "%00",
        "../../etc",
    ] {
        for endpoint in &endpoints {
            for method in [Method::GET, Method::POST] {
                let (status, body) = answer(
                    endpoint
                        .request(method, &format!("{HANDSHAKE}&sid={sid}"))
                        .body("4"),
                )
                .await;
                assert_eq!(status, 400, "{sid}: {body}");
            }
        }
    }
}

/// <https://socket.io/docs/v4/engine-io-protocol/#websocket>
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_websocket_handshake_is_refused() {
    let (endpoints, _chat) = everywhere().await;
    for query in [
        "transport=websocket",
        "EIO=abc&transport=websocket",
        "EIO=4",
        "EIO=4&transport=abc",
    ] {
        for endpoint in &endpoints {
            assert_eq!(
                WebSocket::attempt(endpoint, query).await.err(),
                Some(400),
                "{query}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_for_an_unknown_session_is_refused() {
    let (endpoints, _chat) = everywhere().await;
    for endpoint in &endpoints {
        let query = "EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA";
        assert_eq!(WebSocket::attempt(endpoint, query).await.err(), Some(400));
    }
}

/// This is not a rule of the protocol: it shows that the tests run against Parlor's own stack.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_gets_no_session() {
    let Stack { engine, socket_io } = Stack::start().await;
    for endpoint in [&engine, &socket_io] {
        let own = format!("http://{}", endpoint.address);
        for (origin, polling, websocket) in
            [("http://evil.example", 403, 403), (own.as_str(), 200, 101)]
        {
            let handshake = endpoint
                .request(Method::GET, HANDSHAKE)
                .header(ORIGIN, origin);
            let response = within_deadline("an answer", handshake.send())
                .await
                .unwrap();
            assert_eq!(response.status(), polling, "{origin}");
            assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], origin);
            let opened = WebSocket::attempt_with(
                &[("origin", origin)],
                endpoint,
                "EIO=4&transport=websocket",
            )
            .await;
            assert_eq!(opened.err().unwrap_or(101), websocket, "{origin}");
        }
    }
}
