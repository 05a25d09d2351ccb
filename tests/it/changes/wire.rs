//! Changes as clients see them.

use serde_json::{Value, json};

use crate::support::{Client, Server};

/// Sends messages as one user, and returns the last one.
async fn say(client: &Client, count: usize) -> Value {
    let mut last = Value::Null;
    for number in 1..=count {
        last = client.send("r", &format!("message {number}")).await;
    }
    last
}

async fn change(client: &Client, event: &str, payload: Value) -> Value {
    let changed = client.ok(event, payload).await;
    assert_eq!(changed["changed"], true, "{changed}");
    changed["message"].clone()
}

async fn edit(client: &Client, seq: i64, text: &str) -> Value {
    let payload = json!({ "roomId": "r", "seq": seq, "message": text });
    change(client, "editMessage", payload).await
}

async fn react(client: &Client, seq: i64, reaction: &str) -> Value {
    let payload = json!({ "roomId": "r", "seq": seq, "reaction": reaction, "on": true });
    change(client, "setReaction", payload).await
}

fn at(seq: i64) -> Value {
    json!({ "roomId": "r", "seq": seq })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_acked_with_the_message_that_everybody_is_told() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        ann.join("r").await;
        bob.join("r").await;
        let sent = say(&ann, 1).await;
        let mut edited = edit(&ann, 1, "better").await;
        for client in [&ann, &bob] {
            let told = json!({ "roomId": "r", "revision": 1, "previous": 0, "message": edited });
            assert_eq!(client.next("messageChanged").await, told);
        }
        let stamp = edited["editedAt"].take();
        assert!(stamp.as_str().unwrap().ends_with('Z'), "{stamp}");
        let mut expected = sent;
        expected["message"] = "better".into();
        expected["revision"] = 1.into();
        expected["editedAt"] = Value::Null;
        assert_eq!(edited, expected);
        let loved = react(&bob, 1, "❤️").await;
        assert_eq!(
            loved["reactions"],
            json!([{ "reaction": "❤️", "count": 1, "userIds": ["bob"] }])
        );
        let pinned = change(
            &bob,
            "setPinned",
            json!({ "roomId": "r", "seq": 1, "on": true }),
        )
        .await;
        assert_eq!(pinned["pinned"], true);
        let joined = bob.join("r").await;
        assert_eq!(
            (&joined["messages"][0], &joined["lastRevision"]),
            (&pinned, &json!(3))
        );
        assert_eq!(joined.get("changes"), None);
        let page = ann.ok("getHistory", json!({ "roomId": "r" })).await;
        assert_eq!(page["messages"], json!([pinned]));
        let deleted = change(&ann, "deleteMessage", at(1)).await;
        assert_eq!(
            (&deleted["message"], &deleted["revision"]),
            (&json!(""), &json!(4))
        );
        for absent in ["reactions", "pinned", "editedAt", "metadata"] {
            assert_eq!(deleted.get(absent), None, "{deleted}");
        }
        let again = ann.ok("deleteMessage", at(1)).await;
        assert_eq!(
            (&again["changed"], &again["message"]),
            (&json!(false), &deleted)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_has_its_code_and_the_present_state() {
    let server = Server::start().await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    ann.join("r").await;
    let outside = json!({ "roomId": "r", "seq": 1, "message": "x" });
    assert_eq!(
        bob.refused("editMessage", outside.clone()).await,
        "NOT_IN_ROOM"
    );
    bob.join("r").await;
    assert_eq!(
        ann.refused("editMessage", outside.clone()).await,
        "NOT_FOUND"
    );
    say(&ann, 1).await;
    assert_eq!(bob.refused("editMessage", outside).await, "FORBIDDEN");
    assert_eq!(bob.refused("deleteMessage", at(1)).await, "FORBIDDEN");
    let stale = |revision: i64| json!({ "roomId": "r", "seq": 1, "message": "new", "ifRevision": revision });
    let edited = change(&ann, "editMessage", stale(0)).await;
    let lost = ann.call("editMessage", stale(0)).await;
    assert_eq!(lost["error"]["code"], "CONFLICT", "{lost}");
    assert_eq!(lost["error"]["retryable"], false);
    assert_eq!(lost["error"]["current"], edited);
    let deep = format!("{}1{}", r#"{"a":"#.repeat(33), "}".repeat(33));
    let deep: Value = serde_json::from_str(&deep).unwrap();
    let large = json!({ "a": "x".repeat(4_100) });
    for (event, field, bad) in [
        ("editMessage", "message", json!(" ")),
        ("editMessage", "metadata", json!([])),
        ("sendMessage", "metadata", json!("x")),
        ("sendMessage", "metadata", large),
        ("sendMessage", "metadata", deep),
        ("sendMessage", "replyTo", json!(-1)),
        ("setReaction", "reaction", json!("")),
        ("setReaction", "reaction", json!("x".repeat(65))),
        ("setReaction", "on", json!("yes")),
        ("setPinned", "on", Value::Null),
        ("deleteMessage", "seq", json!("1")),
        ("getChanges", "afterRevision", json!(1.5)),
        ("joinRoom", "lastRevision", json!("x")),
    ] {
        let mut payload = json!({ "roomId": "r", "seq": 1, "message": "x", "reaction": "x", "on": true, "afterRevision": 0 });
        payload[field] = bad;
        let refused = ann.call(event, payload).await;
        assert_eq!(
            refused["error"]["code"], "INVALID_PAYLOAD",
            "{event} {field}: {refused}"
        );
        let text = refused["error"]["message"].as_str().unwrap();
        assert!(text.starts_with(field), "{event}: {text}");
    }
    let joined = ann.join("r").await;
    assert_eq!(joined["lastRevision"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_carries_what_it_answers_and_its_data() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        ann.join("r").await;
        bob.join("r").await;
        let reply = |to: i64| json!({ "roomId": "r", "message": "yes", "replyTo": to, "metadata": { "b": 1.0, "a": [null] }, "clientMessageId": "x" });
        assert_eq!(ann.refused("sendMessage", reply(1)).await, "NOT_FOUND");
        say(&bob, 3).await;
        let sent = ann.ok("sendMessage", reply(2)).await["message"].clone();
        assert_eq!(sent["replyTo"], 2);
        assert_eq!(sent["metadata"], json!({ "b": 1.0, "a": [null] }));
        assert_eq!(sent.get("revision"), None);
        for _ in 1..=3 {
            bob.next("newMessage").await;
        }
        assert_eq!(bob.next("newMessage").await, sent);
        let again = ann.ok("sendMessage", reply(2)).await;
        assert_eq!(
            (&again["message"], &again["duplicate"]),
            (&sent, &json!(true))
        );
        let replies = json!({ "roomId": "r", "replyTo": 2 });
        let page = bob.ok("getHistory", replies).await;
        assert_eq!(
            (&page["messages"], &page["hasMore"]),
            (&json!([sent]), &json!(false))
        );
        let none = bob
            .ok("getHistory", json!({ "roomId": "r", "replyTo": 1 }))
            .await;
        assert_eq!(none["messages"], json!([]));
        let plain = json!({ "roomId": "r", "message": "x", "metadata": {} });
        let plain = ann.ok("sendMessage", plain).await;
        assert_eq!(plain["message"].get("metadata"), None);
    }
}

/// Joins with what a client knows.
async fn resume(client: &Client, last_seq: i64, last_revision: i64) -> Value {
    let known = json!({ "roomId": "r", "lastSeq": last_seq, "lastRevision": last_revision });
    client.ok("joinRoom", known).await
}

fn revisions(answer: &Value) -> Vec<i64> {
    let changes = answer["changes"].as_array().expect("changes");
    let revisions = changes.iter().map(|change| change["revision"].as_i64());
    revisions.map(Option::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_gets_the_changes_that_it_has_missed() {
    for server in Server::on_each_kind_with(&["--messages-per-second=0"]).await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        ann.join("r").await;
        say(&ann, 400).await;
        edit(&ann, 1, "first").await;
        let one = resume(&bob, 400, 0).await;
        assert_eq!(
            (revisions(&one), &one["moreChanges"]),
            (vec![1], &json!(false))
        );
        assert_eq!(one["lastRevision"], 1);
        // Of several changes of a message the newest, and only of messages that the client has.
        for text in ["a", "b"] {
            edit(&ann, 2, text).await;
        }
        edit(&ann, 400, "last").await;
        let some = resume(&bob, 399, 1).await;
        assert_eq!(revisions(&some), [3]);
        assert_eq!(some["messages"][0]["revision"], 4);
        assert_eq!(some["lastRevision"], 4);
        assert_eq!(revisions(&resume(&bob, 400, 4).await), [0; 0]);
        for seq in 1..=200 {
            edit(&ann, seq, "again").await;
        }
        let all = resume(&bob, 400, 4).await;
        assert_eq!(
            (revisions(&all).len(), &all["moreChanges"]),
            (200, &json!(false))
        );
        edit(&ann, 201, "one more").await;
        let first = resume(&bob, 400, 4).await;
        assert_eq!(
            (revisions(&first).len(), &first["moreChanges"]),
            (200, &json!(true))
        );
        assert_eq!(first["lastRevision"], 204);
        let ask = json!({ "roomId": "r", "afterRevision": first["lastRevision"] });
        let rest = bob.ok("getChanges", ask).await;
        assert_eq!(
            (revisions(&rest), &rest["moreChanges"]),
            (vec![205], &json!(false))
        );
        assert_eq!(rest["lastRevision"], 205);
        let few = json!({ "roomId": "r", "afterRevision": 4, "limit": 3 });
        let few = bob.ok("getChanges", few).await;
        assert_eq!(
            (revisions(&few), &few["moreChanges"]),
            (vec![5, 6, 7], &json!(true))
        );
        assert_eq!(few["lastRevision"], 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_that_has_missed_a_thousand_changes_starts_anew() {
    let server = Server::on(
        crate::support::Database::sqlite(),
        &["--messages-per-second=0"],
    )
    .await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    ann.join("r").await;
    say(&ann, 1).await;
    for number in 0..1_001 {
        edit(&ann, 1, &format!("text {number}")).await;
    }
    for (known, reset) in [(0, true), (1, false), (2_000, false)] {
        let joined = resume(&bob, 1, known).await;
        assert_eq!(
            joined.get("changesReset").is_some(),
            reset,
            "{known}: {joined}"
        );
        assert_eq!(joined["lastRevision"], 1_001);
    }
    for (after, reset) in [(0, true), (1, false), (1_001, false), (1_002, true)] {
        let ask = json!({ "roomId": "r", "afterRevision": after });
        let read = bob.ok("getChanges", ask).await;
        assert_eq!(read.get("changesReset").is_some(), reset, "{after}: {read}");
        assert_eq!(read["lastRevision"], 1_001);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_be_edited_for_a_while() {
    let flags = ["--edit-window-seconds=1"];
    let server = Server::on(crate::support::Database::sqlite(), &flags).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    say(&ann, 1).await;
    edit(&ann, 1, "in time").await;
    crate::support::eventually("the end of the time", async || {
        let late = json!({ "roomId": "r", "seq": 1, "message": "late" });
        let answer = ann.call("editMessage", late).await;
        answer["error"]["code"] == "FORBIDDEN"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_reactions_is_told_four_times_a_second() {
    const USERS: u32 = 60;
    for server in Server::on_each_kind().await {
        let ann = server.client("ann").await;
        ann.join("r").await;
        say(&ann, 1).await;
        ann.received().await;
        let begun = std::time::Instant::now();
        let reacting = (0..USERS).map(|user| {
            let server = &server;
            async move {
                let mut client = server.raw(&user.to_string()).await;
                client.call("joinRoom", json!({ "roomId": "r" })).await;
                for on in [true, false, true] {
                    let react = json!({ "roomId": "r", "seq": 1, "reaction": "👍", "on": on });
                    let answer = client.call("setReaction", react).await;
                    assert_eq!(answer["status"], "ok", "{answer}");
                }
            }
        });
        futures_util::future::join_all(reacting).await;
        let (mut packets, mut last) = (0, 0);
        while last < i64::from(3 * USERS) {
            let told = ann.next("messageChanged").await;
            assert_eq!(told["previous"], last, "{told}");
            last = told["revision"].as_i64().unwrap();
            packets += 1;
            if last == i64::from(3 * USERS) {
                assert_eq!(told["message"]["reactions"][0]["count"], USERS);
            }
        }
        let most = begun.elapsed().as_millis() / 250 + 2;
        assert!(packets <= most, "{packets} packets, at most {most}");
    }
}
