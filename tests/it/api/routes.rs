//! Each route, beside sockets.

use serde_json::{Value, json};

use super::{answer, server_on, with_json};
use crate::support::{Database, conformance, eventually};

conformance!(
    a_backend_sends_to_a_room_that_it_is_not_in,
    a_repeated_send_is_stored_once,
    a_backend_changes_messages_for_their_users,
    a_backend_creates_rooms_and_governs_them,
    a_backend_marks_and_follows_for_its_users,
    a_removed_user_reads_and_follows_nothing_by_a_backend_either,
    ids_of_all_kinds_pass_every_route,
    a_batch_is_carried_out_in_order_and_answered_one_by_one,
);

/// Ids that a path would not carry.
fn odd_ids() -> [String; 6] {
    [
        "a/b".into(),
        "a%2Fb".into(),
        "a?b=c&d#e+f g".into(),
        "zażółć 🦀 名".into(),
        r#"quote " and \ and '"#.into(),
        "é".repeat(64),
    ]
}

async fn a_backend_sends_to_a_room_that_it_is_not_in(database: Database) {
    let (server, backend) = server_on(database).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    let system = backend
        .send("r", "system", "Your order is on its way")
        .await;
    let heard = ann.next("newMessage").await;
    assert_eq!((&heard, &heard["seq"]), (&system, &json!(1)));
    let operator = json!({ "roomId": "r", "operatorId": "olga", "message": "hello",
        "replyTo": 1, "metadata": { "a": 1 } });
    let sent = backend.write("POST", "/messages", operator).await;
    assert_eq!(sent.status, 201);
    let heard = ann.next("newMessage").await;
    assert_eq!(sent.body["message"], heard);
    assert_eq!(
        (&heard["operatorId"], &heard["userId"]),
        (&json!("olga"), &json!("olga"))
    );
    assert_eq!(
        (&heard["replyTo"], &heard["metadata"]["a"]),
        (&json!(1), &json!(1))
    );
    ann.send("r", "thanks").await;
    let page = backend
        .get("/messages", &[("roomId", "r"), ("limit", "2")])
        .await;
    assert_eq!(page.body["hasMore"], true);
    let texts = page.body["messages"].as_array().unwrap().iter();
    assert_eq!(
        texts.map(|one| &one["message"]).collect::<Vec<_>>(),
        ["hello", "thanks"]
    );
    let older = backend
        .get("/messages", &[("roomId", "r"), ("beforeSeq", "2")])
        .await;
    assert_eq!(older.body["messages"], json!([system]));
    let replies = backend
        .get("/messages", &[("roomId", "r"), ("replyTo", "1")])
        .await;
    assert_eq!(replies.body["messages"], json!([heard]));
}

async fn a_repeated_send_is_stored_once(database: Database) {
    let (server, backend) = server_on(database).await;
    let send = || {
        let message = json!({ "roomId": "r", "userId": "system", "message": "once" });
        let request = backend.request(reqwest::Method::POST, "/messages");
        answer(with_json(request, &message).header("idempotency-key", "order 5 ✓"))
    };
    let answers = futures_util::future::join_all((0..20).map(|_| send())).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1, "{answers:?}");
    for answer in &answers {
        assert!([200, 201].contains(&answer.status));
        assert_eq!(answer.body["duplicate"], answer.status == 200);
        assert_eq!(answer.body["message"], answers[0].body["message"]);
        assert_eq!(answer.body["message"]["clientMessageId"], "order 5 ✓");
    }
    // A socket of the same user repeats it, too.
    let system = server.client("system").await;
    system.join("r").await;
    let repeat = json!({ "roomId": "r", "message": "once", "clientMessageId": "order 5 ✓" });
    assert_eq!(system.ok("sendMessage", repeat).await["duplicate"], true);
    for (header, body) in [
        ("a", json!("b")),
        ("", json!(null)),
        ("a\u{7f}", json!(null)),
    ] {
        let message =
            json!({ "roomId": "r", "userId": "system", "message": "x", "clientMessageId": body });
        let request = backend.request(reqwest::Method::POST, "/messages");
        let request = with_json(request, &message).header(
            "idempotency-key",
            reqwest::header::HeaderValue::from_bytes(header.as_bytes())
                .unwrap_or(reqwest::header::HeaderValue::from_static("")),
        );
        assert_eq!(
            answer(request).await.refusal(),
            (400, "INVALID_PAYLOAD"),
            "{header:?}"
        );
    }
}

async fn a_backend_changes_messages_for_their_users(database: Database) {
    let (server, backend) = server_on(database).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    ann.send("r", "first").await;
    ann.send("r", "second").await;
    let changed = async |answer: Value| {
        let heard = ann.next("messageChanged").await;
        assert_eq!(answer["message"], heard["message"], "{answer}");
        assert_eq!(answer["changed"], true);
        heard["message"].clone()
    };
    let edit = json!({ "roomId": "r", "seq": 1, "userId": "ann", "message": "edited" });
    let edited = changed(backend.ok("PATCH", "/messages", edit.clone()).await).await;
    assert_eq!(edited["message"], "edited");
    assert_eq!(
        backend.ok("PATCH", "/messages", edit).await["changed"],
        false
    );
    let react = json!({ "roomId": "r", "seq": 1, "userId": "bob", "reaction": "👍", "on": true });
    let reacted = changed(backend.ok("PUT", "/reactions", react).await).await;
    assert_eq!(reacted["reactions"][0]["userIds"], json!(["bob"]));
    let pin = json!({ "roomId": "r", "seq": 1, "on": true });
    assert_eq!(
        changed(backend.ok("PUT", "/pins", pin).await).await["pinned"],
        true
    );
    let deleted = backend
        .delete("/messages", &[("roomId", "r"), ("seq", "2")])
        .await;
    assert_eq!(changed(deleted.body).await["message"], "");
    let changes = backend
        .get("/changes", &[("roomId", "r"), ("afterRevision", "0")])
        .await;
    let seqs = changes.body["changes"].as_array().unwrap().iter();
    assert_eq!(seqs.map(|one| &one["seq"]).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(changes.body["lastRevision"], 4);
    for (body, refusal) in [
        (
            json!({ "roomId": "r", "seq": 1, "userId": "bob", "message": "x" }),
            (403, "FORBIDDEN"),
        ),
        (
            json!({ "roomId": "r", "seq": 9, "userId": "ann", "message": "x" }),
            (404, "NOT_FOUND"),
        ),
        (
            json!({ "roomId": "r", "seq": 2, "userId": "ann", "message": "x" }),
            (409, "CONFLICT"),
        ),
        (
            json!({ "roomId": "r", "seq": 1, "message": "x" }),
            (400, "INVALID_PAYLOAD"),
        ),
        (
            json!({ "roomId": "r", "seq": 1, "userId": "ann", "message": "x".repeat(8_193) }),
            (413, "MESSAGE_TOO_LARGE"),
        ),
        (
            json!({ "roomId": "r", "seq": 1, "userId": "ann", "message": "x", "ifRevision": 1 }),
            (409, "CONFLICT"),
        ),
    ] {
        let refused = backend.write("PATCH", "/messages", body).await;
        assert_eq!(refused.refusal(), refusal);
        if refusal.1 == "CONFLICT" {
            assert_eq!(refused.body["error"]["current"]["roomId"], "r");
        }
    }
}

async fn a_backend_creates_rooms_and_governs_them(database: Database) {
    let (server, backend) = server_on(database).await;
    let [ann, bob] = [server.client("ann").await, server.client("bob").await];
    let club =
        json!({ "roomId": "club", "title": "Club", "access": "members", "members": ["bob"] });
    let created = backend.write("POST", "/rooms", club.clone()).await;
    assert_eq!(
        (created.status, &created.body["room"]["title"]),
        (201, &json!("Club"))
    );
    let again = backend.write("POST", "/rooms", club).await;
    assert_eq!(again.refusal(), (409, "CONFLICT"));
    assert_eq!(again.body["error"]["current"]["title"], "Club");
    assert_eq!(
        ann.refused("joinRoom", json!({ "roomId": "club" })).await,
        "FORBIDDEN"
    );
    bob.join("club").await;
    let add = json!({ "roomId": "club", "userId": "ann", "role": "owner" });
    assert_eq!(
        backend.ok("PUT", "/members", add.clone()).await,
        json!({ "changed": true })
    );
    assert_eq!(
        backend.ok("PUT", "/members", add).await,
        json!({ "changed": false })
    );
    ann.join("club").await;
    let title = json!({ "roomId": "club", "title": "The club" });
    assert_eq!(backend.ok("PATCH", "/rooms", title).await["changed"], true);
    let changed = bob.next("roomChanged").await;
    assert_eq!(changed["room"]["title"], "The club");
    let members = backend
        .get("/members", &[("roomId", "club"), ("limit", "1")])
        .await
        .body;
    assert_eq!(
        members["members"],
        json!([{ "userId": "ann", "role": "owner" }])
    );
    let cursor = members["cursor"].as_str().unwrap();
    let rest = backend
        .get("/members", &[("roomId", "club"), ("cursor", cursor)])
        .await
        .body;
    assert_eq!(
        rest,
        json!({ "members": [{ "userId": "bob", "role": "member" }], "cursor": null })
    );
    // Even the last owner, as a service governs the room.
    for user in ["ann", "bob"] {
        let removed = backend
            .delete("/members", &[("roomId", "club"), ("userId", user)])
            .await;
        assert_eq!(removed.body, json!({ "changed": true }));
    }
    for client in [&ann, &bob] {
        assert_eq!(client.next("removed").await["roomId"], "club");
    }
    let room = backend.get("/rooms", &[("roomId", "club")]).await.body;
    assert_eq!(
        (&room["lastSeq"], &room["room"]["access"]),
        (&json!(0), &json!("members"))
    );
    assert_eq!(room["lastRevision"], room["room"]["revision"]);
    let unknown = backend.get("/rooms", &[("roomId", "nobody's")]).await;
    assert_eq!(
        unknown.body,
        json!({ "roomId": "nobody's", "lastSeq": 0, "lastRevision": 0 })
    );
    // A room with an owner of the product's choice, even one that is in use.
    backend.send("lobby", "system", "welcome").await;
    let owned = json!({ "roomId": "lobby", "userId": "ann" });
    assert_eq!(backend.write("POST", "/rooms", owned).await.status, 201);
    let joined = ann.join("lobby").await;
    assert_eq!(joined["role"], "owner");
}

async fn a_backend_marks_and_follows_for_its_users(database: Database) {
    let (_server, backend) = server_on(database).await;
    for number in 1..=3 {
        backend
            .send("r", "system", &format!("message {number}"))
            .await;
    }
    let mark = json!({ "roomId": "r", "userId": "ann", "seq": 2 });
    assert_eq!(
        backend.ok("PUT", "/reads", mark).await,
        json!({ "readSeq": 2 })
    );
    let reads = backend.get("/reads", &[("roomId", "r")]).await.body;
    let ann = json!({ "userId": "ann", "seq": 2 });
    assert!(reads["reads"].as_array().unwrap().contains(&ann), "{reads}");
    let follow = json!({ "roomId": "r", "userId": "bob", "muted": true });
    backend.ok("PUT", "/follows", follow).await;
    let list = backend.get("/follows", &[("userId", "bob")]).await.body;
    let [room] = &list["rooms"].as_array().unwrap()[..] else {
        panic!("{list}");
    };
    assert_eq!(
        (&room["roomId"], &room["unread"], &room["muted"]),
        (&json!("r"), &json!(3), &json!(true))
    );
    let found = backend
        .get("/search", &[("userId", "bob"), ("query", "mess")])
        .await;
    assert_eq!(found.status, 200, "{found:?}");
    backend
        .delete("/follows", &[("roomId", "r"), ("userId", "bob")])
        .await;
    let list = backend.get("/follows", &[("userId", "bob")]).await.body;
    assert_eq!(list["rooms"], json!([]));
    let nobody = backend.get("/search", &[("query", "mess")]).await;
    assert_eq!(nobody.refusal(), (400, "INVALID_PAYLOAD"));
}

async fn ids_of_all_kinds_pass_every_route(database: Database) {
    let (_server, backend) = server_on(database).await;
    for id in odd_ids() {
        let id = id.as_str();
        assert_eq!(backend.send(id, id, "text").await["roomId"], id);
        let page = backend.get("/messages", &[("roomId", id)]).await.body;
        assert_eq!(page["messages"][0]["userId"], id);
        let create = json!({ "roomId": id, "userId": id, "title": id });
        backend.ok("POST", "/rooms", create).await;
        let other = json!({ "roomId": id, "userId": "other" });
        backend.ok("PUT", "/members", other).await;
        let members = backend.get("/members", &[("roomId", id)]).await.body;
        assert_eq!(members["members"].as_array().unwrap().len(), 2);
        backend
            .ok(
                "PUT",
                "/reads",
                json!({ "roomId": id, "userId": id, "seq": 1 }),
            )
            .await;
        backend
            .ok("PUT", "/follows", json!({ "roomId": id, "userId": id }))
            .await;
        let list = backend.get("/follows", &[("userId", id)]).await.body;
        assert_eq!(list["rooms"][0]["roomId"], id);
        for (path, query) in [
            ("/rooms", vec![("roomId", id)]),
            ("/reads", vec![("roomId", id)]),
            ("/changes", vec![("roomId", id), ("afterRevision", "0")]),
            ("/search", vec![("roomId", id), ("query", "text")]),
            ("/presence", vec![("roomId", id)]),
            ("/presence", vec![("userId", id)]),
            ("/export", vec![("roomId", id)]),
            ("/export", vec![("userId", id)]),
        ] {
            assert_eq!(backend.get(path, &query).await.status, 200, "{path} {id}");
        }
        let deleted = backend
            .delete("/messages", &[("roomId", id), ("seq", "1"), ("userId", id)])
            .await;
        assert_eq!(deleted.body["changed"], true);
        let removed = backend
            .delete("/members", &[("roomId", id), ("userId", id)])
            .await;
        assert_eq!(removed.body["changed"], true);
        backend
            .ok("POST", "/disconnect", json!({ "userId": id }))
            .await;
        backend.ok("POST", "/erase", json!({ "userId": id })).await;
    }
    for bad in ["", " a", "a\nb", "a\u{200b}", &"é".repeat(65)] {
        let refused = backend.get("/messages", &[("roomId", bad)]).await;
        assert_eq!(refused.refusal(), (400, "INVALID_PAYLOAD"), "{bad:?}");
    }
}

async fn a_batch_is_carried_out_in_order_and_answered_one_by_one(database: Database) {
    let (_server, backend) = server_on(database).await;
    let write = |method: &str, path: &str, body: Value| json!({ "method": method, "path": path, "body": body });
    let send = |number: usize| {
        let message = json!({ "roomId": "r", "userId": "system", "message": number.to_string() });
        write("POST", "/messages", message)
    };
    let answers = backend
        .ok(
            "POST",
            "/batch",
            json!({ "requests": (1..=100).map(send).collect::<Vec<_>>() }),
        )
        .await;
    for (index, answer) in answers["answers"].as_array().unwrap().iter().enumerate() {
        let message = &answer["body"]["message"];
        assert_eq!(answer["status"], 201);
        assert_eq!(message["seq"], index + 1);
        assert_eq!(message["message"], (index + 1).to_string());
    }
    let mixed = json!({ "requests": [
        write("POST", "/rooms", json!({ "roomId": "team", "members": ["ann"] })),
        write("POST", "/messages", json!({ "roomId": "team", "userId": "ann", "message": "one", "clientMessageId": "k" })),
        write("POST", "/messages", json!({ "roomId": "team", "userId": "ann", "message": "one", "clientMessageId": "k" })),
        write("PATCH", "/messages", json!({ "roomId": "team", "seq": 1, "userId": "ann", "message": "two" })),
        write("POST", "/messages", json!({ "roomId": "team", "message": "nobody's" })),
        write("PUT", "/reactions", json!({ "roomId": "team", "seq": 1, "userId": "bob", "reaction": "x", "on": true })),
        write("PUT", "/pins", json!({ "roomId": "team", "seq": 1, "on": true })),
        write("PUT", "/members", json!({ "roomId": "team", "userId": "bob" })),
        write("PUT", "/reads", json!({ "roomId": "team", "userId": "bob", "seq": 1 })),
        write("PUT", "/follows", json!({ "roomId": "team", "userId": "bob" })),
        write("DELETE", "/follows", json!({ "roomId": "team", "userId": "bob" })),
        write("DELETE", "/members", json!({ "roomId": "team", "userId": "bob" })),
        write("PATCH", "/rooms", json!({ "roomId": "team", "title": "Team" })),
        write("DELETE", "/messages", json!({ "roomId": "team", "seq": 1 })),
        write("PATCH", "/members", json!({})),
    ] });
    let answers = backend.ok("POST", "/batch", mixed).await;
    let statuses = answers["answers"].as_array().unwrap().iter();
    assert_eq!(
        statuses
            .map(|answer| answer["status"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [
            201, 201, 200, 200, 400, 200, 200, 200, 200, 200, 200, 200, 200, 200, 400
        ],
        "{answers}"
    );
    assert_eq!(
        answers["answers"][4]["body"]["error"]["code"],
        "INVALID_PAYLOAD"
    );
    let room = backend.get("/messages", &[("roomId", "team")]).await.body;
    assert_eq!(room["messages"].as_array().unwrap().len(), 1);
    assert!(room["messages"][0]["deletedAt"].is_string(), "{room}");
}

async fn a_removed_user_reads_and_follows_nothing_by_a_backend_either(database: Database) {
    let (_server, backend) = server_on(database).await;
    let room = json!({ "roomId": "club", "access": "members", "members": ["ann", "mal"] });
    backend.ok("POST", "/rooms", room).await;
    backend.send("club", "ann", "a secret").await;
    backend
        .delete("/members", &[("roomId", "club"), ("userId", "mal")])
        .await;
    let refused = [
        backend
            .get(
                "/search",
                &[("roomId", "club"), ("userId", "mal"), ("query", "secret")],
            )
            .await,
        backend
            .write(
                "PUT",
                "/follows",
                json!({ "roomId": "club", "userId": "mal" }),
            )
            .await,
        backend
            .write(
                "PUT",
                "/reads",
                json!({ "roomId": "club", "userId": "mal", "seq": 1 }),
            )
            .await,
    ];
    for answer in &refused {
        assert_eq!(answer.refusal(), (403, "FORBIDDEN"));
    }
    // The index follows the sends a moment later.
    eventually("the words to be found", async || {
        let found = [
            backend
                .get("/search", &[("roomId", "club"), ("query", "secret")])
                .await,
            backend
                .get(
                    "/search",
                    &[("roomId", "club"), ("userId", "ann"), ("query", "secret")],
                )
                .await,
        ];
        found
            .iter()
            .all(|found| found.body["messages"].as_array().unwrap().len() == 1)
    })
    .await;
}
