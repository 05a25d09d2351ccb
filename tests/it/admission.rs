//! Admission: the number of connections and sessions, the time to enter the chat, and the bytes
//! until then.

use std::time::Duration;

use parlor::testing::{net::MAX_HEADER_BYTES, realtime};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Database, RawClient, Server,
    engine::{Endpoint, Frame, Polling, WebSocket},
    eventually,
    http::HttpConnection,
};

/// The target of a request for a new session.
const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// Returns the header of a proxy that forwards for a client.
fn on_behalf_of(client: &str) -> String {
    format!("x-forwarded-for: {client}\r\n")
}

async fn server(flags: &[&str]) -> Server {
    Server::on(Database::sqlite(), flags).await
}

/// The server's endpoint, for a version of the protocol.
fn endpoint(server: &Server, version: u8) -> Endpoint {
    Endpoint {
        address: server.address(),
        path: realtime::PATH,
        version,
        http: Client::new(),
    }
}

/// Connects from one of this machine's addresses; returns `None` if the server closes the
/// connection at once.
async fn admitted_from(last: u8, server: &Server) -> Option<HttpConnection> {
    let mut connection = HttpConnection::from([127, 0, 0, last].into(), server.address()).await;
    (connection.ask("/healthz", "").await == Some(200)).then_some(connection)
}

async fn joined(server: &Server, user: &str) -> RawClient {
    let mut client = server.raw(user).await;
    assert_eq!(
        client.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
    client
}

async fn say(client: &mut RawClient) -> Value {
    client
        .call("sendMessage", json!({ "roomId": "r", "message": "hi" }))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_closed_and_the_others_chat_on() {
    let server = server(&["--max-connections=8"]).await;
    let [mut ann, bob] = [joined(&server, "ann").await, joined(&server, "bob").await];
    let mut others = vec![];
    // Until then the readiness probe's connection may hold a slot.
    eventually("all places to be taken", async || {
        others.extend(admitted_from(1, &server).await);
        others.len() == 6
    })
    .await;
    assert!(admitted_from(1, &server).await.is_none());
    assert_eq!(say(&mut ann).await["status"], "ok");
    assert_eq!(others[0].ask("/healthz", "").await, Some(200));
    drop(bob);
    eventually("bob's place", async || {
        admitted_from(1, &server).await.is_some()
    })
    .await;
    assert_eq!(say(&mut ann).await["message"]["seq"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_from_one_address_are_limited_and_other_addresses_have_their_own() {
    let server = server(&["--max-connections-per-address=2"]).await;
    let (first, second) = (
        admitted_from(2, &server).await,
        admitted_from(2, &server).await,
    );
    assert!(first.is_some() && second.is_some());
    assert!(admitted_from(2, &server).await.is_none());
    assert!(admitted_from(3, &server).await.is_some());
    drop(first);
    eventually("a place", async || {
        admitted_from(2, &server).await.is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_a_clients_sessions_are_limited_on_any_transport() {
    let server = server(&[
        "--max-connections-per-address=2",
        "--trusted-proxies=10.1.2.3, 127.0.0.0/8",
    ])
    .await;
    let mut tunnels = vec![];
    for _ in 0..5 {
        tunnels.push(
            admitted_from(1, &server)
                .await
                .expect("a proxy's own connections do not count"),
        );
    }
    let session = async |client: &str| {
        let mut proxy = HttpConnection::open(server.address()).await;
        proxy.ask(HANDSHAKE, &on_behalf_of(client)).await
    };
    let websocket = async |client: &str| {
        let headers = [("x-forwarded-for", client)];
        WebSocket::attempt_with(&headers, &endpoint(&server, 4), "EIO=4&transport=websocket").await
    };
    assert_eq!(session("203.0.113.1").await, Some(200));
    let mut second = websocket("203.0.113.1").await.unwrap();
    second.send(r#"40{"userId":"ann"}"#).await;
    while !second.text().await.starts_with("40") {}
    assert_eq!(session("203.0.113.1").await, Some(429));
    assert_eq!(websocket("203.0.113.1").await.err(), Some(429));
    assert_eq!(
        session("198.51.100.1, 203.0.113.1, 10.1.2.3").await,
        Some(429)
    );
    assert_eq!(session("203.0.113.2").await, Some(200));
    drop(second);
    eventually("a place", async || {
        session("203.0.113.1").await == Some(200)
    })
    .await;
}

/// In about one attempt of ten, the server's first packet meets a broken connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_breaks_before_its_first_packet_frees_its_slot() {
    let server = server(&[
        "--max-connections-per-address=5",
        "--trusted-proxies=127.0.0.0/8",
    ])
    .await;
    let client = on_behalf_of("203.0.113.1");
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut begun = 0;
    eventually("the sessions to begin and break", async || {
        let mut proxy = HttpConnection::open(server.address()).await;
        let path = "/socket.io/?EIO=3&transport=websocket";
        begun += u32::from(proxy.ask(path, &format!("{client}{upgrade}")).await == Some(101));
        proxy.reset();
        begun == 300
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_connects_too_often_is_told_when_to_retry() {
    let flags = [
        "--connects-per-second=1",
        "--connect-burst=3",
        "--trusted-proxies=127.0.0.0/8",
    ];
    let server = server(&flags).await;
    let mut proxy = HttpConnection::open(server.address()).await;
    let (ann, bob) = (on_behalf_of("203.0.113.1"), on_behalf_of("2001:db8::1"));
    for _ in 0..3 {
        assert_eq!(proxy.ask(HANDSHAKE, &ann).await, Some(200));
    }
    let url = format!("{}{HANDSHAKE}", server.url());
    let refused = Client::new()
        .get(url)
        .header("x-forwarded-for", "203.0.113.1")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    let refusal: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(
        (&refusal["error"]["code"], &refusal["error"]["retryable"]),
        (&json!("RATE_LIMITED"), &json!(true))
    );
    let wait = refusal["error"]["retryAfterMs"].as_u64().unwrap();
    assert!((1..=1_000).contains(&wait), "{refusal}");
    assert_eq!(proxy.ask(HANDSHAKE, &bob).await, Some(200));
    tokio::time::sleep(Duration::from_millis(wait)).await;
    assert_eq!(proxy.ask(HANDSHAKE, &ann).await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_own_forwarded_header_does_not_count() {
    let server = server(&[
        "--max-connections-per-address=2",
        "--trusted-proxies=10.1.2.3",
    ])
    .await;
    let mut first = HttpConnection::from([127, 0, 0, 2].into(), server.address()).await;
    for (client, status) in [
        ("203.0.113.1", 200),
        ("203.0.113.2", 200),
        ("10.1.2.3", 429),
        ("203.0.113.3", 429),
    ] {
        assert_eq!(
            first.ask(HANDSHAKE, &on_behalf_of(client)).await,
            Some(status),
            "{client}"
        );
    }
    let _second = HttpConnection::from([127, 0, 0, 2].into(), server.address()).await;
    let mut third = HttpConnection::from([127, 0, 0, 2].into(), server.address()).await;
    assert_eq!(
        third.ask(HANDSHAKE, &on_behalf_of("203.0.113.2")).await,
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_over_the_limit_are_refused() {
    let server = server(&[]).await;
    let request = |padding: usize| {
        format!(
            "GET /healthz HTTP/1.1\r\nhost: parlor\r\nx: {}\r\n\r\n",
            "x".repeat(padding)
        )
    };
    let most = MAX_HEADER_BYTES - request(0).len();
    for (padding, status) in [(most, 200), (most + 1, 431), (2 * MAX_HEADER_BYTES, 431)] {
        let mut connection = HttpConnection::open(server.address()).await;
        connection.send(request(padding)).await.unwrap();
        assert_eq!(connection.status().await, Some(status), "{padding}");
    }
    let mut connection = HttpConnection::open(server.address()).await;
    let many: String = (0..200).map(|number| format!("x{number}: x\r\n")).collect();
    assert_eq!(connection.ask("/healthz", &many).await, Some(431));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_request_in_time_is_closed() {
    let server = server(&["--handshake-timeout-ms=1000"]).await;
    let mut silent = HttpConnection::open(server.address()).await;
    let mut slow = HttpConnection::open(server.address()).await;
    slow.send("GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
    let mut asked = HttpConnection::open(server.address()).await;
    assert_eq!(asked.ask("/healthz", "").await, Some(200));
    silent.ended().await;
    slow.ended().await;
    assert_eq!(asked.ask("/healthz", "").await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_does_not_enter_the_chat_in_time_is_closed() {
    let server = server(&["--handshake-timeout-ms=1000"]).await;
    let mut member = joined(&server, "ann").await;
    assert!(
        WebSocket::open(&endpoint(&server, 4))
            .await
            .is_closed()
            .await
    );
    Polling::open(&endpoint(&server, 4)).await.rest().await;
    assert_eq!(say(&mut member).await["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_left_the_chat_is_closed_unless_it_enters_again_in_time() {
    let server = server(&["--handshake-timeout-ms=2000"]).await;
    let [mut left, mut back] = [
        WebSocket::open(&endpoint(&server, 4)).await,
        WebSocket::open(&endpoint(&server, 4)).await,
    ];
    for socket in [&mut left, &mut back] {
        socket.send(r#"40{"userId":"ann"}"#).await;
        assert!(socket.text().await.starts_with("40{"));
        socket.send("41").await;
    }
    // The library does not answer while it removes the old socket.
    eventually("ann to be back", async || {
        back.send(r#"40{"userId":"ann"}"#).await;
        timeout(Duration::from_millis(20), back.text())
            .await
            .is_ok()
    })
    .await;
    assert_eq!(left.frame().await, Frame::Closed);
    back.send(r#"422["barrier",{}]"#).await;
    assert!(back.text().await.starts_with("432["));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_that_is_refused_does_not_keep_its_session() {
    let server = server(&[
        "--handshake-timeout-ms=200",
        "--jwt-secret=0123456789abcdef0123456789abcdef",
    ])
    .await;
    let mut socket = WebSocket::open(&endpoint(&server, 3)).await;
    assert!(socket.text().await.starts_with("44"));
    assert_eq!(socket.frame().await, Frame::Closed);
    let session = Polling::open(&endpoint(&server, 3)).await;
    assert!(session.poll().await.1.contains("UNAUTHORIZED"));
    eventually("the session's requests to be refused", async || {
        session.post("1:2").await.0 == 400
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_does_not_arrive_in_time_is_given_up() {
    let server = server(&["--ping-interval-ms=1000", "--ping-timeout-ms=1000"]).await;
    let session = Polling::open(&endpoint(&server, 4)).await;
    let sid = session.handshake["sid"].as_str().unwrap();
    let mut slow = HttpConnection::open(server.address()).await;
    slow.send(format!(
        "POST {HANDSHAKE}&sid={sid} HTTP/1.1\r\nhost: parlor\r\ncontent-length: 100\r\n\r\n40"
    ))
    .await
    .unwrap();
    assert_eq!(slow.status().await, Some(408));
    slow.ended().await;
}
