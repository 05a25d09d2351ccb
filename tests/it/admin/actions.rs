//! The acts of administrators in the log.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    api::{Backend, WITH_KEY},
    support::{Database, Process},
};

#[tokio::test(flavor = "multi_thread")]
async fn each_act_is_logged_with_who_did_it_and_no_text() {
    let database = Database::sqlite();
    let process = Process::with(&database, &[WITH_KEY]).await;
    let admin = Backend::at(&format!("http://{}", process.address), crate::api::KEY);
    let room = json!({ "roomId": "r", "title": "Room", "userId": "ann", "members": ["bob"] });
    admin.ok("POST", "/rooms", room).await;
    admin.send("r", "bob", "said in private").await;
    let deleted = admin.delete("/messages", &[("roomId", "r"), ("seq", "1")]);
    assert_eq!(deleted.await.status, 200);
    let removed = admin.delete("/members", &[("roomId", "r"), ("userId", "bob")]);
    assert_eq!(removed.await.status, 200);
    admin
        .ok("POST", "/disconnect", json!({ "userId": "bob" }))
        .await;
    let close = json!({ "roomId": "r" });
    admin.write("POST", "/conversations/close", close).await;
    process.signal(Signal::SIGTERM);
    let (status, log) = process.ended().await;
    assert!(status.success(), "{log}");
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    for (act, fields) in [
        ("deletes a message", json!({ "room": "r", "seq": 1 })),
        ("removes a member", json!({ "room": "r", "user": "bob" })),
        ("disconnects a user", json!({ "user": "bob" })),
        (
            "changes a conversation",
            json!({ "room": "r", "step": "close" }),
        ),
    ] {
        let line = lines.iter().find(|line| line["message"] == act);
        let line = line.unwrap_or_else(|| panic!("{act}: {log}"));
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["service"], "api-key-1");
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(&line[name], value, "{act}: {line}");
        }
    }
    assert!(!log.contains("said in private"), "{log}");
}
