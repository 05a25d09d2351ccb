//! A relay to a server for long-polling clients, which ends their connections at the worst moment:
//! in the payload of the important packet, like a server whose heartbeat fails just then, or right
//! after it, like a server that stops.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

const MAX_BODY_BYTES: usize = 1_000_000;

/// A handshake's list of upgrades, and an empty one of the same length.
const UPGRADES: [&str; 2] = [r#"["websocket"]"#, r#"[           ]"#];

/// Part of a join's answer.
const JOINED: &str = r#""members":["#;
/// Part of a live message.
const NEW_MESSAGE: &str = r#"["newMessage","#;

/// A running relay; gone when dropped.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    server: SocketAddr,
    http: reqwest::Client,
    next: Mutex<Next>,
    ending: Mutex<Ending>,
    /// The refused sessions.
    ended: Mutex<HashSet<String>>,
    joined: Notify,
}

/// A way to end a connection.
#[derive(Clone, Copy)]
pub enum Ending {
    /// A close packet, in the same payload.
    Packet,
    /// A refusal of all further requests of the session.
    Refusal,
}

/// The treatment of the next payloads.
#[derive(Clone, Copy)]
enum Next {
    /// Passes them on.
    Pass,
    /// Loses the next one with a message, and ends the connection.
    Lose,
    /// Holds the next answer to a join until a message follows, and sends both with the
    /// connection's end.
    Join,
}

impl Relay {
    /// Starts a relay before a server.
    pub async fn start(server: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            server,
            http: reqwest::Client::new(),
            next: Mutex::new(Next::Pass),
            ending: Mutex::new(Ending::Packet),
            ended: Mutex::default(),
            joined: Notify::new(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(pass).with_state(shared.clone());
        let serving = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            shared,
            serving,
        }
    }

    /// Returns `http://…`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks the connection twice: the next message is lost with it, and the following break comes
    /// in one payload with the answer to the join and the next message.
    pub fn break_twice(&self, ending: Ending) {
        *self.shared.ending.lock().unwrap() = ending;
        *self.shared.next.lock().unwrap() = Next::Lose;
    }

    /// Waits until a join's answer is held back.
    pub async fn joined(&self) {
        super::within_deadline("a join", self.shared.joined.notified()).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(relay): State<Arc<Shared>>, request: Request) -> Response {
    let is_poll =
        request.method() == Method::GET && request.uri().path().starts_with("/socket.io/");
    let uri = request.uri().clone();
    if session(&uri).is_some_and(|session| relay.ended.lock().unwrap().contains(session)) {
        return (
            StatusCode::BAD_REQUEST,
            r#"{"code":1,"message":"Session ID unknown"}"#,
        )
            .into_response();
    }
    let mut response = relay.forward(request).await;
    if is_poll && let Ok(payload) = str::from_utf8(response.body()) {
        let payload = relay
            .changed(&uri, payload.replace(UPGRADES[0], UPGRADES[1]))
            .await;
        *response.body_mut() = payload.into();
    }
    response.map(Body::from)
}

impl Shared {
    async fn forward(&self, request: Request) -> axum::http::Response<Bytes> {
        let (mut parts, body) = request.into_parts();
        // The relay reads payloads, so they must not be compressed.
        parts.headers.remove(header::ACCEPT_ENCODING);
        let body = to_bytes(body, MAX_BODY_BYTES).await.unwrap();
        let request = self
            .http
            .request(parts.method, self.url(&parts.uri))
            .headers(parts.headers)
            .body(body);
        let response = request.send().await.unwrap();
        let (status, mut headers) = (response.status(), response.headers().clone());
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        let mut answer = axum::http::Response::new(response.bytes().await.unwrap());
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        answer
    }

    fn url(&self, uri: &Uri) -> String {
        format!("http://{}{uri}", self.server)
    }

    /// Returns the payload for the client.
    async fn changed(&self, uri: &Uri, payload: String) -> String {
        let next = *self.next.lock().unwrap();
        match next {
            Next::Lose if payload.contains(NEW_MESSAGE) => {
                *self.next.lock().unwrap() = Next::Join;
                self.end(uri, vec![])
            }
            Next::Join if payload.contains(JOINED) => {
                *self.next.lock().unwrap() = Next::Pass;
                self.joined.notify_one();
                self.end(uri, self.until_message(uri, payload).await)
            }
            _ => payload,
        }
    }

    /// Joins payloads into the last one of a connection.
    fn end(&self, uri: &Uri, mut payloads: Vec<String>) -> String {
        let is_old = uri.query().is_some_and(|query| query.contains("EIO=3"));
        let (close, separator) = if is_old { ("1:1", "") } else { ("1", "\u{1e}") };
        match *self.ending.lock().unwrap() {
            Ending::Packet => payloads.push(close.to_owned()),
            Ending::Refusal => {
                // An answer is never empty.
                payloads.push("6".to_owned());
                self.ended
                    .lock()
                    .unwrap()
                    .extend(session(uri).map(str::to_owned));
            }
        }
        payloads.join(separator)
    }

    /// Returns a payload and its successors, up to one with a message.
    async fn until_message(&self, uri: &Uri, payload: String) -> Vec<String> {
        let mut payloads = vec![payload];
        while !payloads.iter().any(|payload| payload.contains(NEW_MESSAGE)) {
            let response = self.http.get(self.url(uri)).send().await.unwrap();
            payloads.push(response.text().await.unwrap());
        }
        payloads
    }
}

/// Returns the session id of a request.
fn session(uri: &Uri) -> Option<&str> {
    uri.query()?
        .split('&')
        .find_map(|pair| pair.strip_prefix("sid="))
}
