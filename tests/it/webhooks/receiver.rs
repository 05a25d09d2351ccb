//! A receiver of webhooks, on a real port. It checks every signature with the library of Standard
//! Webhooks.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

use crate::support::eventually;

/// The secret of the tests.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A status without anything else.
    Status(u16),
    /// A status with a header.
    With(u16, &'static str, &'static str),
    /// None at all.
    Hang,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    pub id: String,
    pub body: Value,
    pub headers: HeaderMap,
    pub reply: Reply,
}

impl Request {
    /// Returns the events with their ids.
    pub fn events(&self) -> Vec<(String, Value)> {
        let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
        match self.body["data"]["events"].as_array() {
            Some(events) => events
                .iter()
                .map(|event| (id(event), event.clone()))
                .collect(),
            None => vec![(self.id.clone(), self.body.clone())],
        }
    }
}

type Decide = dyn Fn(&Request) -> Reply + Send + Sync;

struct Shared {
    secret: String,
    decide: Box<Decide>,
    requests: Mutex<Vec<Request>>,
    users: Mutex<Vec<Value>>,
}

/// A running receiver; its connections are cut when it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// Starts one that takes everything.
    pub async fn start() -> Self {
        Self::deciding(|_| Reply::Status(204)).await
    }

    /// Starts one with answers of the test's own.
    pub async fn deciding(decide: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(SECRET, decide).await
    }

    /// Starts one with a secret of its own.
    pub async fn with(
        secret: &str,
        decide: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            secret: secret.to_owned(),
            decide: Box::new(decide),
            requests: Mutex::default(),
            users: Mutex::default(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self {
            address,
            serving: tokio::spawn(serve(listener, shared.clone())),
            shared,
        }
    }

    /// Cuts all connections, and comes back on the same port.
    pub async fn restart(&mut self) {
        self.serving.abort();
        (&mut self.serving).await.ok();
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving = tokio::spawn(serve(listener, self.shared.clone()));
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("http://{}/hook?key=hunter2", self.address)
    }

    /// Returns the events of users so far, which are none of the log's.
    pub fn users(&self) -> Vec<Value> {
        self.shared.users.lock().unwrap().clone()
    }

    /// Returns all requests with events of the log so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Returns the events taken so far, with their ids.
    pub fn taken(&self) -> Vec<(String, Value)> {
        let requests = self.shared.requests.lock().unwrap();
        let taken = requests
            .iter()
            .filter(|request| request.reply == Reply::Status(204));
        taken.flat_map(Request::events).collect()
    }

    /// Waits until a number of events are taken, and returns all of them.
    pub async fn until_taken(&self, count: usize) -> Vec<(String, Value)> {
        eventually("the events", async || self.taken().len() >= count).await;
        self.taken()
    }

    /// Waits for a number of requests, and returns all of them.
    pub async fn until_asked(&self, count: usize) -> Vec<Request> {
        eventually("the requests", async || self.requests().len() >= count).await;
        self.requests()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new().fallback(any(receive)).with_state(shared);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    Webhook::new(&shared.secret)
        .unwrap()
        .verify(&body, &headers)
        .expect("a valid signature");
    let mut request = Request {
        id: headers["webhook-id"].to_str().unwrap().to_owned(),
        body: serde_json::from_slice(&body).unwrap(),
        headers,
        reply: Reply::Hang,
    };
    assert!(!request.id.contains('.'));
    let is_of_user =
        |(_, event): &(String, Value)| event["type"].as_str().unwrap().starts_with("user.");
    let (users, others): (Vec<_>, Vec<_>) = request.events().into_iter().partition(is_of_user);
    if others.is_empty() {
        let users = users.into_iter().map(|(_, event)| event);
        shared.users.lock().unwrap().extend(users);
        return StatusCode::NO_CONTENT.into_response();
    }
    let reply = (shared.decide)(&request);
    request.reply = reply;
    shared.requests.lock().unwrap().push(request);
    match reply {
        Reply::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Reply::With(status, name, value) => {
            (StatusCode::from_u16(status).unwrap(), [(name, value)]).into_response()
        }
        Reply::Hang => std::future::pending().await,
    }
}
