//! A moderating program, on a real port. It checks every signature with the library of Standard Webhooks.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use crate::support::eventually;

/// The secret of the tests.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An answer to a question.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status and a body.
    Answer(u16, String),
    /// A status that leads elsewhere.
    Redirect(String),
    /// The test's own answer, later.
    Held,
}

impl Reply {
    /// Returns the reply that allows a message.
    pub fn allow() -> Self {
        Self::verdict(&json!({ "action": "allow" }))
    }

    /// Returns the reply that refuses a message.
    pub fn refuse(reason: &str) -> Self {
        Self::verdict(&json!({ "action": "refuse", "reason": reason }))
    }

    /// Returns the reply that changes a message.
    pub fn change(text: &str) -> Self {
        Self::verdict(&json!({ "action": "change", "message": text }))
    }

    /// Returns a reply of other JSON.
    pub fn verdict(json: &Value) -> Self {
        Self::Answer(200, json.to_string())
    }
}

type Decide = dyn Fn(&Value) -> Reply + Send + Sync;

/// A question without an answer yet.
type HeldQuestion = (String, oneshot::Sender<Reply>);

struct Shared {
    secret: Option<&'static str>,
    decide: Box<Decide>,
    questions: Mutex<Vec<Value>>,
    held: Mutex<Vec<HeldQuestion>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

/// A running program; its connections are cut when it is dropped.
pub struct Moderator {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Moderator {
    /// Starts one with answers of the test's own, by the data of a question.
    pub async fn deciding(decide: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(Some(SECRET), decide).await
    }

    /// Starts one with a secret of its own, or without any.
    pub async fn with(
        secret: Option<&'static str>,
        decide: impl Fn(&Value) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            secret,
            decide: Box::new(decide),
            questions: Mutex::default(),
            held: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/moderate", post(answer))
            .with_state(shared.clone());
        let serving = tokio::spawn(serve(listener, router));
        Self {
            address,
            shared,
            serving,
        }
    }

    /// Cuts all connections, and is gone.
    pub async fn end(&mut self) {
        self.serving.abort();
        (&mut self.serving).await.ok();
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("http://{}/moderate?key=hunter2", self.address)
    }

    /// Returns the data of all questions so far.
    pub fn questions(&self) -> Vec<Value> {
        self.shared.questions.lock().unwrap().clone()
    }

    /// Returns the most questions so far that waited for answers at once.
    pub fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::Relaxed)
    }

    /// Waits for a number of held questions.
    pub async fn until_held(&self, count: usize) {
        let held = || self.shared.held.lock().unwrap().len();
        eventually("the held questions", async || held() >= count).await;
    }

    /// Answers the held question about a text.
    pub async fn answer(&self, text: &str, reply: Reply) {
        let take = || {
            let mut held = self.shared.held.lock().unwrap();
            let place = held.iter().position(|(of, _)| of == text)?;
            Some(held.remove(place).1)
        };
        let mut taken = None;
        eventually("the question", async || {
            taken = take();
            taken.is_some()
        })
        .await;
        taken.unwrap().send(reply).ok();
    }

    /// Answers all questions held so far.
    pub fn answer_all(&self, reply: &Reply) {
        for (_, question) in self.shared.held.lock().unwrap().drain(..) {
            question.send(reply.clone()).ok();
        }
    }
}

impl Drop for Moderator {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, router: Router) {
    use hyper::server::conn::http1;
    use hyper_util::{rt::TokioIo, service::TowerToHyperService};

    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    match shared.secret {
        Some(secret) => Webhook::new(secret)
            .unwrap()
            .verify(&body, &headers)
            .expect("a valid signature"),
        None => assert!(!headers.contains_key("webhook-signature")),
    }
    let question: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(question["type"], "message.before");
    assert!(question["timestamp"].as_str().unwrap().ends_with('Z'));
    let data = question["data"].clone();
    shared.questions.lock().unwrap().push(data.clone());
    let now = shared.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    shared.most_in_flight.fetch_max(now, Ordering::Relaxed);
    let mut reply = (shared.decide)(&data);
    if matches!(reply, Reply::Held) {
        let (sender, later) = oneshot::channel();
        let text = data["message"].as_str().unwrap().to_owned();
        shared.held.lock().unwrap().push((text, sender));
        reply = later.await.unwrap_or(Reply::Held);
    }
    shared.in_flight.fetch_sub(1, Ordering::Relaxed);
    match reply {
        Reply::Answer(status, body) => {
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Reply::Redirect(url) => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", url)], "").into_response()
        }
        Reply::Held => std::future::pending().await,
    }
}
