use std::{
    collections::BTreeMap,
    env, future,
    io::stdin,
    sync::{Mutex, MutexGuard},
    thread,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use rust_socketio::{
    Event, Payload,
    asynchronous::{Client, ClientBuilder},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

const ROOM: &str = "lobby";
const ACK_DEADLINE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

static LOG: Mutex<Log> = Mutex::new(Log {
    last_seq: 0,
    ahead: BTreeMap::new(),
});

struct Log {
    last_seq: i64,
    /// Messages received ahead of earlier ones.
    ahead: BTreeMap<i64, Value>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = env::var("PARLOR_URL").unwrap_or("http://localhost:3000".into());
    let client = ClientBuilder::new(url)
        .auth(json!({ "userId": "rust" }))
        .on(Event::Connect, |_, client| detach(join(client)))
        .on(Event::Error, |error, _| {
            async move { eprintln!("{error:?}") }.boxed()
        })
        .on("newMessage", |message, client| {
            detach(receive(first(message), client))
        })
        .connect()
        .await?;
    let (outbox, texts) = mpsc::unbounded_channel();
    tokio::spawn(talk(client, texts));
    outbox.send("hello from rust".to_owned())?;
    thread::spawn(move || {
        stdin()
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| outbox.send(line))
    });
    future::pending().await
}

/// Runs work in its own task, because this client receives nothing during a callback.
fn detach(work: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, ()> {
    tokio::spawn(work);
    future::ready(()).boxed()
}

async fn join(client: Client) {
    // After a reconnect, lastSeq requests only the missed messages.
    let last_seq = log().last_seq;
    let room = request(
        &client,
        "joinRoom",
        json!({ "roomId": ROOM, "lastSeq": last_seq }),
    )
    .await;
    if room["hasMore"] == true && last_seq > 0 {
        catch_up(&client).await;
    } else {
        log().show(&room["messages"]);
    }
}

async fn receive(message: Value, client: Client) {
    log().receive(message);
    if !log().ahead.is_empty() {
        sleep(PAUSE).await;
    }
    if !log().ahead.is_empty() {
        catch_up(&client).await;
    }
}

async fn catch_up(client: &Client) {
    loop {
        // The answer includes them. A skipped seq does not exist.
        log().ahead.clear();
        let after = log().last_seq;
        let page = request(
            client,
            "getHistory",
            json!({ "roomId": ROOM, "afterSeq": after }),
        )
        .await;
        log().show(&page["messages"]);
        if page["hasMore"] != true {
            return;
        }
    }
}

/// Sends one message at a time, in order. The clientMessageId keeps a retry from being stored twice.
async fn talk(client: Client, mut texts: mpsc::UnboundedReceiver<String>) {
    while let Some(text) = texts.recv().await {
        let message =
            json!({ "roomId": ROOM, "message": text, "clientMessageId": uuid::Uuid::now_v7() });
        request(&client, "sendMessage", message).await;
    }
}

/// Repeats a request until its answer is final.
async fn request(client: &Client, event: &str, payload: Value) -> Value {
    loop {
        let no_answer = || json!({ "error": { "message": "no answer", "retryable": true } });
        let answer = call(client, event, &payload)
            .await
            .unwrap_or_else(no_answer);
        let error = &answer["error"];
        if !error.is_null() {
            eprintln!("{error}");
        }
        if error["retryable"] != true && error["code"] != "NOT_IN_ROOM" {
            return answer;
        }
        sleep(
            error["retryAfterMs"]
                .as_u64()
                .map_or(PAUSE, Duration::from_millis),
        )
        .await;
    }
}

async fn call(client: &Client, event: &str, payload: &Value) -> Option<Value> {
    let (tell, told) = oneshot::channel();
    let mut tell = Some(tell);
    let answered = move |answer, _| {
        tell.take().map(|tell| tell.send(first(answer)));
        future::ready(()).boxed()
    };
    client
        .emit_with_ack(event, payload.clone(), ACK_DEADLINE, answered)
        .await
        .ok()?;
    timeout(ACK_DEADLINE, told).await.ok()?.ok()
}

fn log() -> MutexGuard<'static, Log> {
    LOG.lock().expect("nobody panics here")
}

impl Log {
    /// Receives a live message.
    fn receive(&mut self, message: Value) {
        self.ahead.insert(seq(&message), message);
        self.show(&json!([]));
    }

    /// Shows messages, and those held back that follow them.
    fn show(&mut self, messages: &Value) {
        for message in messages.as_array().into_iter().flatten() {
            self.show_one(message);
        }
        while let Some(next) = self.ahead.remove(&(self.last_seq + 1)) {
            self.show_one(&next);
        }
    }

    fn show_one(&mut self, message: &Value) {
        self.ahead.remove(&seq(message));
        if seq(message) > self.last_seq {
            self.last_seq = seq(message);
            let [user, text] =
                ["userId", "message"].map(|field| message[field].as_str().unwrap_or_default());
            println!("{user}: {text}");
        }
    }
}

fn seq(message: &Value) -> i64 {
    message["seq"].as_i64().unwrap_or_default()
}

/// Unwraps a payload: an ack's arrives in one more array than an event's.
fn first(payload: Payload) -> Value {
    let Payload::Text(mut values) = payload else {
        return Value::Null;
    };
    match values.remove(0) {
        Value::Array(mut arguments) => arguments.remove(0),
        value => value,
    }
}
