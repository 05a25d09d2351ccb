//! Keys and tokens of services.

use chrono::Utc;
use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Backend, KEY, WITH_KEY, answer, document::operations};
use crate::support::{Database, Server};

const SECRET: &str = "a secret of more than 32 bytes, for tests";

fn token(claims: Value) -> String {
    let mut all = json!({ "sub": "billing", "exp": Utc::now().timestamp() + 60 });
    all.as_object_mut()
        .unwrap()
        .extend(claims.as_object().unwrap().clone());
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), &all, &key).unwrap()
}

async fn server(flags: &[&str]) -> Server {
    Server::on(Database::sqlite(), flags).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_a_key() {
    let server = server(&[WITH_KEY]).await;
    let document = Backend::of(&server).get("/openapi.json", &[]).await.body;
    let longer = format!("{KEY}x");
    let wrong = ["", "x", &KEY[1..], &KEY.to_uppercase(), &longer];
    let operations = operations(&document);
    assert!(operations.len() >= 24, "{operations:?}");
    for (method, path) in operations {
        for key in wrong {
            let backend = Backend::with(&server, key);
            let response = backend.request(method.clone(), &path).send().await.unwrap();
            assert_eq!(response.status(), 401, "{method} {path} {key}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            assert_eq!(response.headers()["cache-control"], "no-store");
            let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(body["error"]["code"], "UNAUTHORIZED");
        }
        let url = format!("{}/api/v1{path}", server.url());
        let bare = reqwest::Client::new().request(method.clone(), url);
        assert_eq!(answer(bare).await.refusal(), (401, "UNAUTHORIZED"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_keys_are_valid_at_once() {
    let other = "another-key-of-more-than-32-characters";
    let server = server(&[&format!("{WITH_KEY}, {other}")]).await;
    for key in [KEY, other] {
        Backend::with(&server, key).send("r", "system", key).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_and_tokens_there_is_no_api() {
    let server = server(&[]).await;
    for path in ["/messages?roomId=r", "/openapi.json"] {
        let answer = Backend::of(&server).get(path, &[]).await;
        assert_eq!(answer.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_a_services_only_by_its_role() {
    let server = server(&[&format!("--jwt-secret={SECRET}")]).await;
    let with = |claims: Value| Backend::with(&server, &token(claims));
    let page = [("roomId", "r")];
    with(json!({ "role": "service" }))
        .send("r", "system", "hello")
        .await;
    for claims in [
        json!({}),
        json!({ "role": "operator" }),
        json!({ "role": "Service" }),
    ] {
        let refused = with(claims).get("/messages", &page).await;
        assert_eq!(refused.refusal(), (403, "FORBIDDEN"));
    }
    let expired = json!({ "role": "service", "exp": Utc::now().timestamp() - 1 });
    assert_eq!(
        with(expired).get("/messages", &page).await.refusal(),
        (401, "TOKEN_EXPIRED")
    );
    let key = Backend::of(&server).get("/messages", &page).await;
    assert_eq!(key.refusal(), (401, "UNAUTHORIZED"));
    // To a socket it is a user's, as it always was.
    let auth = json!({ "token": token(json!({ "role": "service" })) }).to_string();
    let mut socket = crate::support::RawClient::attempt(server.address(), &auth)
        .await
        .unwrap();
    let joined = socket.call("joinRoom", json!({ "roomId": "r" })).await;
    assert_eq!(joined["userId"], "billing");
    let deleted = socket
        .call("deleteMessage", json!({ "roomId": "r", "seq": 1 }))
        .await;
    assert_eq!(deleted["error"]["code"], "FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rooms_of_a_services_token_bound_it() {
    let server = server(&[&format!("--jwt-secret={SECRET}")]).await;
    let claims = json!({ "role": "service", "rooms": ["team-*"] });
    let bounded = Backend::with(&server, &token(claims));
    let free = Backend::with(&server, &token(json!({ "role": "service" })));
    bounded.send("team-1", "system", "hello").await;
    free.send("other", "system", "hello").await;
    free.ok("POST", "/rooms", json!({ "roomId": "other" }))
        .await;
    let seq = json!({ "roomId": "other", "userId": "system", "seq": 1, "message": "x",
        "reaction": "x", "on": true, "query": "x" });
    for (method, path) in [
        ("POST", "/messages"),
        ("PATCH", "/messages"),
        ("PUT", "/reactions"),
        ("PUT", "/pins"),
        ("POST", "/rooms"),
        ("PATCH", "/rooms"),
        ("PUT", "/members"),
        ("PUT", "/reads"),
        ("PUT", "/follows"),
        ("POST", "/disconnect"),
        ("POST", "/erase"),
    ] {
        let refused = bounded.write(method, path, seq.clone()).await;
        assert_eq!(refused.refusal(), (403, "FORBIDDEN"), "{method} {path}");
    }
    for (path, query) in [
        ("/messages", vec![("roomId", "other")]),
        (
            "/changes",
            vec![("roomId", "other"), ("afterRevision", "0")],
        ),
        ("/search", vec![("roomId", "other"), ("query", "x")]),
        ("/rooms", vec![("roomId", "other")]),
        ("/members", vec![("roomId", "other")]),
        ("/reads", vec![("roomId", "other")]),
        ("/presence", vec![("roomId", "other")]),
        ("/export", vec![("roomId", "other")]),
        ("/export", vec![("userId", "system")]),
    ] {
        let refused = bounded.get(path, &query).await;
        assert_eq!(refused.refusal(), (403, "FORBIDDEN"), "{path}");
    }
    for (path, query) in [
        ("/messages", vec![("roomId", "other"), ("seq", "1")]),
        ("/members", vec![("roomId", "other"), ("userId", "system")]),
        ("/follows", vec![("roomId", "other"), ("userId", "system")]),
    ] {
        let refused = bounded.delete(path, &query).await;
        assert_eq!(refused.refusal(), (403, "FORBIDDEN"), "{path}");
    }
    // Rooms that the token is not for are left out of lists.
    for room in ["team-1", "other"] {
        free.ok(
            "PUT",
            "/follows",
            json!({ "roomId": room, "userId": "ann" }),
        )
        .await;
    }
    let list = bounded.get("/follows", &[("userId", "ann")]).await.body;
    let rooms = list["rooms"].as_array().unwrap().iter();
    assert_eq!(
        rooms.map(|room| &room["roomId"]).collect::<Vec<_>>(),
        ["team-1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_open_to_all() {
    let server = server(&[WITH_KEY]).await;
    let url = format!("{}/api/v1/openapi.json", server.url());
    let document = answer(reqwest::Client::new().request(Method::GET, url)).await;
    assert_eq!(document.body["openapi"], "3.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_names_no_room_that_the_token_is_not_for_not_even_as_its_place() {
    let server = server(&[&format!("--jwt-secret={SECRET}")]).await;
    let free = Backend::with(&server, &token(json!({ "role": "service" })));
    let claims = json!({ "role": "service", "rooms": ["team-*"] });
    let bounded = Backend::with(&server, &token(claims));
    for room in [
        "other-1", "team-1", "other-2", "other-3", "team-2", "other-4",
    ] {
        free.ok(
            "PUT",
            "/follows",
            json!({ "roomId": room, "userId": "ann" }),
        )
        .await;
    }
    let (mut listed, mut cursor) = (vec![], None::<String>);
    loop {
        let mut query = vec![("userId", "ann"), ("limit", "1")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = bounded.get("/follows", &query).await.body;
        assert!(!page.to_string().contains("other"), "{page}");
        let rooms = page["rooms"].as_array().unwrap().iter();
        listed.extend(rooms.map(|room| room["roomId"].as_str().unwrap().to_owned()));
        cursor = page["cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, ["team-2", "team-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_cannot_take_the_name_of_a_key() {
    let server = server(&[&format!("--jwt-secret={SECRET}"), WITH_KEY]).await;
    let claims = json!({ "role": "service", "sub": "api-key-1" });
    let refused = Backend::with(&server, &token(claims))
        .get("/rooms", &[("roomId", "r")])
        .await;
    assert_eq!(refused.refusal(), (401, "UNAUTHORIZED"));
}
