//! Tokens: who gets in by one, as whom, into which rooms, and for how long.

use std::{fs, process::Command};

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parlor::testing::{auth::MAX_TOKEN_BYTES, realtime};
use rust_socketio::TransportType;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Client, Database, Process, RawClient, Server,
    engine::{Endpoint, Polling, WebSocket},
    eventually, node,
    raw::Packet,
    within_deadline,
};

const SECRET: &str = "a secret of more than 32 bytes, for tests";

/// A token's time that a test waits for, in seconds; enough to connect and join on a slow machine.
const SHORT: f64 = 3.0;

/// The header `{"alg":"none","typ":"JWT"}`, and another spelling.
const NO_ALGORITHM: [&str; 2] = ["eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiJuT25FIn0"];

async fn server() -> Server {
    with_flags(&[]).await
}

async fn with_flags(flags: &[&str]) -> Server {
    let secret = format!("--jwt-secret={SECRET}");
    Server::on(Database::sqlite(), &[&[secret.as_str()], flags].concat()).await
}

/// A time, in seconds from now, as claims have it.
fn in_seconds(seconds: f64) -> f64 {
    Utc::now().timestamp_millis() as f64 / 1000.0 + seconds
}

/// Claims of ann's, with others set instead or besides.
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

/// The code at the start of the `connect_error`.
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

/// Waits until the server ends the connection as out of date.
async fn until_expired(client: &mut RawClient) {
    let failure = client.next("error").await;
    assert_eq!(
        (&failure["event"], &failure["error"]["code"]),
        (&json!("connect"), &json!("TOKEN_EXPIRED"))
    );
    assert_eq!(failure["error"]["retryable"], false);
    assert_eq!(client.packet().await, Packet::Other("41".into()));
}

/// A private and a public key in PEM, made by `openssl genpkey`.
fn key_pair(arguments: &[&str]) -> (Vec<u8>, String) {
    let folder = TempDir::with_prefix("parlor-key-").unwrap();
    let file = folder.path().join("key.pem");
    let openssl = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    openssl(
        Command::new("openssl")
            .arg("genpkey")
            .args(arguments)
            .arg("-out")
            .arg(&file),
    );
    let public = openssl(
        Command::new("openssl")
            .args(["pkey", "-pubout", "-in"])
            .arg(&file),
    );
    (fs::read(&file).unwrap(), public)
}

const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const ED25519: &[&str] = &["-algorithm", "ED25519"];

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
async fn a_key_accepts_only_tokens_signed_for_it_by_its_one_algorithm() {
    let [rsa, p256, ed25519] = [RSA, P256, ED25519].map(key_pair);
    let others = [RSA, P256, ED25519].map(key_pair);
    let keys = |pairs: &[(Vec<u8>, String); 3]| {
        [
            (
                Algorithm::RS256,
                EncodingKey::from_rsa_pem(&pairs[0].0).unwrap(),
            ),
            (
                Algorithm::ES256,
                EncodingKey::from_ec_pem(&pairs[1].0).unwrap(),
            ),
            (
                Algorithm::EdDSA,
                EncodingKey::from_ed_pem(&pairs[2].0).unwrap(),
            ),
        ]
    };
    let publics = [&rsa, &p256, &ed25519].map(|(_, public)| public.clone());
    let (own, others) = (keys(&[rsa, p256, ed25519]), keys(&others));
    for (place, public) in publics.iter().enumerate() {
        let flag = format!("--jwt-public-key={}", public.replace('\n', "\\n"));
        let server = Server::on(Database::sqlite(), &[&flag]).await;
        let (algorithm, key) = &own[place];
        attempt(&server, &signed_by(key, *algorithm, &claims(json!({}))))
            .await
            .unwrap();
        let mut forged: Vec<_> = own
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place)
            .map(|(_, key)| key)
            .collect();
        forged.extend(&others);
        let confused = [public.as_bytes(), public.trim().as_bytes()]
            .map(|secret| (Algorithm::HS256, EncodingKey::from_secret(secret)));
        forged.extend(&confused);
        let (rsa384, rsa_pss) = (
            (Algorithm::RS384, own[0].1.clone()),
            (Algorithm::PS256, own[0].1.clone()),
        );
        forged.extend([&rsa384, &rsa_pss]);
        for (algorithm, key) in forged {
            let token = signed_by(key, *algorithm, &claims(json!({})));
            assert_eq!(
                refusal(&server, &json!({ "token": token })).await,
                "UNAUTHORIZED",
                "{public} {algorithm:?}"
            );
        }
    }
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
async fn an_expired_client_is_told_and_disconnected() {
    let server = server().await;
    let mut bob = bearer_of(&server, json!({ "sub": "bob" })).await;
    join(&mut bob, "r").await;
    let mut ann = bearer_of(&server, json!({ "exp": in_seconds(SHORT) })).await;
    join(&mut ann, "r").await;
    until_expired(&mut ann).await;
    while bob.next("presence").await["left"] != json!(["ann"]) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_token_extends_the_time() {
    let server = server().await;
    let mut ann = bearer_of(&server, json!({ "exp": in_seconds(SHORT) })).await;
    join(&mut ann, "r").await;
    let until = in_seconds(60.0).trunc();
    let answer = refresh(&mut ann, &token(json!({ "exp": until }))).await;
    let time: DateTime<Utc> = answer["expiresAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        (&answer["status"], time.timestamp()),
        (&json!("ok"), until as i64)
    );
    let mut other = bearer_of(&server, json!({ "exp": in_seconds(SHORT) })).await;
    until_expired(&mut other).await;
    assert_eq!(say(&mut ann, "r").await["status"], "ok");
    refresh(&mut ann, &token(json!({ "exp": in_seconds(SHORT) }))).await;
    until_expired(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_newer_token_changes_nothing() {
    let server = server().await;
    let mut ann = bearer_of(&server, json!({ "exp": in_seconds(SHORT) })).await;
    join(&mut ann, "r").await;
    for (bad, expected) in [
        (
            json!({ "token": token(json!({ "sub": "bob", "role": "operator" })) }),
            "FORBIDDEN",
        ),
        (
            json!({ "token": token(json!({ "exp": in_seconds(-1.0) })) }),
            "TOKEN_EXPIRED",
        ),
        (json!({ "token": "x" }), "UNAUTHORIZED"),
        (json!({ "token": null }), "INVALID_PAYLOAD"),
        (json!({}), "INVALID_PAYLOAD"),
    ] {
        assert_eq!(
            code(&ann.call("refreshAuth", bad.clone()).await),
            expected,
            "{bad}"
        );
        let message = say(&mut ann, "r").await["message"].take();
        assert_eq!(
            (&message["userId"], &message["operatorId"]),
            (&json!("ann"), &Value::Null)
        );
    }
    until_expired(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_token_decides_on_rooms_and_role() {
    let server = server().await;
    let mut bob = bearer_of(&server, json!({ "sub": "bob" })).await;
    join(&mut bob, "old").await;
    let mut ann = bearer_of(&server, json!({ "rooms": ["old", "both"] })).await;
    join(&mut ann, "old").await;
    join(&mut ann, "both").await;
    refresh(
        &mut ann,
        &token(json!({ "rooms": ["both", "new"], "role": "operator" })),
    )
    .await;
    assert_eq!(code(&say(&mut ann, "old").await), "NOT_IN_ROOM");
    assert_eq!(code(&join(&mut ann, "old").await), "FORBIDDEN");
    while bob.next("presence").await["left"] != json!(["ann"]) {}
    bob.tell(
        "sendMessage",
        json!({ "roomId": "old", "message": "hello" }),
    )
    .await;
    bob.next("newMessage").await;
    let sending = ann
        .emit(
            "sendMessage",
            &json!({ "roomId": "both", "message": "hello" }),
        )
        .await;
    ann.flush().await;
    let (before, answer) = ann.until_ack(sending).await;
    assert_eq!(answer["message"]["operatorId"], "ann");
    let old =
        |packet: &Packet| matches!(packet, Packet::Event(_, payload) if payload["roomId"] == "old");
    assert!(!before.iter().any(old), "{before:?}");
    assert_eq!(join(&mut ann, "new").await["status"], "ok");
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
async fn an_expiry_beyond_the_calendar_never_comes() {
    let server = server().await;
    for exp in [
        json!(1e18),
        json!(i64::MAX),
        json!(253_402_300_800_i64),
        json!(in_seconds(1e8)),
    ] {
        let mut ann = bearer_of(&server, json!({ "exp": exp })).await;
        assert_eq!(join(&mut ann, "r").await["status"], "ok", "{exp}");
        let answer = refresh(&mut ann, &token(json!({ "exp": exp }))).await;
        assert!(answer["expiresAt"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn a_socket_leaves_no_timer_behind() {
    let server = server().await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    drop(bearer_of(&server, json!({})).await);
    let mut before = 0;
    eventually("the tasks to settle", async || {
        std::mem::replace(&mut before, tasks()) == tasks()
    })
    .await;
    let mut clients = vec![];
    for _ in 0..50 {
        let mut client = bearer_of(&server, json!({})).await;
        refresh(&mut client, &token(json!({ "exp": in_seconds(1e6) }))).await;
        clients.push(client);
    }
    assert!(tasks() >= before + 50);
    drop(clients);
    eventually("the tasks to end", async || tasks() <= before).await;
}

/// Runs `parlor token`; what it says on standard output.
async fn minted(arguments: &[&str]) -> String {
    let mut command = Process::command();
    command
        .env("JWT_SECRET", SECRET)
        .arg("token")
        .args(arguments);
    let output = within_deadline("parlor token to end", command.output())
        .await
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .strip_suffix('\n')
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_makes_a_test_token() {
    let server = with_flags(&["--jwt-issuer=us", "--jwt-audience=chat"]).await;
    let ours = ["--jwt-issuer=us", "--jwt-audience=chat", "--sub=ann"];
    let plain = minted(&ours).await;
    assert_eq!(
        join(&mut attempt(&server, &plain).await.unwrap(), "any").await["userId"],
        "ann"
    );
    let more = [
        "--room=team-*",
        "--room",
        "lobby",
        "--ttl=1h",
        "--role",
        "operator",
    ];
    let mut operator = attempt(&server, &minted(&[&ours[..], &more].concat()).await)
        .await
        .unwrap();
    assert_eq!(code(&join(&mut operator, "any").await), "FORBIDDEN");
    for room in ["team-a", "lobby"] {
        join(&mut operator, room).await;
        assert_eq!(
            say(&mut operator, room).await["message"]["operatorId"],
            "ann"
        );
    }
    let expired = minted(&[&ours[..], &["--ttl=0s"]].concat()).await;
    assert_eq!(
        refusal(&server, &json!({ "token": expired })).await,
        "TOKEN_EXPIRED"
    );
    let lasting = minted(&[&ours[..], &["--ttl=500000000000years"]].concat()).await;
    attempt(&server, &lasting).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_renews_its_token_and_comes_back_with_a_new_one() {
    let server = server().await;
    for transport in ["polling", "websocket", "upgrade"] {
        node::run("credentials.mjs", &[&server.url(), transport, SECRET]).await;
    }
}

#[test]
fn weak_and_wrong_keys_are_refused_by_name() {
    let weak = key_pair(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let private = String::from_utf8(key_pair(RSA).0).unwrap();
    for pem in [
        weak.1,
        key_pair(P384).1,
        private,
        "-----BEGIN PUBLIC KEY-----".into(),
    ] {
        assert!(
            parlor::testing::auth::Verifier::from_public_key(&pem).is_err(),
            "{pem}"
        );
    }
}
