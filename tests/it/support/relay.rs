//! A way to a server for long-polling clients, which ends their connections where it hurts: in the
//! same payload as what matters, as a server does whose heartbeat fails at that moment; or right
//! after it, as one does that stops.

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

/// The list of a handshake that has clients go on to a WebSocket, and one of the same length that
/// does not.
const UPGRADES: [&str; 2] = [r#"["websocket"]"#, r#"[           ]"#];

/// Part of a join's answer.
const JOINED: &str = r#""members":["#;
/// Part of a message that comes live.
const NEW_MESSAGE: &str = r#"["newMessage","#;

/// The relay; gone when dropped.
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
    /// The sessions that are refused.
    ended: Mutex<HashSet<String>>,
    joined: Notify,
}

/// How it ends a connection.
#[derive(Clone, Copy)]
pub enum Ending {
    /// By the packet that says so, in the same payload.
    Packet,
    /// By refusing the session's requests from then on.
    Refusal,
}

/// What it does with the payloads that come.
#[derive(Clone, Copy)]
enum Next {
    /// Hands them on.
    Pass,
    /// Loses the next one with a message, and the connection.
    Lose,
    /// Keeps the next answer to a join until a message follows it, and gives both with the
    /// connection's end.
    Join,
}

impl Relay {
    /// Starts before a server.
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

    /// `http://…`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Loses the next message on its way and ends the connection, and the following one in the
    /// payload that has the answer to the join and the next message.
    pub fn break_twice(&self, ending: Ending) {
        *self.shared.ending.lock().unwrap() = ending;
        *self.shared.next.lock().unwrap() = Next::Lose;
    }

    /// Waits until a join's answer is held back, for a message to follow.
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
        // Payloads are to be read here.
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

    /// What a client gets in a payload's place.
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

    /// Payloads in one, with which a connection ends.
    fn end(&self, uri: &Uri, mut payloads: Vec<String>) -> String {
        let is_old = uri.query().is_some_and(|query| query.contains("EIO=3"));
        let (close, separator) = if is_old { ("1:1", "") } else { ("1", "\u{1e}") };
        match *self.ending.lock().unwrap() {
            Ending::Packet => payloads.push(close.to_owned()),
            Ending::Refusal => {
                // Not empty, which no answer is.
                payloads.push("6".to_owned());
                self.ended
                    .lock()
                    .unwrap()
                    .extend(session(uri).map(str::to_owned));
            }
        }
        payloads.join(separator)
    }

    /// A payload and those after it, up to one with a message.
    async fn until_message(&self, uri: &Uri, payload: String) -> Vec<String> {
        let mut payloads = vec![payload];
        while !payloads.iter().any(|payload| payload.contains(NEW_MESSAGE)) {
            let response = self.http.get(self.url(uri)).send().await.unwrap();
            payloads.push(response.text().await.unwrap());
        }
        payloads
    }
}

/// The id of the session that a request is for.
fn session(uri: &Uri) -> Option<&str> {
    uri.query()?
        .split('&')
        .find_map(|pair| pair.strip_prefix("sid="))
}
