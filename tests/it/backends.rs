//! The example backends, each run as its reader runs it, between a server and its clients.

use std::{
    collections::VecDeque,
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::Utc;
use reqwest::RequestBuilder;
use rust_socketio::TransportType;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tempfile::{NamedTempFile, TempDir};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    api::{Backend, KEY, WITH_KEY},
    support::{
        Client, Database, HOW_TO_GET_TOOLS, Server, free_port,
        node::{assert_packages, run},
        within_deadline,
    },
};

/// The address in the examples.
const ADDRESS: &str = "http://localhost:3000";

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/python");

/// The secret of the users' tokens.
const JWT_SECRET: &str = "a secret of more than 32 bytes, for tests";

/// The secret of the webhooks.
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The secret of somebody else.
const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// The users of the examples, with their passwords.
const ANN: (&str, &str) = ("ann", "apple");
const BOB: (&str, &str) = ("bob", "banana");

/// The message by which the examples confirm an order.
const CONFIRMED: &str = "Thank you for your order.";

/// Generates the tests of each backend, named after its language.
macro_rules! backends {
    ($($language:ident),+) => {
        $(mod $language {
            #[tokio::test(flavor = "multi_thread")]
            async fn a_signed_in_customer_hears_once_that_the_order_is_confirmed() {
                super::a_signed_in_customer_hears_once_that_the_order_is_confirmed(stringify!($language)).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_message_is_sent_until_it_is_answered_and_stored_once() {
                super::a_message_is_sent_until_it_is_answered_and_stored_once(stringify!($language)).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_rate_limit_is_waited_for() {
                super::a_rate_limit_is_waited_for(stringify!($language)).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_signed_webhook_is_taken_once_and_others_are_refused() {
                super::a_signed_webhook_is_taken_once_and_others_are_refused(stringify!($language)).await;
            }
        })+
    };
}

backends!(node, python);

async fn a_signed_in_customer_hears_once_that_the_order_is_confirmed(language: &str) {
    let server = parlor(&[]).await;
    let backend = Backend::of(&server);
    let shop = Shop::start(language, &server.url()).await;
    let ann = by_token(&server, &shop.token(ANN).await).await;
    // The customer is in the room before the order is confirmed.
    let room = json!({ "roomId": "order-7", "access": "members", "userId": "ann" });
    backend.ok("POST", "/rooms", room).await;
    ann.join("order-7").await;
    for _ in 0..2 {
        assert_eq!(shop.order(ANN, "7").await, 204, "{}", shop.complaints());
    }
    let confirmed = ann.next("newMessage").await;
    assert_eq!(
        (&confirmed["userId"], &confirmed["message"]),
        (&json!("shop"), &json!(CONFIRMED))
    );
    ann.send("order-7", "When will it come?").await;
    let next = ann.next("newMessage").await;
    assert_eq!((&next["userId"], &next["seq"]), (&json!("ann"), &json!(2)));

    let members = backend.get("/members", &[("roomId", "order-7")]).await.body;
    assert_eq!(members["members"][1]["userId"], "support", "{members}");
    let lobby = json!({ "roomId": "lobby" });
    assert_eq!(ann.refused("joinRoom", lobby).await, "FORBIDDEN");
    let bob = by_token(&server, &shop.token(BOB).await).await;
    let order = json!({ "roomId": "order-7" });
    assert_eq!(bob.refused("joinRoom", order).await, "FORBIDDEN");
    for other in [("ann", ""), ("ann", "banana"), ("eve", "apple"), ("", "")] {
        let token = shop.post("/token").basic_auth(other.0, Some(other.1));
        assert_eq!(status(token).await, 401, "{other:?}");
    }
    for header in ["", "Basic", "Basic !", "Basic /w==", "Bearer x"] {
        let token = shop.post("/token").header("authorization", header);
        assert_eq!(status(token).await, 401, "{header}");
    }
    let page = reqwest::Client::new().get(format!("{}/", shop.url));
    let page = page.basic_auth(ANN.0, Some(ANN.1));
    let page = within_deadline("the page", page.send()).await.unwrap();
    let expected = fs::read_to_string(example("page.html")).unwrap();
    assert_eq!(page.text().await.unwrap(), expected);
}

async fn a_message_is_sent_until_it_is_answered_and_stored_once(language: &str) {
    let server = parlor(&[]).await;
    let accidents = [
        Accident::Refusal(503),
        Accident::Cut,
        Accident::LostAnswer,
        Accident::None,
        Accident::Refusal(403),
    ];
    let road = Road::to(server.address(), accidents).await;
    let shop = Shop::start(language, &road.url()).await;
    assert_eq!(shop.order(ANN, "7").await, 204, "{}", shop.complaints());
    let tries = road.tries();
    assert_eq!(tries.len(), 4);
    assert!(tries[1] - tries[0] >= RETRY_AFTER, "{tries:?}");
    assert_confirmed_once(&server, "order-7").await;

    assert_eq!(shop.order(ANN, "8").await, 502);
    assert_eq!(road.tries().len(), 5, "a refusal for good is not repeated");
}

async fn a_rate_limit_is_waited_for(language: &str) {
    let server = parlor(&["--api-requests-per-second=1"]).await;
    let road = Road::to(server.address(), []).await;
    let shop = Shop::start(language, &road.url()).await;
    assert_eq!(shop.order(ANN, "7").await, 204, "{}", shop.complaints());
    assert!(road.tries().len() > 1, "nothing was refused");
}

async fn a_signed_webhook_is_taken_once_and_others_are_refused(language: &str) {
    let nobody = "http://127.0.0.1:9";
    let mut shop = Shop::start(language, nobody).await;
    let now = Utc::now().timestamp();
    let first = Delivery::new("evt_1", now, "hello");
    for _ in 0..2 {
        assert_eq!(first.to(&shop).await, 204, "{}", shop.complaints());
    }
    let mut other_id = Delivery::new("evt_2", now, "another id");
    other_id.id = "evt_3".into();
    let mut changed = Delivery::new("evt_4", now, "changed");
    changed.body = changed.body.replace("changed", "forged!");
    let mut unsigned = Delivery::new("evt_5", now, "unsigned");
    unsigned.signature = "v1,".into();
    let mut nonsense = Delivery::new("evt_6", now, "nonsense");
    nonsense.signature = "nonsense".into();
    let by_another = Delivery::signed_by(OTHER_SECRET, "evt_7", now, "by another");
    let old = Delivery::new("evt_8", now - 600, "old");
    let early = Delivery::new("evt_9", now + 600, "early");
    for refused in [
        other_id, changed, unsigned, nonsense, by_another, old, early,
    ] {
        assert_eq!(refused.to(&shop).await, 401, "{}", refused.body);
    }
    let bare = shop.post("/webhooks").body(first.body.clone());
    assert_eq!(status(bare).await, 401);

    // While the secret changes, a webhook has two signatures.
    let mut rotated = Delivery::signed_by(OTHER_SECRET, "evt_10", now, "last");
    let signed = Delivery::new("evt_10", now, "last");
    rotated.signature = format!("{} {}", rotated.signature, signed.signature);
    assert_eq!(rotated.to(&shop).await, 204, "{}", shop.complaints());
    for said in ["hello", "last"] {
        assert_eq!(shop.line().await, format!("order-7: ann: {said}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_leads_from_the_log_in_to_the_first_message() {
    let port = free_port();
    let origin = format!("--allowed-origins=http://127.0.0.1:{port}");
    let server = parlor(&[origin.as_str()]).await;
    let folder = TempDir::new().unwrap();
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("node_modules");
    symlink(packages, folder.path().join("node_modules")).unwrap();
    let backend = folder.path().join("node.mjs");
    fs::copy(example("node.mjs"), &backend).unwrap();
    let page = fs::read_to_string(example("page.html")).unwrap();
    let page = page.replace(ADDRESS, &server.url());
    fs::write(folder.path().join("page.html"), page).unwrap();
    let shop = Shop::run("node", &backend, port, &server.url()).await;
    run("backend_page.mjs", &[&shop.url, ANN.0, ANN.1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_mints_tokens_governs_rooms_posts_and_reads() {
    let server = parlor(&[]).await;
    let shell = async |arguments: &[&str]| shell(&server.url(), arguments).await;
    let title = r#"Order "7" & 'more'"#;
    ok(shell(&["create", "order-7", title, "ann"]).await);
    ok(shell(&["add", "order-7", "support"]).await);
    let token = shell(&["token", "ann"]).await;
    let token = String::from_utf8(token.stdout).unwrap();
    let ann = by_token(&server, token.trim_end()).await;
    assert_eq!(ann.join("order-7").await["room"]["title"], title);
    let lobby = json!({ "roomId": "lobby" });
    assert_eq!(ann.refused("joinRoom", lobby).await, "FORBIDDEN");

    let text = "two\nlines, \"quoted\" \\ $HOME";
    let posts = ["post", "order-7", "shop", text, "order-7-confirmed"];
    for is_repeated in [false, true] {
        assert_eq!(ok(shell(&posts).await)["duplicate"], is_repeated);
    }
    assert_eq!(ann.next("newMessage").await["message"], text);
    let page = ok(shell(&["read", "order-7"]).await);
    assert_eq!(page["messages"].as_array().unwrap().len(), 1, "{page}");

    let refused = shell(&["add", "order-9", "support"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(json_of(&refused)["error"]["code"], "NOT_FOUND");
    assert_eq!(shell(&["post", "order-7"]).await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_sends_a_message_until_it_is_answered() {
    let server = parlor(&[]).await;
    let accidents = [Accident::Refusal(503), Accident::LostAnswer];
    let road = Road::to(server.address(), accidents).await;
    let sent = shell(&road.url(), &["post", "order-7", "shop", CONFIRMED, "key"]).await;
    assert_eq!(ok(sent)["duplicate"], true);
    assert_confirmed_once(&server, "order-7").await;
}

/// Starts a server for backends, and for users with tokens.
async fn parlor(flags: &[&str]) -> Server {
    let secret = format!("--jwt-secret={JWT_SECRET}");
    let flags = [&[WITH_KEY, secret.as_str()], flags].concat();
    Server::on(Database::sqlite(), &flags).await
}

async fn by_token(server: &Server, token: &str) -> Client {
    let auth = json!({ "token": token });
    Client::by(TransportType::Websocket, &server.url(), auth).await
}

async fn assert_confirmed_once(server: &Server, room: &str) {
    let page = Backend::of(server);
    let page = page.get("/messages", &[("roomId", room)]).await.body;
    let messages = page["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{page}");
    assert_eq!(messages[0]["message"], CONFIRMED);
}

async fn status(request: RequestBuilder) -> u16 {
    let answer = within_deadline("an answer", request.send()).await;
    answer.unwrap().status().as_u16()
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/backends")
        .join(name)
}

/// Runs the example for shells.
async fn shell(parlor: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(example("shell.sh"));
    command.args(arguments).stdin(Stdio::null());
    command
        .env("PARLOR_URL", parlor)
        .env("API_KEY", KEY)
        .env("JWT_SECRET", JWT_SECRET)
        .kill_on_drop(true);
    let output = within_deadline("the shell", command.output()).await;
    output.unwrap_or_else(|error| panic!("{command:?}: {error}: {HOW_TO_GET_TOOLS}"))
}

/// Returns the answer printed by a command that succeeded.
#[track_caller]
fn ok(output: Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    json_of(&output)
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A running example of a backend; killed when dropped.
struct Shop {
    url: String,
    http: reqwest::Client,
    lines: Lines<BufReader<ChildStdout>>,
    complaints: NamedTempFile,
    _process: Child,
}

impl Shop {
    /// Starts an example before a server of chat.
    async fn start(language: &str, parlor: &str) -> Self {
        match language {
            "node" => Self::run("node", &example("node.mjs"), 0, parlor).await,
            _ => Self::run(PYTHON, &example("python.py"), 0, parlor).await,
        }
    }

    /// Runs a file of a backend on a port, 0 for a free one.
    async fn run(program: &str, file: &Path, port: u16, parlor: &str) -> Self {
        assert_packages();
        let mut command = Command::new(program);
        command.arg(file);
        let complaints = NamedTempFile::new().unwrap();
        command
            .env("PARLOR_URL", parlor)
            .env("API_KEY", KEY)
            .env("JWT_SECRET", JWT_SECRET)
            .env("WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("PORT", port.to_string())
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints.reopen().unwrap());
        let spawned = command.spawn();
        let mut process =
            spawned.unwrap_or_else(|error| panic!("{command:?}: {error}: {HOW_TO_GET_TOOLS}"));
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut shop = Self {
            url: String::new(),
            http: reqwest::Client::new(),
            lines,
            complaints,
            _process: process,
        };
        shop.url = shop.line().await.replace("localhost", "127.0.0.1");
        shop
    }

    /// Returns the next line of output.
    async fn line(&mut self) -> String {
        let next = within_deadline("a line of the backend", self.lines.next_line()).await;
        let ended = || panic!("the backend ended: {}", self.complaints());
        next.unwrap().unwrap_or_else(ended)
    }

    fn complaints(&self) -> String {
        fs::read_to_string(self.complaints.path()).unwrap()
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }

    /// Signs a user in, and returns the token for the chat.
    async fn token(&self, (user, password): (&str, &str)) -> String {
        let request = self.post("/token").basic_auth(user, Some(password));
        let answer = within_deadline("a token", request.send()).await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Places an order, and returns the status of the answer.
    async fn order(&self, (user, password): (&str, &str), order: &str) -> u16 {
        let request = self.post(&format!("/orders/{order}"));
        status(request.basic_auth(user, Some(password))).await
    }
}

/// A webhook that tells of a message.
struct Delivery {
    id: String,
    timestamp: i64,
    signature: String,
    body: String,
}

impl Delivery {
    fn new(id: &str, timestamp: i64, text: &str) -> Self {
        Self::signed_by(WEBHOOK_SECRET, id, timestamp, text)
    }

    fn signed_by(secret: &str, id: &str, timestamp: i64, text: &str) -> Self {
        let data = json!({ "roomId": "order-7", "userId": "ann", "message": text });
        let body = json!({ "type": "message.created", "data": data }).to_string();
        let signer = Webhook::new(secret).unwrap();
        let signature = signer.sign(id, timestamp, body.as_bytes()).unwrap();
        Self {
            id: id.into(),
            timestamp,
            signature,
            body,
        }
    }

    /// Delivers it, and returns the status of the answer.
    async fn to(&self, shop: &Shop) -> u16 {
        let request = shop
            .post("/webhooks")
            .header("content-type", "application/json")
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", self.timestamp)
            .header("webhook-signature", &self.signature);
        status(request.body(self.body.clone())).await
    }
}

/// The wait that a refusal on the road asks for.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A mishap of a request to send a message.
#[derive(Clone, Copy)]
enum Accident {
    /// None: the request passes.
    None,
    /// A refusal with this status.
    Refusal(u16),
    /// The end of the connection before the request arrives.
    Cut,
    /// The end of the connection before the answer arrives.
    LostAnswer,
}

/// A proxy before a server, where the first requests to send messages have accidents; gone when dropped.
struct Road {
    address: SocketAddr,
    traffic: Arc<Traffic>,
    serving: JoinHandle<()>,
}

struct Traffic {
    server: SocketAddr,
    accidents: Mutex<VecDeque<Accident>>,
    tries: Mutex<Vec<Instant>>,
}

impl Road {
    async fn to(server: SocketAddr, accidents: impl IntoIterator<Item = Accident>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let traffic = Arc::new(Traffic {
            server,
            accidents: Mutex::new(accidents.into_iter().collect()),
            tries: Mutex::default(),
        });
        let passing = traffic.clone();
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(passing.clone().pass(client));
            }
        });
        Self {
            address,
            traffic,
            serving,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the times of the requests to send a message.
    fn tries(&self) -> Vec<Instant> {
        self.traffic.tries.lock().unwrap().clone()
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Traffic {
    /// Passes a connection's only request on.
    async fn pass(self: Arc<Self>, mut client: TcpStream) -> Option<()> {
        let request = read_request(&mut client).await?;
        let accident = self.accident(&request);
        if let Accident::Refusal(status) = accident {
            let seconds = RETRY_AFTER.as_secs();
            let refusal = format!(
                "HTTP/1.1 {status} Refused\r\nretry-after: {seconds}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
            );
            return client.write_all(refusal.as_bytes()).await.ok();
        }
        if matches!(accident, Accident::Cut) {
            return None;
        }
        let mut server = TcpStream::connect(self.server).await.ok()?;
        server.write_all(request.as_bytes()).await.ok()?;
        let mut answer = vec![];
        server.read_to_end(&mut answer).await.ok()?;
        if matches!(accident, Accident::LostAnswer) {
            return None;
        }
        client.write_all(&answer).await.ok()
    }

    fn accident(&self, request: &str) -> Accident {
        if !request.starts_with("POST /api/v1/messages ") {
            return Accident::None;
        }
        self.tries.lock().unwrap().push(Instant::now());
        let next = self.accidents.lock().unwrap().pop_front();
        next.unwrap_or(Accident::None)
    }
}

/// Reads a request, and asks for the end of the connection in it.
async fn read_request(client: &mut TcpStream) -> Option<String> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.ok()?;
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim_end().is_empty() {
            break;
        }
        if !lower.starts_with("connection:") {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).unwrap();
    Some(format!("{head}connection: close\r\n\r\n{body}"))
}
