//! Moderation: a program on a real port that is asked about each message before it is stored.

mod failures;
mod moderator;
mod order;
mod repeats;
mod verdicts;

use serde_json::{Value, json};

use self::moderator::{Moderator, Reply, SECRET};
use crate::support::{Client, Database, Server};

/// Starts a server that asks a program about messages.
async fn server(database: Database, moderator: &Moderator, flags: &[&str]) -> Server {
    let url = format!("--moderation-url={}", moderator.url());
    let secret = format!("--webhook-secret={SECRET}");
    let settings = [&*url, &*secret, "--webhook-allow-private=on"];
    Server::on(database, &[&settings, flags].concat()).await
}

/// Connects a user, who enters the room `r`.
async fn member(server: &Server, user: &str) -> Client {
    let client = server.client(user).await;
    client.join("r").await;
    client
}

/// Returns a send of a text to the room `r`.
fn message(text: &str) -> Value {
    json!({ "roomId": "r", "message": text })
}

/// Returns the texts of the room `r`, oldest first.
async fn stored(client: &Client) -> Vec<String> {
    let page = client
        .ok("getHistory", json!({ "roomId": "r", "limit": 200 }))
        .await;
    let messages = page["messages"].as_array().unwrap();
    let texts = messages.iter().map(|message| message["message"].as_str());
    texts.map(|text| text.unwrap().to_owned()).collect()
}

/// Refuses texts with the word "spam", changes those with "damn", and allows the others.
fn strict(question: &Value) -> Reply {
    let text = question["message"].as_str().unwrap();
    if text.contains("spam") {
        Reply::refuse("No advertising, please.")
    } else if text.contains("damn") {
        Reply::change(&text.replace("damn", "****"))
    } else {
        Reply::Answer(204, String::new())
    }
}
