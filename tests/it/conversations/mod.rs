//! Conversations: customers ask, operators answer, and each conversation has one operator.

mod absence;
mod backends;
mod crowd;
mod queue;
mod rules;
mod speaking;

use jsonwebtoken::{EncodingKey, Header, encode};
use rust_socketio::TransportType;
use serde_json::{Value, json};

use crate::{
    api::WITH_KEY,
    support::{Client, Database, Server},
};

const SECRET: &str = "a secret of more than 32 bytes, for tests";

const FLAGS: [&str; 4] = [
    "--jwt-secret=a secret of more than 32 bytes, for tests",
    "--conversations=support-*",
    "--message-burst=10000",
    WITH_KEY,
];

/// A server with conversations in the rooms `support-*`.
async fn server(database: Database) -> Server {
    Server::on(database, &FLAGS).await
}

/// Servers on each kind of database.
async fn on_each_kind() -> [Server; 2] {
    [
        server(Database::postgres().await).await,
        server(Database::sqlite()).await,
    ]
}

/// Connects a user by a token with a role, or with none.
async fn client(url: &str, user: &str, role: Option<&str>) -> Client {
    client_for(url, user, role, &["*"]).await
}

/// Connects a user by a token for some rooms.
async fn client_for(url: &str, user: &str, role: Option<&str>, rooms: &[&str]) -> Client {
    let exp = chrono::Utc::now().timestamp() + 600;
    let mut claims = json!({ "sub": user, "exp": exp, "rooms": rooms });
    if let Some(role) = role {
        claims["role"] = role.into();
    }
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::default(), &claims, &key).unwrap();
    Client::by(TransportType::Websocket, url, json!({ "token": token })).await
}

async fn customer(server: &Server, user: &str) -> Client {
    client(&server.url(), user, None).await
}

async fn operator(server: &Server, user: &str) -> Client {
    client(&server.url(), user, Some("operator")).await
}

async fn supervisor(server: &Server, user: &str) -> Client {
    client(&server.url(), user, Some("supervisor")).await
}

/// Lets a customer ask in a room.
async fn asked(customer: &Client, room: &str) {
    customer.join(room).await;
    customer.send(room, "help").await;
}

/// Returns the fields of a conversation that do not depend on the time.
fn brief(conversation: &Value) -> (String, Option<String>, i64) {
    (
        conversation["state"].as_str().unwrap().to_owned(),
        conversation["operatorId"].as_str().map(str::to_owned),
        conversation["version"].as_i64().unwrap(),
    )
}

/// Returns the same fields, as expected.
fn state(state: &str, operator: Option<&str>, version: i64) -> (String, Option<String>, i64) {
    (state.to_owned(), operator.map(str::to_owned), version)
}

/// The changes of a conversation by an event, for tests.
impl Client {
    /// Asks for a change, which must succeed, and returns the conversation, and true for a change.
    async fn hands(&self, event: &str, payload: Value) -> ((String, Option<String>, i64), bool) {
        let answer = self.ok(&format!("{event}Conversation"), payload).await;
        let changed = answer["changed"].as_bool().unwrap();
        (brief(&answer["conversation"]), changed)
    }

    /// Asks for a change, which must fail, and returns the code and the present conversation.
    async fn fails(&self, event: &str, payload: Value) -> (String, Value) {
        let answer = self.call(&format!("{event}Conversation"), payload).await;
        assert_eq!(answer["status"], "error", "{event}: {answer}");
        let error = &answer["error"];
        (
            error["code"].as_str().unwrap().to_owned(),
            error["current"].clone(),
        )
    }

    /// Asks for a change that somebody else was faster with, and returns the present conversation.
    async fn loses(&self, event: &str, payload: Value) -> (String, Option<String>, i64) {
        let (code, current) = self.fails(event, payload).await;
        assert_eq!(code, "CONFLICT", "{event}");
        brief(&current)
    }
}
