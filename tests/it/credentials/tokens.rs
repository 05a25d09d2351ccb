//! The user, the role and the rooms of a token.

use std::fs;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parlor::testing::{auth::MAX_TOKEN_BYTES, realtime};
use rust_socketio::TransportType;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    SECRET, attempt, bearer_of, claims, code, in_seconds, join, refresh, refusal, say, server,
    signed, signed_by, token, with_flags, without,
};
use crate::support::{
    Client, Process, RawClient, Server,
    engine::{Endpoint, Polling, WebSocket},
    eventually,
};

/// The header `{"alg":"none","typ":"JWT"}`, and another spelling.
const NO_ALGORITHM: [&str; 2] = ["eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiJuT25FIn0"];

#[tokio::test(flavor = "multi_thread")]
async fn a_token_identifies_the_user() {
    let server = server().await;
    let mut ann = bearer_of(&server, json!({ "name": "Ann", "iat": 1, "admin": true })).await;
    assert_eq!(join(&mut ann, "r").await["userId"], "ann");
    let message = say(&mut ann, "r").await["message"].take();
    assert_eq!(
        (&message["userId"], &message["operatorId"]),
        (&json!("ann"), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_come_in_a_header_of_the_handshake() {
    let server = server().await;
    let enter = async |header: String, connect: &str| {
        let endpoint = Endpoint {
            address: server.address(),
            path: realtime::PATH,
            version: 4,
            http: reqwest::Client::new(),
        };
        let headers = [("authorization", header.as_str())];
        let opening = WebSocket::attempt_with(&headers, &endpoint, "EIO=4&transport=websocket");
        let mut socket = opening.await.unwrap();
        assert!(socket.text().await.starts_with("0{"));
        assert_eq!(socket.text().await, "2");
        socket.send(connect).await;
        socket.text().await
    };
    let good = token(json!({}));
    for header in [format!("Bearer {good}"), format!("bearer  {good}")] {
        assert!(enter(header, "40").await.starts_with("40{"));
    }
    for header in [
        format!("Basic {good}"),
        good.clone(),
        "Bearer".into(),
        "Bearer x".into(),
    ] {
        let refused = enter(header, "40").await;
        assert!(refused.contains("UNAUTHORIZED: "), "{refused}");
    }
    let refused = enter(format!("Bearer {good}"), r#"40{"token":"x"}"#).await;
    assert!(refused.contains("UNAUTHORIZED: "), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_refused_with_its_code_and_nothing_else_happens() {
    let server = with_flags(&["--jwt-issuer=us", "--jwt-audience=chat"]).await;
    let ours = |others: Value| {
        let mut claims = claims(json!({ "iss": "us", "aud": ["mail", "chat"] }));
        claims
            .as_object_mut()
            .unwrap()
            .extend(others.as_object().unwrap().clone());
        claims
    };
    let good = signed(&ours(json!({})));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, body) = message.split_once('.').unwrap();
    let other_key = EncodingKey::from_secret(SECRET.to_uppercase().as_bytes());
    let critical = Header {
        crit: Some(vec!["b64".into()]),
        ..Header::new(Algorithm::HS256)
    };
    let critical = encode(
        &critical,
        &ours(json!({})),
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
    .unwrap();
    let unauthorized = [
        signed_by(&other_key, Algorithm::HS256, &ours(json!({}))),
        signed_by(
            &EncodingKey::from_secret(SECRET.as_bytes()),
            Algorithm::HS512,
            &ours(json!({})),
        ),
        signed_by(
            &EncodingKey::from_secret(b""),
            Algorithm::HS256,
            &ours(json!({})),
        ),
        format!("{}.{body}.", NO_ALGORITHM[0]),
        format!("{}.{body}.{signature}", NO_ALGORITHM[0]),
        format!("{}.{body}.", NO_ALGORITHM[1]),
        critical,
        signed(&ours(json!({ "nbf": in_seconds(30.0) }))),
        signed(&ours(json!({ "nbf": "never" }))),
        signed(&ours(json!({ "iss": "them" }))),
        signed(&ours(json!({ "iss": null }))),
        signed(&ours(json!({ "iss": 1 }))),
        signed(&ours(json!({ "aud": "mail" }))),
        signed(&ours(json!({ "aud": [] }))),
        signed(&ours(json!({ "aud": null }))),
        signed(&ours(json!({ "exp": null }))),
        signed(&ours(json!({ "exp": "9999999999" }))),
        signed(&ours(json!({ "exp": -1 }))),
        signed(&ours(json!({ "exp": 1e300 }))),
        signed(&without("exp")),
        signed(&without("sub")),
        signed(&ours(json!({ "sub": null }))),
        signed(&ours(json!({ "sub": 5 }))),
        signed(&ours(json!({ "sub": "" }))),
        signed(&ours(json!({ "sub": "a".repeat(129) }))),
        signed(&ours(json!({ "sub": "a\nb" }))),
        signed(&ours(json!({ "rooms": null }))),
        signed(&ours(json!({ "rooms": "r" }))),
        signed(&ours(json!({ "rooms": [5] }))),
        signed(&ours(json!({ "role": 5 }))),
        String::new(),
        " ".into(),
        ".".into(),
        "..".into(),
        "...".into(),
        header.into(),
        message.into(),
        format!("{message}."),
        format!("{message}.{signature}."),
        format!("{message}.{signature}="),
        format!("{message}.!{signature}"),
        format!("{message}.{}", &signature[1..]),
        format!("!{good}"),
        format!("{good}\n"),
        format!("{header}.%%%.{signature}"),
        "é.é.é".into(),
        "a".repeat(MAX_TOKEN_BYTES + 1),
        "a".repeat(60 * 1024),
        signed(&ours(json!({ "more": "a".repeat(MAX_TOKEN_BYTES) }))),
    ];
    for token in unauthorized {
        assert_eq!(
            refusal(&server, &json!({ "token": token })).await,
            "UNAUTHORIZED",
            "{token}"
        );
    }
    for exp in [
        json!(in_seconds(-1.0)),
        json!(in_seconds(-3600.0)),
        json!(10),
    ] {
        let token = signed(&ours(json!({ "exp": exp })));
        assert_eq!(
            refusal(&server, &json!({ "token": token })).await,
            "TOKEN_EXPIRED",
            "{exp}"
        );
    }
    for auth in [
        json!({}),
        json!({ "token": null }),
        json!({ "userId": "ann" }),
    ] {
        assert_eq!(refusal(&server, &auth).await, "UNAUTHORIZED", "{auth}");
    }
    assert_eq!(
        refusal(&server, &json!({ "token": 5 })).await,
        "INVALID_PAYLOAD"
    );
    let mut ann = attempt(&server, &good).await.unwrap();
    assert_eq!(join(&mut ann, "r").await["memberCount"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_an_audience_is_refused_where_none_is_configured() {
    let server = server().await;
    let auth = json!({ "token": token(json!({ "aud": "mail" })) });
    assert_eq!(refusal(&server, &auth).await, "UNAUTHORIZED");
    bearer_of(&server, json!({ "iss": "anybody" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signers_clock_may_run_a_little_ahead() {
    bearer_of(&server().await, json!({ "nbf": in_seconds(2.0) })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_can_only_repeat_the_tokens_user() {
    let server = server().await;
    let auth = json!({ "token": token(json!({})), "userId": "bob" });
    assert_eq!(refusal(&server, &auth).await, "FORBIDDEN");
    let auth = json!({ "token": token(json!({})), "userId": "ann" });
    let mut ann = RawClient::attempt(server.address(), &auth.to_string())
        .await
        .unwrap();
    for claim in [
        json!({ "userId": "bob" }),
        json!({ "operatorId": "ann" }),
        json!({ "operatorId": "bob" }),
    ] {
        let mut payload = claim.clone();
        payload["roomId"] = "r".into();
        assert_eq!(
            code(&ann.call("joinRoom", payload).await),
            "FORBIDDEN",
            "{claim}"
        );
    }
    assert_eq!(code(&say(&mut ann, "r").await), "NOT_IN_ROOM");
    for claim in [
        json!({}),
        json!({ "userId": "ann" }),
        json!({ "userId": "ann", "operatorId": "bob" }),
    ] {
        let mut payload = claim.clone();
        payload["roomId"] = "r".into();
        assert_eq!(
            ann.call("joinRoom", payload).await["userId"],
            "ann",
            "{claim}"
        );
        assert_eq!(
            say(&mut ann, "r").await["message"]["operatorId"],
            Value::Null,
            "{claim}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_role_makes_an_operator() {
    let server = server().await;
    let mut operator = bearer_of(&server, json!({ "role": "operator" })).await;
    let joined = operator
        .call("joinRoom", json!({ "roomId": "r", "operatorId": "ann" }))
        .await;
    assert_eq!(joined["userId"], "ann");
    let message = say(&mut operator, "r").await["message"].take();
    assert_eq!(
        (&message["userId"], &message["operatorId"]),
        (&json!("ann"), &json!("ann"))
    );
    for role in ["Operator", "admin", ""] {
        let mut user = bearer_of(&server, json!({ "role": role })).await;
        join(&mut user, "r").await;
        assert_eq!(
            say(&mut user, "r").await["message"]["operatorId"],
            Value::Null,
            "{role}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_its_own_rooms_only() {
    let server = server().await;
    let cases: [(&[&str], &[&str], &[&str]); 5] = [
        (&["lobby"], &["lobby"], &["lobby2", "lobb", "Lobby", "*"]),
        (
            &["team-*"],
            &["team-", "team-a", "team-*"],
            &["team", "Team-a", "a-team-a"],
        ),
        (&["a*b"], &["a*b"], &["ab", "axb", "a"]),
        (&["*"], &["a", "team-a"], &[]),
        (&[], &[], &["a", "*"]),
    ];
    for (rooms, open, closed) in cases {
        let mut ann = bearer_of(&server, json!({ "rooms": rooms })).await;
        for room in open {
            assert_eq!(
                join(&mut ann, room).await["status"],
                "ok",
                "{rooms:?} {room}"
            );
        }
        for room in closed {
            assert_eq!(
                code(&join(&mut ann, room).await),
                "FORBIDDEN",
                "{rooms:?} {room}"
            );
            let request = json!({ "roomId": room, "message": "hello", "isTyping": true });
            for event in ["sendMessage", "getHistory", "typing", "leaveRoom"] {
                assert_eq!(
                    code(&ann.call(event, request.clone()).await),
                    "NOT_IN_ROOM",
                    "{rooms:?} {room}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_for_guests_ignores_tokens() {
    let server = Server::start().await;
    let mut guest = attempt(&server, "x").await.unwrap();
    assert_eq!(
        code(&refresh(&mut guest, &token(json!({}))).await),
        "UNKNOWN_EVENT"
    );
    let joined = guest
        .call("joinRoom", json!({ "roomId": "r", "userId": "bob" }))
        .await;
    assert_eq!(joined["userId"], "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_message_is_logged_at_any_level() {
    const SAID: &str = "between you and me";
    let folder = TempDir::with_prefix("parlor-log-").unwrap();
    let log = folder.path().join("log");
    let mut command = Process::command();
    command
        .current_dir(folder.path())
        .env("JWT_SECRET", SECRET)
        .env("RUST_LOG", "trace");
    command
        .args(["--port=0", "--host=127.0.0.1", "--log-format=json"])
        .stderr(fs::File::create(&log).unwrap());
    let _server = command.spawn().unwrap();
    let lines = || fs::read_to_string(&log).unwrap();
    eventually("the server to be ready", async || {
        lines().contains("\"ready\"")
    })
    .await;
    assert!(lines().contains("token mode"), "{}", lines());
    let listening = lines()
        .lines()
        .find(|line| line.contains("\"listening\""))
        .unwrap()
        .to_owned();
    let listening: Value = serde_json::from_str(&listening).unwrap();
    let address: std::net::SocketAddr = listening["address"].as_str().unwrap().parse().unwrap();
    let (first, newer, bad) = (
        token(json!({})),
        token(json!({ "role": "operator" })),
        "x".repeat(40),
    );
    let mut ann = RawClient::attempt(address, &json!({ "token": first }).to_string())
        .await
        .unwrap();
    refresh(&mut ann, &newer).await;
    refresh(&mut ann, &bad).await;
    assert_eq!(
        ann.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
    assert_eq!(
        ann.call("sendMessage", json!({ "roomId": "r", "message": SAID }))
            .await["status"],
        "ok"
    );
    let endpoint = Endpoint {
        address,
        path: realtime::PATH,
        version: 4,
        http: reqwest::Client::new(),
    };
    let session_id = Polling::open(&endpoint).await.handshake["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    RawClient::attempt(address, &json!({ "token": bad }).to_string())
        .await
        .err()
        .unwrap();
    let polling = Client::by(
        TransportType::Polling,
        &format!("http://{address}"),
        json!({ "token": first }),
    )
    .await;
    polling.join("said").await;
    polling.disconnect().await;
    eventually("the log", async || lines().contains("disconnected")).await;
    let lines = lines();
    for secret in [SECRET, &first, &newer, &bad, SAID, &session_id] {
        assert!(
            !lines.contains(secret),
            "{}",
            lines.lines().find(|line| line.contains(secret)).unwrap()
        );
    }
}
