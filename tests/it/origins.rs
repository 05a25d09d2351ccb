//! The web pages allowed to connect: the server's own and the listed ones, in each form of their
//! origin from clients and proxies.

use nix::sys::signal::Signal;
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderName, HeaderValue, ORIGIN, VARY,
    },
};
use serde_json::Value;

use crate::support::{Database, Process, Server, free_port, node, within_deadline};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";
const FOREIGN: &str = "http://evil.example";

fn request(method: Method, url: &str) -> RequestBuilder {
    Client::new().request(method, format!("{url}{HANDSHAKE}"))
}

async fn answer(request: RequestBuilder) -> Response {
    within_deadline("an HTTP answer", request.send())
        .await
        .unwrap()
}

fn header(response: &Response, name: HeaderName) -> &str {
    response
        .headers()
        .get(&name)
        .map_or("", |value| value.to_str().unwrap())
}

/// Returns true if a page may connect, by the headers of its handshake.
async fn admits(server: &Server, headers: &[(&'static str, &str)]) -> bool {
    let mut handshake = request(Method::GET, &server.url());
    for (name, value) in headers {
        handshake = handshake.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    match answer(handshake).await.status() {
        StatusCode::OK => true,
        StatusCode::FORBIDDEN => false,
        other => panic!("{other}: {headers:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_pages_may_connect_however_host_and_port_are_written() {
    let server = Server::start().await;
    for (host, origin, own) in [
        ("chat.example:443", "https://chat.example", true),
        ("chat.example:80", "http://chat.example", true),
        ("chat.example", "https://chat.example:443", true),
        ("chat.example", "http://chat.example:80", true),
        ("chat.example", "wss://chat.example", true),
        ("chat.example:443", "wss://chat.example", true),
        ("chat.example:80", "ws://chat.example:80", true),
        ("Chat.Example:443", "HTTPS://chat.EXAMPLE", true),
        ("chat.example.:443", "https://chat.example", true),
        ("chat.example", "https://chat.example.", true),
        ("xn--mller-kva.example", "https://müller.example", true),
        ("[::1]:443", "https://[::1]", true),
        ("[0:0::1]:3000", "http://[::1]:3000", true),
        ("chat.example:8443", "https://chat.example:8443", true),
        ("chat.example:443", "http://chat.example", false),
        ("chat.example:80", "https://chat.example", false),
        ("chat.example:8443", "https://chat.example", false),
        ("chat.example", "https://chat.example:8443", false),
        ("chat.example", "https://chat.example.evil.example", false),
        ("chat.example", "https://evil.example\\@chat.example", false),
        ("chat.example", "https://evil.example@chat.example", false),
        ("chat.example", "https://chat.example/path", false),
        ("chat.example", "chat.example", false),
        ("chat.example:", "https://chat.example", true),
        ("", "https://", false),
    ] {
        assert_eq!(
            admits(&server, &[("host", host), ("origin", origin)]).await,
            own,
            "{origin} at {host}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_two_origins_needs_both_allowed() {
    let server = Server::start().await;
    let own = server.url();
    for (first, second, allowed) in [
        (own.as_str(), FOREIGN, false),
        (FOREIGN, &own, false),
        (&own, &own, true),
    ] {
        assert_eq!(
            admits(&server, &[("origin", first), ("origin", second)]).await,
            allowed,
            "{first}, {second}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_adds_to_the_servers_own_host() {
    let server = Server::on(
        Database::sqlite(),
        &["--allowed-origins=https://shop.example"],
    )
    .await;
    let own = server.url();
    for (origin, allowed) in [
        ("https://shop.example", true),
        (own.as_str(), true),
        (FOREIGN, false),
    ] {
        assert_eq!(
            admits(&server, &[("origin", origin)]).await,
            allowed,
            "{origin}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_chat_on_the_servers_own_page_while_others_are_listed() {
    let server = Server::on(
        Database::sqlite(),
        &["--allowed-origins=http://localhost:8000"],
    )
    .await;
    node::run("page_chat.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_origin_matches_the_forms_that_browsers_and_boards_send() {
    let list = "--allowed-origins=null, file://, https://*.example.com, wss://live.example:443, http://port.example:80, \
        https://Bücher.example/, capacitor://localhost, https://*.tenant.example:8443";
    let server = Server::on(Database::sqlite(), &[list]).await;
    for (origin, allowed) in [
        ("null", true),
        ("file://", true),
        ("https://a.example.com", true),
        ("https://a.b.example.com:443", true),
        ("https://live.example", true),
        ("http://port.example", true),
        ("https://xn--bcher-kva.example", true),
        ("capacitor://localhost", true),
        ("https://one.tenant.example:8443", true),
        ("https://example.com", false),
        ("http://a.example.com", false),
        ("https://a.example.com:8443", false),
        ("https://aexample.com", false),
        ("https://example.com.evil.example", false),
        ("https://one.tenant.example", false),
        ("http://live.example", false),
        ("http://localhost", false),
        ("", false),
    ] {
        assert_eq!(
            admits(&server, &[("origin", origin)]).await,
            allowed,
            "{origin}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_names_the_host_of_a_page() {
    let trusting = Server::on(Database::sqlite(), &["--trusted-proxies=127.0.0.1"]).await;
    let plain = Server::start().await;
    let page = ("origin", "https://chat.example:8443");
    for (forwarded, allowed) in [
        (&[("x-forwarded-host", "chat.example:8443")][..], true),
        (
            &[
                ("x-forwarded-host", "chat.example"),
                ("x-forwarded-port", "8443"),
            ],
            true,
        ),
        (
            &[("x-forwarded-host", "invented.example, chat.example:8443")],
            true,
        ),
        (
            &[("x-forwarded-host", "chat.example:8443, other.example")],
            false,
        ),
        (
            &[
                ("x-forwarded-host", "chat.example:8443"),
                ("x-forwarded-host", "other.example"),
            ],
            false,
        ),
        (&[("x-forwarded-host", "chat.example")], false),
        (
            &[("host", "chat.example"), ("x-forwarded-port", "8443")],
            true,
        ),
        (
            &[("host", "chat.example:80"), ("x-forwarded-port", "8443")],
            true,
        ),
        (
            &[("host", "chat.example:8443"), ("x-forwarded-host", "inner")],
            true,
        ),
    ] {
        let headers = [&[page], forwarded].concat();
        assert_eq!(admits(&trusting, &headers).await, allowed, "{forwarded:?}");
        let by_host = forwarded[0] == ("host", "chat.example:8443");
        assert_eq!(
            admits(&plain, &headers).await,
            by_host,
            "{forwarded:?} of nobody trusted"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_setting_and_its_page_may_read_it() {
    let server = Server::start().await;
    for origin in [FOREIGN, "null"] {
        let refused = answer(request(Method::GET, &server.url()).header(ORIGIN, origin)).await;
        assert_eq!(
            (
                refused.status(),
                header(&refused, ACCESS_CONTROL_ALLOW_ORIGIN)
            ),
            (StatusCode::FORBIDDEN, origin)
        );
        assert_eq!(header(&refused, ACCESS_CONTROL_ALLOW_CREDENTIALS), "true");
        assert!(header(&refused, VARY).to_lowercase().contains("origin"));
        let body: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
        assert!(
            body["error"]["message"]
                .as_str()
                .unwrap()
                .contains("ALLOWED_ORIGINS"),
            "{body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_of_allowed_pages_allow_the_headers_that_they_ask_for() {
    let server = Server::on(
        Database::sqlite(),
        &["--allowed-origins=https://shop.example"],
    )
    .await;
    for origin in ["https://shop.example", FOREIGN] {
        let preflight = request(Method::OPTIONS, &server.url()).header(ORIGIN, origin);
        let preflight = preflight.header(ACCESS_CONTROL_REQUEST_METHOD, "GET");
        let preflight =
            answer(preflight.header(ACCESS_CONTROL_REQUEST_HEADERS, "authorization,x-clientid"))
                .await;
        let allowed = header(&preflight, ACCESS_CONTROL_ALLOW_HEADERS);
        if origin == FOREIGN {
            assert_eq!((preflight.status(), allowed), (StatusCode::FORBIDDEN, ""));
            continue;
        }
        assert_eq!(
            (preflight.status(), allowed),
            (StatusCode::OK, "authorization,x-clientid")
        );
        assert_eq!(header(&preflight, ACCESS_CONTROL_ALLOW_ORIGIN), origin);
        assert!(
            header(&preflight, ACCESS_CONTROL_MAX_AGE)
                .parse::<u32>()
                .unwrap()
                >= 600
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_page_sends_headers_of_its_own_and_reads_why_it_is_refused() {
    let (listed, foreign) = (free_port(), free_port());
    let list = format!("--allowed-origins=http://127.0.0.1:{listed}");
    let server = Server::on(Database::sqlite(), &[&list]).await;
    node::run(
        "origins.mjs",
        &[&server.url(), &listed.to_string(), &foreign.to_string()],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refused_origin_is_logged_once_with_the_setting_to_change() {
    let server = Process::with(&Database::sqlite(), &[]).await;
    let (url, http) = (
        format!("http://{}{HANDSHAKE}", server.address),
        Client::new(),
    );
    let others = (0..120).map(|number| format!("https://{number}.evil.example"));
    let long = format!("https://{}.example", "x".repeat(4000));
    for origin in [FOREIGN.into(), FOREIGN.into(), long]
        .into_iter()
        .chain(others)
        .chain([FOREIGN.into()])
    {
        let refused = answer(
            http.get(&url)
                .header(ORIGIN, origin)
                .header(HOST, "chat.example"),
        )
        .await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
    server.signal(Signal::SIGTERM);
    let (_, log) = server.ended().await;
    let lines = log.lines().filter(|line| line.contains("ALLOWED_ORIGINS"));
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let named: Vec<_> = lines
        .iter()
        .filter(|line| line["origin"] == FOREIGN)
        .collect();
    assert_eq!(named.len(), 1, "{log}");
    assert_eq!(
        (&named[0]["host"], &named[0]["level"]),
        (&"chat.example".into(), &"WARN".into())
    );
    assert_eq!(lines.len(), 100, "{log}");
    assert!(
        lines.iter().all(|line| line.to_string().len() < 1000),
        "{log}"
    );
}
