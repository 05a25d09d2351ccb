use std::{
    env, future,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use rust_socketio::{
    Event, Payload,
    asynchronous::{Client, ClientBuilder},
};
use serde_json::{Value, json};

const ROOM: &str = "lobby";
const ACK_DEADLINE: Duration = Duration::from_secs(30);

static LAST_SEQ: AtomicI64 = AtomicI64::new(0);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = env::var("PARLOR_URL").unwrap_or("http://localhost:3000".into());
    let hello = json!({ "roomId": ROOM, "message": "hello from rust", "clientMessageId": uuid::Uuid::now_v7() });
    let client = ClientBuilder::new(url)
        .auth(json!({ "userId": "rust" }))
        .on(Event::Connect, move |_, client| join(client, hello.clone()).boxed())
        .on(Event::Error, |error, _| async move { eprintln!("{error:?}") }.boxed())
        .on("newMessage", |message, _| async move { show(&first(message)) }.boxed());
    let _client = client.connect().await?;
    future::pending().await
}

async fn join(client: Client, hello: Value) {
    // After a reconnect, lastSeq asks for just what was missed.
    let join = json!({ "roomId": ROOM, "lastSeq": LAST_SEQ.load(Ordering::Relaxed) });
    let joined = move |answer, client| {
        let answer = first(answer);
        match answer["messages"].as_array() {
            Some(messages) => {
                messages.iter().for_each(show);
                // In a task of its own, as this client takes no request while it calls back.
                tokio::spawn(send(client, hello.clone()));
            }
            None => eprintln!("{}", answer["error"]),
        }
        future::ready(()).boxed()
    };
    client.emit_with_ack("joinRoom", join, ACK_DEADLINE, joined).await.ok();
}

// Sent again after each reconnect; its clientMessageId has it stored once.
async fn send(client: Client, message: Value) {
    let sent = |answer, _| {
        let answer = first(answer);
        if answer["status"] == "error" {
            eprintln!("{}", answer["error"]);
        }
        future::ready(()).boxed()
    };
    client.emit_with_ack("sendMessage", message, ACK_DEADLINE, sent).await.ok();
}

fn show(message: &Value) {
    let seq = message["seq"].as_i64().unwrap_or_default();
    if LAST_SEQ.fetch_max(seq, Ordering::Relaxed) < seq {
        println!(
            "{}: {}",
            message["userId"].as_str().unwrap_or_default(),
            message["message"].as_str().unwrap_or_default()
        );
    }
}

/// An event's payload comes as it is, an ack's in one more array.
fn first(payload: Payload) -> Value {
    let Payload::Text(mut values) = payload else { return Value::Null };
    match values.remove(0) {
        Value::Array(mut arguments) => arguments.remove(0),
        value => value,
    }
}
