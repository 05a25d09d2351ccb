//! Plain HTTP: the page, the client's bundle, health, and the allowed origins.

use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, ORIGIN,
    },
};
use serde_json::Value;
use testkit::wire::{Carrier, Endpoint, HandshakeError, WebSocket};

use super::assert_error;
use crate::support::{Database, Server, within_deadline};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";
const FOREIGN: &str = "http://evil.example";

async fn answer(request: RequestBuilder) -> Response {
    within_deadline("an HTTP answer", request.send())
        .await
        .unwrap()
}

fn get(server: &Server, path: &str) -> RequestBuilder {
    Client::new().get(format!("{}{path}", server.url()))
}

fn header(response: &Response, name: HeaderName) -> &str {
    response
        .headers()
        .get(&name)
        .map_or("", |value| value.to_str().unwrap())
}

async fn handshake(server: &Server, origin: &str) -> Response {
    answer(get(server, HANDSHAKE).header(ORIGIN, origin)).await
}

/// Returns the status of a WebSocket's handshake.
async fn websocket(server: &Server, origin: Option<&str>) -> u16 {
    let endpoint = Endpoint::new(server.address());
    let query = endpoint.query(Carrier::WebSocket, None);
    let origin = origin.map(|origin| ("origin", origin));
    let opening = WebSocket::open(&endpoint, &query, origin.as_slice());
    match within_deadline("the handshake", opening).await {
        Ok(_) => 101,
        Err(HandshakeError::Refused(status)) => status,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_server_is_healthy_and_ready() {
    for server in Server::on_each_kind().await {
        for path in ["/healthz", "/readyz"] {
            assert_eq!(
                answer(get(&server, path)).await.status(),
                StatusCode::OK,
                "{path}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_served_and_may_talk_to_this_server_only() {
    let server = Server::start().await;
    let page = answer(get(&server, "/")).await;
    assert_eq!(
        (page.status(), header(&page, CONTENT_TYPE)),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
    let policy = header(&page, CONTENT_SECURITY_POLICY);
    assert!(
        policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"),
        "{policy}"
    );
    let permissions = header(&page, HeaderName::from_static("permissions-policy"));
    let own = permissions.split(", ").filter(|one| !one.ends_with("=()"));
    assert_eq!(
        Vec::from_iter(own),
        [
            "camera=(self)",
            "microphone=(self)",
            "display-capture=(self)",
            "fullscreen=(self)",
            "clipboard-write=(self)"
        ]
    );
    let html = page.text().await.unwrap();
    assert!(
        html.contains("socket.io/socket.io") && !html.contains("https://"),
        "{html}"
    );
    for (path, kind) in [
        ("/app.js", "text/javascript"),
        ("/style.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let file = answer(get(&server, path)).await;
        assert_eq!(file.status(), StatusCode::OK, "{path}");
        assert!(header(&file, CONTENT_TYPE).starts_with(kind), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_import_the_client_module() {
    let server = Server::start().await;
    for (path, kind) in [
        ("/parlor-client.js", "text/javascript; charset=utf-8"),
        ("/parlor-call.js", "text/javascript; charset=utf-8"),
        ("/parlor-devices.js", "text/javascript; charset=utf-8"),
        ("/parlor-party.js", "text/javascript; charset=utf-8"),
        ("/parlor-peer.js", "text/javascript; charset=utf-8"),
        ("/parlor-servers.js", "text/javascript; charset=utf-8"),
        ("/parlor-stats.js", "text/javascript; charset=utf-8"),
        ("/parlor-outbox.js", "text/javascript; charset=utf-8"),
        ("/parlor-changes.js", "text/javascript; charset=utf-8"),
        ("/parlor-reads.js", "text/javascript; charset=utf-8"),
        ("/parlor-request.js", "text/javascript; charset=utf-8"),
        ("/parlor-rooms.js", "text/javascript; charset=utf-8"),
        ("/parlor.d.ts", "text/plain; charset=utf-8"),
        (
            "/socket.io/socket.io.esm.min.js",
            "text/javascript; charset=utf-8",
        ),
    ] {
        let file = answer(get(&server, path).header(ORIGIN, FOREIGN)).await;
        assert_eq!(
            (file.status(), header(&file, CONTENT_TYPE)),
            (StatusCode::OK, kind),
            "{path}"
        );
        assert_eq!(header(&file, ACCESS_CONTROL_ALLOW_ORIGIN), "*", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_bundles_are_served_as_nodes_server_does() {
    assert!(
        parlor::testing::http::has_client(),
        "built without the npm package socket.io-client"
    );
    let server = Server::start().await;
    for (name, kind) in [
        ("socket.io.js", "text/javascript; charset=utf-8"),
        ("socket.io.min.js", "text/javascript; charset=utf-8"),
        ("socket.io.esm.min.js", "text/javascript; charset=utf-8"),
        ("socket.io.js.map", "application/json"),
        ("socket.io.min.js.map", "application/json"),
        ("socket.io.esm.min.js.map", "application/json"),
    ] {
        let path = format!("/socket.io/{name}");
        let file = answer(get(&server, &path)).await;
        assert_eq!(
            (file.status(), header(&file, CONTENT_TYPE)),
            (StatusCode::OK, kind),
            "{name}"
        );
        let etag = header(&file, ETAG).to_owned();
        assert!(file.text().await.unwrap().contains("socket"), "{name}");

        let again = answer(get(&server, &path).header(IF_NONE_MATCH, &etag)).await;
        assert_eq!(
            (again.status(), header(&again, ETAG)),
            (StatusCode::NOT_MODIFIED, etag.as_str()),
            "{name}"
        );
        assert_eq!(again.bytes().await.unwrap().len(), 0);
        let other = answer(get(&server, &path).header(IF_NONE_MATCH, "W/\"other\"")).await;
        assert_eq!(other.status(), StatusCode::OK, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_path_is_not_found() {
    let server = Server::start().await;
    for path in [
        "/nope",
        "/socket.io/nope.js",
        "/socket.io/..%2f..%2fCargo.toml",
        "/%2e%2e/Cargo.toml",
    ] {
        assert_eq!(
            answer(get(&server, path)).await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_may_not_connect() {
    let server = Server::start().await;
    let port = server.address().port();
    for origin in [
        FOREIGN,
        "null",
        "",
        &format!("http://127.0.0.1:{}", port ^ 1),
        &format!("http://localhost:{port}"),
    ] {
        let refused = handshake(&server, origin).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{origin:?}");
        assert_eq!(header(&refused, CONTENT_TYPE), "application/json");
        let body: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
        assert_error(&body["error"], "FORBIDDEN");
        assert_eq!(websocket(&server, Some(origin)).await, 403, "{origin:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_page_and_programs_may_connect() {
    let server = Server::start().await;
    for origin in [server.url(), server.url().replace("http:", "https:")] {
        assert_eq!(
            handshake(&server, &origin).await.status(),
            StatusCode::OK,
            "{origin}"
        );
        assert_eq!(websocket(&server, Some(&origin)).await, 101, "{origin}");
    }
    assert_eq!(
        answer(get(&server, HANDSHAKE)).await.status(),
        StatusCode::OK
    );
    assert_eq!(websocket(&server, None).await, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listed_origins_may_connect_and_no_others() {
    let flag = "--allowed-origins=https://a.example, http://b.example:8080";
    let server = Server::on(Database::sqlite(), &[flag]).await;
    let own = server.url();
    for origin in ["https://a.example", "http://b.example:8080", &own] {
        let allowed = handshake(&server, origin).await;
        assert_eq!(
            (
                allowed.status(),
                header(&allowed, ACCESS_CONTROL_ALLOW_ORIGIN)
            ),
            (StatusCode::OK, origin)
        );
        assert_eq!(header(&allowed, ACCESS_CONTROL_ALLOW_CREDENTIALS), "true");
        assert_eq!(websocket(&server, Some(origin)).await, 101);
    }
    for origin in [
        "http://a.example",
        "http://b.example",
        "https://a.example.evil.example",
        FOREIGN,
    ] {
        assert_eq!(
            handshake(&server, origin).await.status(),
            StatusCode::FORBIDDEN,
            "{origin}"
        );
        assert_eq!(websocket(&server, Some(origin)).await, 403, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_origins_may_connect_where_that_is_set() {
    let server = Server::on(Database::sqlite(), &["--allowed-origins=*"]).await;
    let allowed = handshake(&server, FOREIGN).await;
    assert_eq!(
        (
            allowed.status(),
            header(&allowed, ACCESS_CONTROL_ALLOW_ORIGIN)
        ),
        (StatusCode::OK, FOREIGN)
    );
    assert_eq!(websocket(&server, Some(FOREIGN)).await, 101);
    let url = format!("{}{HANDSHAKE}", server.url());
    let preflight = Client::new().request(reqwest::Method::OPTIONS, url);
    let preflight = preflight
        .header(ORIGIN, FOREIGN)
        .header(ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let preflight = answer(preflight).await;
    assert_eq!(
        (
            preflight.status(),
            header(&preflight, ACCESS_CONTROL_ALLOW_ORIGIN)
        ),
        (StatusCode::OK, FOREIGN)
    );
    assert!(header(&preflight, ACCESS_CONTROL_ALLOW_METHODS).contains("POST"));
}
