//! The expiry of a token, with any number of packets waiting.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use parlor::{
    model::Seq,
    store::{Keep, Page},
    testing::auth::{TokenClaims, Verifier},
};
use reqwest::Client;
use serde_json::json;

use crate::support::{
    Database, RawClient, Server,
    engine::{Endpoint, Polling},
    eventually,
};

const SECRET: &str = "a secret of more than 32 bytes, for tests";

/// The capacity of a client's queue here, in packets.
const QUEUE: usize = 64;

fn token_for(seconds: f64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    let claims = json!({ "sub": "ann", "exp": now + seconds });
    encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
    .unwrap()
}

async fn server() -> Server {
    let secret = format!("--jwt-secret={SECRET}");
    Server::on(
        Database::sqlite(),
        &[&secret, &format!("--send-queue-packets={QUEUE}")],
    )
    .await
}

/// Opens a session in room `r` that stops polling, with `acks` further packets waiting for it.
async fn deaf(endpoint: &Endpoint, token: &str, acks: usize) -> Polling {
    let session = Polling::open(endpoint).await;
    assert_eq!(
        session
            .post(format!("40{}", json!({ "token": token })))
            .await
            .0,
        200
    );
    assert!(session.poll().await.1.contains("40{"));
    assert_eq!(
        session.post(r#"421["joinRoom",{"roomId":"r"}]"#).await.0,
        200
    );
    let mut joined = String::new();
    while !joined.contains("431[") {
        joined += &session.poll().await.1;
    }
    let nothing = r#"422["nothing"]"#;
    if acks > 0 {
        assert_eq!(
            session.post([nothing].repeat(acks).join("\u{1e}")).await.0,
            200
        );
    }
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_stops_sends_even_while_its_session_has_a_full_queue() {
    let server = server().await;
    let endpoint = Endpoint {
        address: server.address(),
        path: "/socket.io",
        version: 4,
        http: Client::new(),
    };
    let token = token_for(6.0);
    let auth = json!({ "token": token }).to_string();
    let mut reader = RawClient::attempt(server.address(), &auth).await.unwrap();
    let mut sessions = vec![];
    for acks in QUEUE - 6..=QUEUE {
        sessions.push(deaf(&endpoint, &token, acks).await);
    }
    assert_eq!(reader.next("error").await["error"]["code"], "TOKEN_EXPIRED");
    let send = r#"42["sendMessage",{"roomId":"r","message":"too late"}]"#;
    for session in &sessions {
        eventually("the session's end", async || {
            session.post(send).await.0 != 200
        })
        .await;
    }
    let page = Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit: 100,
        keep: Keep::Oldest,
    };
    let log = server
        .database
        .store()
        .await
        .read(&"r".try_into().unwrap(), page)
        .await
        .unwrap();
    assert_eq!(log, []);
}

#[test]
fn a_blank_secret_or_one_repeated_character_is_refused() {
    let ann = "ann".try_into().unwrap();
    let claims = TokenClaims {
        sub: &ann,
        exp: 0,
        role: None,
        rooms: &[],
        iss: None,
        aud: None,
    };
    for secret in [
        " ".repeat(32),
        " \t\n\u{3000}".repeat(8),
        "x".repeat(64),
        "é".repeat(16),
    ] {
        for line in [
            Verifier::from_secret(&secret).err(),
            claims.sign(&secret).err(),
        ] {
            assert!(
                line.is_some_and(|line| line.contains("openssl rand -hex 32")),
                "{secret:?}"
            );
        }
    }
    assert!(Verifier::from_secret(&"xy".repeat(16)).is_ok());
}
