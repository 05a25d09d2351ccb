//! The bounds of requests, and a flood.

use std::sync::atomic::{AtomicBool, Ordering};

use parlor::testing::api::WRITES_AT_ONCE;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use super::{Backend, KEY, WITH_KEY, answer, server_on, with_json};
use crate::support::{Database, FLOODED, Server, gate::Gate, http::HttpConnection};

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_bounds_and_a_type() {
    let (_server, backend) = server_on(Database::sqlite()).await;
    let post = |path: &str| backend.request(Method::POST, path);
    let json = |path: &str| post(path).header("content-type", "application/json");
    // A message of the most bytes, all of them escaped, and metadata of the most bytes.
    let metadata = format!(r#"{{"a":"{}"}}"#, "x".repeat(4_096 - 8));
    let message = r"\u0001".repeat(8_191);
    let largest =
        format!(r#"{{"roomId":"r","userId":"u","message":"a{message}","metadata":{metadata}}}"#);
    assert_eq!(answer(json("/messages").body(largest)).await.status, 201);
    for (request, expected) in [
        (
            json("/messages").body(" ".repeat(65_537)),
            (413, "INVALID_PAYLOAD"),
        ),
        (
            json("/batch").body(" ".repeat(1_048_577)),
            (413, "INVALID_PAYLOAD"),
        ),
        (json("/messages").body("{"), (400, "INVALID_PAYLOAD")),
        (json("/messages").body("[]"), (400, "INVALID_PAYLOAD")),
        (
            json("/messages").body(r#"{"roomId":"r","userId":"u","message":"x"} {}"#),
            (400, "INVALID_PAYLOAD"),
        ),
        (json("/messages").body("5"), (400, "INVALID_PAYLOAD")),
        (json("/messages").body(""), (400, "INVALID_PAYLOAD")),
        (
            json("/messages").body(vec![b'{', 0xff, b'}']),
            (400, "INVALID_PAYLOAD"),
        ),
        (post("/messages").body("{}"), (415, "INVALID_PAYLOAD")),
        (
            post("/messages")
                .header("content-type", "text/plain")
                .body("{}"),
            (415, "INVALID_PAYLOAD"),
        ),
        (
            post("/reads")
                .header("content-type", "application/json")
                .body("{}"),
            (405, "INVALID_PAYLOAD"),
        ),
        (json("/nothing").body("{}"), (404, "NOT_FOUND")),
    ] {
        assert_eq!(answer(request).await.refusal(), expected);
    }
    let charset = post("/messages").header("content-type", "Application/JSON; charset=utf-8");
    let message = json!({ "roomId": "r", "userId": "u", "message": "x" }).to_string();
    assert_eq!(answer(charset.body(message)).await.status, 201);
    let response = backend
        .request(Method::PUT, "/messages")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 405);
    let allowed = response.headers()["allow"].to_str().unwrap();
    for method in ["GET", "POST", "PATCH", "DELETE"] {
        assert!(allowed.contains(method), "{allowed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_checked_like_bodies() {
    let (_server, backend) = server_on(Database::sqlite()).await;
    for (query, says) in [
        ("/messages", "roomId: is required"),
        ("/messages?roomId=r&limit=x", "limit: "),
        ("/messages?roomId=r&limit=-1", "limit: "),
        ("/messages?roomId=r&roomId=s", "roomId: is given twice"),
        (
            "/messages?roomId=r&beforeSeq=1&afterSeq=1",
            "beforeSeq and afterSeq",
        ),
        ("/changes?roomId=r", "afterRevision: is required"),
        ("/changes?roomId=r&afterRevision=", "afterRevision: "),
        ("/presence", "exactly one"),
        ("/presence?roomId=r&userId=u", "exactly one"),
        ("/follows", "userId: is required"),
        ("/follows?userId=u&cursor=x", "cursor: "),
        ("/follows?userId=u&cursor=-210866803200000001:r", "cursor: "),
        ("/export", "exactly one"),
        ("/search?roomId=r&query=", "query: "),
    ] {
        let refused = backend.get(query, &[]).await;
        assert_eq!(refused.refusal(), (400, "INVALID_PAYLOAD"), "{query}");
        let message = refused.body["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{query}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_bounded() {
    let (_server, backend) = server_on(Database::sqlite()).await;
    let one = json!({ "method": "PUT", "path": "/pins", "body": {} });
    let many = json!({ "requests": vec![one; 101] });
    let refused = backend.write("POST", "/batch", many).await;
    assert_eq!(refused.refusal(), (400, "INVALID_PAYLOAD"));
    assert_eq!(
        backend
            .ok("POST", "/batch", json!({ "requests": [] }))
            .await,
        json!({ "answers": [] })
    );
    for bad in [
        json!({ "method": "GET", "path": "/messages", "body": {} }),
        json!({ "method": "POST", "path": "/batch", "body": {} }),
        json!({ "method": "POST", "path": "/erase", "body": {} }),
        json!({ "method": "POST", "path": "/messages", "body": [] }),
        json!({ "method": "POST", "path": "/messages" }),
        json!({ "method": "PUT", "path": "/pins", "body": {}, "headers": {} }),
    ] {
        let refused = backend
            .write("POST", "/batch", json!({ "requests": [bad] }))
            .await;
        assert_eq!(refused.refusal(), (400, "INVALID_PAYLOAD"), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_has_a_rate_and_a_batch_counts_as_many() {
    let flags = [WITH_KEY, "--api-requests-per-second=20"];
    let server = Server::on(Database::sqlite(), &flags).await;
    let backend = Backend::of(&server);
    let one = json!({ "method": "POST", "path": "/messages",
        "body": { "roomId": "r", "userId": "u", "message": "x" } });
    backend
        .ok("POST", "/batch", json!({ "requests": vec![one; 35] }))
        .await;
    let message = json!({ "roomId": "r", "userId": "u", "message": "x" });
    let mut refused = None;
    for _ in 0..200 {
        let request = with_json(backend.request(Method::POST, "/messages"), &message);
        let response = request.send().await.unwrap();
        if response.status() != 201 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("a refusal");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "RATE_LIMITED");
    assert!(
        body["error"]["retryAfterMs"].as_u64().unwrap() <= 50,
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_not_charged_for_the_messages_of_a_backend() {
    let flags = [WITH_KEY, "--messages-per-second=1", "--message-burst=5"];
    let server = Server::on(Database::sqlite(), &flags).await;
    let backend = Backend::of(&server);
    for _ in 0..20 {
        backend.send("r", "ann", "by the backend").await;
    }
    let ann = server.client("ann").await;
    ann.join("r").await;
    for _ in 0..5 {
        ann.send("r", "by herself").await;
    }
    let message = json!({ "roomId": "r", "message": "one too many" });
    assert_eq!(ann.refused("sendMessage", message).await, "RATE_LIMITED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_by_a_backend_refuses_nothing_to_sockets() {
    let flags = [WITH_KEY, FLOODED, "--api-requests-per-second=0"];
    let server = Server::on(Database::postgres().await, &flags).await;
    let is_over = AtomicBool::new(false);
    let flood = async |number: usize| {
        let (backend, mut stored) = (Backend::of(&server), 0);
        let message = json!({ "method": "POST", "path": "/messages",
            "body": { "roomId": format!("flood {number}"), "userId": "u", "message": "x" } });
        let batch = json!({ "requests": vec![message; 100] });
        while !is_over.load(Ordering::Relaxed) {
            let answers = backend.ok("POST", "/batch", batch.clone()).await;
            let answers = answers["answers"].as_array().unwrap();
            stored += answers
                .iter()
                .filter(|answer| answer["status"] == 201)
                .count();
        }
        stored
    };
    let chat = async {
        let ann = server.client("ann").await;
        ann.join("r").await;
        for number in 1..=20 {
            assert_eq!(ann.send("r", "hello").await["seq"], number);
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let (stored, ()) = tokio::join!(futures_util::future::join_all((0..20).map(flood)), chat);
    assert!(stored.iter().sum::<usize>() >= 1_000, "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_and_a_repeat_is_stored_once() {
    let mut gate = Gate::shut_at_first();
    gate.open();
    let database = Database::postgres().await.through(&gate);
    let flags = [WITH_KEY, "--send-timeout-ms=300"];
    let server = Server::on(database, &flags).await;
    let backend = Backend::of(&server);
    backend.send("r", "system", "first").await;
    gate.shut().await;
    let message =
        json!({ "roomId": "r", "userId": "system", "message": "second", "clientMessageId": "k" });
    let send = || with_json(backend.request(Method::POST, "/messages"), &message);
    let response = send().send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(
        (&body["error"]["code"], &body["error"]["retryable"]),
        (&json!("UNAVAILABLE"), &json!(true))
    );
    let page = backend.get("/messages", &[("roomId", "r")]).await;
    assert_eq!(page.refusal(), (503, "UNAVAILABLE"));
    gate.open();
    while answer(send()).await.status == 503 {}
    let page = backend.get("/messages", &[("roomId", "r")]).await.body;
    assert_eq!(page["messages"].as_array().unwrap().len(), 2, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_whose_bodies_do_not_arrive_keep_nobody_waiting() {
    let (server, backend) = server_on(Database::sqlite()).await;
    let head = format!(
        "POST /api/v1/messages HTTP/1.1\r\nhost: parlor\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ncontent-length: 50\r\n\r\n{{"
    );
    let mut stalled = vec![];
    for _ in 0..2 * WRITES_AT_ONCE {
        let mut connection = HttpConnection::open(server.address()).await;
        connection.send(&head).await.unwrap();
        stalled.push(connection);
    }
    backend.send("r", "system", "hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_to_a_locked_room_keep_no_read_waiting() {
    let (server, backend) = server_on(Database::postgres().await).await;
    backend.send("locked", "system", "first").await;
    let mut lock = PgConnection::connect(server.database.url()).await.unwrap();
    lock.execute("BEGIN").await.unwrap();
    lock.execute("SELECT * FROM rooms WHERE room_id = 'locked' FOR UPDATE")
        .await
        .unwrap();
    let send = || {
        with_json(
            backend.request(Method::POST, "/messages"),
            &json!({ "roomId": "locked", "userId": "system", "message": "waits" }),
        )
    };
    let sends: Vec<_> = (0..WRITES_AT_ONCE)
        .map(|_| tokio::spawn(answer(send())))
        .collect();
    let free = json!({ "roomId": "free", "userId": "system", "message": "no place" });
    let refused = loop {
        let refused = backend.write("POST", "/messages", free.clone()).await;
        if refused.status != 201 {
            break refused;
        }
    };
    assert_eq!(refused.refusal(), (503, "UNAVAILABLE"));
    assert_eq!(
        backend.get("/messages", &[("roomId", "free")]).await.status,
        200
    );
    lock.execute("ROLLBACK").await.unwrap();
    for send in sends {
        assert_eq!(send.await.unwrap().status, 201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_and_a_key_given_twice_are_bad_requests() {
    let (server, backend) = server_on(Database::sqlite()).await;
    let mut connection = HttpConnection::open(server.address()).await;
    let broken = format!(
        "POST /api/v1/messages HTTP/1.1\r\nhost: parlor\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{{"
    );
    connection.send(&broken).await.unwrap();
    assert_eq!(connection.status().await, Some(400));
    let message = json!({ "roomId": "r", "userId": "u", "message": "x" });
    let twice = with_json(backend.request(Method::POST, "/messages"), &message)
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    assert_eq!(answer(twice).await.refusal(), (400, "INVALID_PAYLOAD"));
}
