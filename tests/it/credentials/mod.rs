//! Tokens: their users, keys and expiry.

mod expiry;
mod keys;
mod tokens;

use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Database, RawClient, Server};

const SECRET: &str = "a secret of more than 32 bytes, for tests";

async fn server() -> Server {
    with_flags(&[]).await
}

async fn with_flags(flags: &[&str]) -> Server {
    let secret = format!("--jwt-secret={SECRET}");
    Server::on(Database::sqlite(), &[&[secret.as_str()], flags].concat()).await
}

/// Returns a time `seconds` from now, in the form of claims.
fn in_seconds(seconds: f64) -> f64 {
    Utc::now().timestamp_millis() as f64 / 1000.0 + seconds
}

/// Returns claims of ann, with others replaced or added.
fn claims(others: Value) -> Value {
    let mut claims = json!({ "sub": "ann", "exp": in_seconds(60.0) });
    claims
        .as_object_mut()
        .unwrap()
        .extend(others.as_object().unwrap().clone());
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims(json!({}));
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn signed_by(key: &EncodingKey, algorithm: Algorithm, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, key).unwrap()
}

fn signed(claims: &Value) -> String {
    signed_by(
        &EncodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::HS256,
        claims,
    )
}

fn token(others: Value) -> String {
    signed(&claims(others))
}

async fn attempt(server: &Server, token: &str) -> Result<RawClient, String> {
    RawClient::attempt(server.address(), &json!({ "token": token }).to_string()).await
}

async fn bearer_of(server: &Server, others: Value) -> RawClient {
    attempt(server, &token(others)).await.unwrap()
}

/// Returns the code at the start of the `connect_error`.
async fn refusal(server: &Server, auth: &Value) -> String {
    let refusal = RawClient::attempt(server.address(), &auth.to_string())
        .await
        .err();
    let refusal = refusal.unwrap_or_else(|| panic!("let in: {auth}"));
    let refusal: Value = serde_json::from_str(refusal.strip_prefix("44").expect(&refusal)).unwrap();
    refusal["message"]
        .as_str()
        .unwrap()
        .split(": ")
        .next()
        .unwrap()
        .to_owned()
}

fn code(answer: &Value) -> &str {
    assert_eq!(answer["status"], "error", "{answer}");
    answer["error"]["code"].as_str().unwrap()
}

async fn join(client: &mut RawClient, room: &str) -> Value {
    client.call("joinRoom", json!({ "roomId": room })).await
}

async fn say(client: &mut RawClient, room: &str) -> Value {
    client
        .call("sendMessage", json!({ "roomId": room, "message": "hello" }))
        .await
}

async fn refresh(client: &mut RawClient, token: &str) -> Value {
    client.call("refreshAuth", json!({ "token": token })).await
}
