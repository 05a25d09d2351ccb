//! Exports and erasure by backends.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Backend, KEY, WITH_KEY, server_on};
use crate::support::{
    Database, Process, conformance, eventually, gate::Gate, http::HttpConnection, log::append,
    within_deadline,
};

conformance!(
    an_export_is_that_of_the_command,
    an_erased_user_is_gone_for_everybody_at_once,
);

/// Returns the lines of an export.
fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn export(backend: &Backend, query: &[(&str, &str)]) -> Vec<Value> {
    let request = backend
        .request(reqwest::Method::GET, "/export")
        .query(query);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    lines(&response.text().await.unwrap())
}

/// Returns the lines of the command's export.
async fn by_command(database: &Database, arguments: [&str; 2]) -> Vec<Value> {
    let mut command = Process::command();
    command
        .args(["export", "--database-url", database.url()])
        .args(arguments);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    lines(&String::from_utf8(output.stdout).unwrap())
}

async fn an_export_is_that_of_the_command(database: Database) {
    let (server, backend) = server_on(database).await;
    let create = json!({ "roomId": "r", "title": "Room", "members": ["ann"] });
    backend.ok("POST", "/rooms", create).await;
    // More than one statement and more lines than may wait.
    for batch in 0..5 {
        let send = |number: usize| {
            let message = format!("{batch} {number}");
            json!({ "method": "POST", "path": "/messages",
                "body": { "roomId": "r", "userId": "ann", "message": message } })
        };
        let requests = (0..90).map(send).collect::<Vec<_>>();
        backend
            .ok("POST", "/batch", json!({ "requests": requests }))
            .await;
    }
    let react = json!({ "roomId": "r", "seq": 1, "userId": "ann", "reaction": "x", "on": true });
    backend.ok("PUT", "/reactions", react).await;
    for (query, arguments, count) in [
        (("roomId", "r"), ["--room", "r"], 1 + 450 + 1),
        (("userId", "ann"), ["--user", "ann"], 450 + 1 + 1),
        (("roomId", "none"), ["--room", "none"], 0),
    ] {
        let exported = export(&backend, &[query]).await;
        assert_eq!(exported.len(), count, "{query:?}");
        assert_eq!(exported, by_command(&server.database, arguments).await);
    }
}

async fn an_erased_user_is_gone_for_everybody_at_once(database: Database) {
    let (server, backend) = server_on(database).await;
    let [ann, bob] = [server.client("ann").await, server.client("bob").await];
    ann.join("r").await;
    bob.join("r").await;
    backend
        .ok(
            "POST",
            "/rooms",
            json!({ "roomId": "club", "userId": "ann", "access": "members" }),
        )
        .await;
    ann.join("club").await;
    for room in ["r", "r", "club"] {
        ann.send(room, "a secret of ann's").await;
    }
    bob.send("r", "bob's").await;
    let react = json!({ "roomId": "r", "seq": 3, "reaction": "x", "on": true });
    ann.ok("setReaction", react).await;
    let erased = backend
        .ok("POST", "/erase", json!({ "userId": "ann" }))
        .await;
    assert_eq!(
        (&erased["messages"], &erased["reactions"]),
        (&json!(3), &json!(1))
    );
    // Both the reaction and its end are changes.
    let mut deleted = 0;
    while deleted < 2 {
        let changed = bob.next("messageChanged").await;
        deleted += usize::from(changed["message"]["deletedAt"].is_string());
    }
    assert_eq!(ann.next("removed").await["roomId"], "club");
    let export = export(&backend, &[("userId", "ann")]).await;
    assert!(
        export.iter().all(|line| line["message"]["message"] == ""),
        "{export:?}"
    );
    let again = backend
        .ok("POST", "/erase", json!({ "userId": "ann" }))
        .await;
    assert_eq!(again["messages"], 0);
    let page = backend.get("/messages", &[("roomId", "r")]).await.body;
    assert_eq!(page["messages"][2]["message"], "bob's");
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_few_at_once_and_break_off_when_the_database_goes_away() {
    let mut gate = Gate::shut_at_first();
    gate.open();
    let database = Database::postgres().await.through(&gate);
    // More than sockets and lines that wait can hold.
    let text = "x".repeat(4_000);
    append(&database, "r", "ann", &vec![text.as_str(); 4_000]).await;
    let (_server, backend) = server_on(database).await;
    let export = || {
        let request = backend.request(reqwest::Method::GET, "/export");
        request.query(&[("roomId", "r")]).send()
    };
    let unread = [export().await.unwrap(), export().await.unwrap()];
    let refused = export().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    gate.shut().await;
    for response in unread {
        assert_eq!(response.status(), 200);
        let read = within_deadline("the end of an export", response.bytes()).await;
        assert!(read.is_err(), "a part of an export ends like a whole one");
    }
    gate.open();
    let whole = loop {
        let response = export().await.unwrap();
        if let (200, Ok(text)) = (response.status().as_u16(), response.text().await) {
            break lines(&text);
        }
    };
    assert_eq!(whole.len(), 4_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_not_read_holds_up_no_stop() {
    let database = Database::sqlite();
    database.store().await;
    let text = "x".repeat(4_000);
    append(&database, "r", "ann", &vec![text.as_str(); 4_000]).await;
    let process = Process::with(&database, &[WITH_KEY]).await;
    let mut unread = HttpConnection::open(process.address).await;
    let head = format!(
        "GET /api/v1/export?roomId=r HTTP/1.1\r\nhost: parlor\r\nauthorization: Bearer {KEY}\r\n\r\n"
    );
    unread.send(head).await.unwrap();
    let status = unread.status().await;
    assert_eq!(status, Some(200));
    // The server is to wait for its reader: nothing more arrives at many looks.
    let (mut arrived, mut looks) = (0, 0);
    eventually("the buffers to be full", async || {
        let now = unread.waiting().await;
        looks = if now == arrived { looks + 1 } else { 0 };
        arrived = now;
        looks == 50
    })
    .await;
    process.signal(Signal::SIGTERM);
    let (status, log) = process.ended().await;
    assert!(status.success(), "{log}");
    assert!(!log.contains("connections open"), "{log}");
}
