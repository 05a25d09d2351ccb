//! Files and other plain answers, by the rules of HTTP: <https://www.rfc-editor.org/rfc/rfc9110>.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_ENCODING,
        CONTENT_LENGTH, ETAG, HeaderName, IF_NONE_MATCH, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};

use crate::support::{Database, Server, http::HttpConnection, within_deadline};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";
const SCRIPT: &str = "/app.js";
const BUNDLE: &str = "/socket.io/socket.io.js";

fn request(method: Method, server: &Server, path: &str) -> RequestBuilder {
    Client::new().request(method, format!("{}{path}", server.url()))
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

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_compressed_if_the_client_accepts_gzip() {
    let server = Server::start().await;
    for path in [
        "/",
        SCRIPT,
        "/style.css",
        BUNDLE,
        "/socket.io/socket.io.js.map",
    ] {
        let plain = answer(request(Method::GET, &server, path)).await;
        let (etag, whole) = (
            header(&plain, ETAG).to_owned(),
            plain.bytes().await.unwrap(),
        );
        for (accepted, coding) in [
            ("gzip", "gzip"),
            ("GZIP", "gzip"),
            ("gzip, deflate, br, zstd", "gzip"),
            ("br;q=1.0, gzip ; q=0.2", "gzip"),
            ("*", "gzip"),
            ("identity;q=0, *;q=0.5", "gzip"),
            ("", ""),
            ("identity", ""),
            ("br", ""),
            ("gzip;q=0", ""),
            ("gzip;q=0.000, *", ""),
            ("*;q=0", ""),
            ("gzipped", ""),
        ] {
            let file =
                answer(request(Method::GET, &server, path).header(ACCEPT_ENCODING, accepted)).await;
            assert_eq!(
                header(&file, CONTENT_ENCODING),
                coding,
                "{path} for {accepted:?}"
            );
            assert_eq!(
                (header(&file, ETAG), header(&file, VARY)),
                (etag.as_str(), "accept-encoding"),
                "{path}"
            );
            let bytes = file.bytes().await.unwrap();
            if coding.is_empty() {
                assert_eq!(bytes, whole);
                continue;
            }
            assert!(
                bytes.len() < whole.len() / 3 * 2,
                "{path}: {} of {}",
                bytes.len(),
                whole.len()
            );
            let mut unpacked = vec![];
            GzDecoder::new(&*bytes).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, whole);
        }
    }
    for path in ["/app.js.gz", "/socket.io/socket.io.js.gz"] {
        assert_eq!(
            answer(request(Method::GET, &server, path)).await.status(),
            StatusCode::NOT_FOUND
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_an_answer_has_the_length_of_its_body() {
    let server = Server::start().await;
    for path in [
        "/",
        SCRIPT,
        BUNDLE,
        "/icon.svg",
        "/nope",
        "/socket.io/nope.js",
        "/healthz",
        "/readyz",
    ] {
        for accepted in ["identity", "gzip"] {
            let [head, whole] = [Method::HEAD, Method::GET].map(|method| {
                answer(request(method, &server, path).header(ACCEPT_ENCODING, accepted))
            });
            let (head, whole) = (head.await, whole.await);
            for name in [CONTENT_ENCODING, VARY, ETAG] {
                assert_eq!(
                    header(&head, name.clone()),
                    header(&whole, name),
                    "{path}, {accepted}"
                );
            }
            let (status, length) = (head.status(), header(&head, CONTENT_LENGTH).to_owned());
            assert_eq!(status, whole.status());
            assert_eq!(
                length,
                whole.bytes().await.unwrap().len().to_string(),
                "{path}, {accepted}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_client_has_is_not_sent_again() {
    let server = Server::start().await;
    for path in ["/", BUNDLE] {
        let file = answer(request(Method::GET, &server, path)).await;
        let weak = header(&file, ETAG).to_owned();
        let strong = weak.trim_start_matches("W/").to_owned();
        for (known, is_known) in [
            (&[weak.as_str()][..], true),
            (&[&strong], true),
            (&["*"], true),
            (&[" * "], true),
            (&[&format!("\"a\", W/\"b\",{weak}")], true),
            (&["\"a\"", &strong], true),
            (&["\"a\", W/\"b\""], false),
            (&[strong.trim_matches('"')], false),
            (&["\"*\""], false),
            (&[&format!("\"x{}", &strong[1..])], false),
        ] {
            let get = known
                .iter()
                .fold(request(Method::GET, &server, path), |get, tags| {
                    get.header(IF_NONE_MATCH, *tags)
                });
            let again = answer(get).await;
            let status = if is_known {
                StatusCode::NOT_MODIFIED
            } else {
                StatusCode::OK
            };
            assert_eq!(again.status(), status, "{path}: {known:?}");
            assert_eq!(
                (header(&again, ETAG), header(&again, VARY)),
                (weak.as_str(), "accept-encoding"),
                "{known:?}"
            );
            assert_eq!(header(&again, CACHE_CONTROL), "public, max-age=0");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_must_name_one_host() {
    let server = Server::start().await;
    for path in [
        "/",
        SCRIPT,
        "/healthz",
        "/nope",
        HANDSHAKE,
        &format!("{HANDSHAKE}&sid=x"),
    ] {
        for (version, hosts, is_one) in [
            ("1.1", "host: a\r\n", true),
            ("1.1", "host:\r\n", true),
            ("1.0", "", true),
            ("1.1", "", false),
            ("1.1", "host: a\r\nhost: a\r\n", false),
            ("1.1", "host: a\r\nHOST: b\r\n", false),
            ("1.0", "host: a\r\nhost: b\r\n", false),
        ] {
            let mut connection = HttpConnection::open(server.address()).await;
            connection
                .send(format!(
                    "GET {path} HTTP/{version}\r\n{hosts}connection: close\r\n\r\n"
                ))
                .await
                .unwrap();
            let answer = connection.rest().await;
            let refused = answer.contains("400 Bad Request") && answer.ends_with("one host\n");
            assert_eq!(
                refused, !is_one,
                "{path}, HTTP/{version}, {hosts:?}: {answer}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_browser_guesses_the_type_of_an_answer() {
    let server = Server::on(
        Database::sqlite(),
        &[
            "--max-connections-per-address=1",
            "--trusted-proxies=127.0.0.1",
        ],
    )
    .await;
    let get = |path| request(Method::GET, &server, path);
    let handshake = || get(HANDSHAKE).header("x-forwarded-for", "192.0.2.1");
    let open = answer(handshake()).await;
    let nosniff = |response: &Response| header(response, X_CONTENT_TYPE_OPTIONS) == "nosniff";
    assert!(nosniff(&open));
    let open = open.text().await.unwrap();
    let sid = open
        .split("\"sid\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let session = format!("{HANDSHAKE}&sid={sid}");
    for (status, request) in [
        (200, get(&session)),
        (200, request(Method::POST, &server, &session).body("3")),
        (400, get(&format!("{HANDSHAKE}&sid=x"))),
        (400, get("/socket.io/")),
        (403, get(HANDSHAKE).header(ORIGIN, "https://evil.example")),
        (429, handshake()),
        (
            200,
            request(Method::OPTIONS, &server, HANDSHAKE)
                .header(ACCESS_CONTROL_REQUEST_METHOD, "GET"),
        ),
        (200, get("/")),
        (200, get(BUNDLE)),
        (304, get(SCRIPT).header(IF_NONE_MATCH, "*")),
        (404, get("/nope")),
        (404, get("/socket.io/nope.js")),
        (405, request(Method::DELETE, &server, "/")),
        (405, request(Method::POST, &server, "/healthz")),
        (200, get("/healthz")),
        (200, get("/readyz")),
    ] {
        let what = format!("{request:?}");
        let response = answer(request).await;
        assert_eq!(
            (response.status().as_u16(), nosniff(&response)),
            (status, true),
            "{what}"
        );
    }
    let mut connection = HttpConnection::open(server.address()).await;
    connection
        .send("GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(connection.rest().await.contains("nosniff"));
}
