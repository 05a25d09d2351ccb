//! Rooms' settings and members, as clients see them.

use serde_json::{Value, json};

use super::{create, member};
use crate::support::{Client, Server};

fn of(room: &str) -> Value {
    json!({ "roomId": room })
}

/// Returns the settings in an answer, without their revision.
fn settings(answer: &Value) -> Value {
    let mut settings = answer["room"].clone();
    let revision = settings.as_object_mut().unwrap().remove("revision");
    assert!(revision.unwrap().as_i64().unwrap() > 0);
    settings
}

/// Waits for news of a room's settings.
async fn until_titled(client: &Client, title: &Value) -> Value {
    loop {
        let changed = client.next("roomChanged").await;
        if changed["room"].get("title").unwrap_or(&Value::Null) == title {
            return changed;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_room_has_an_owner_a_title_and_members() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        let open = json!({ "roomId": "r", "title": "Tea", "metadata": { "color": "green" } });
        let info = json!({ "title": "Tea", "metadata": { "color": "green" }, "access": "open" });
        let created = ann.ok("createRoom", open.clone()).await;
        assert_eq!(settings(&created), info);
        let joined = ann.join("r").await;
        assert_eq!(
            (settings(&joined), &joined["role"]),
            (info.clone(), &json!("owner"))
        );
        let joined = bob.join("r").await;
        assert_eq!(
            (settings(&joined), joined.get("role")),
            (info.clone(), None)
        );
        let listed = ann.ok("listRooms", json!({})).await;
        assert_eq!(listed["rooms"][0]["title"], "Tea");
        let answer = bob.call("createRoom", open).await;
        assert_eq!(answer["error"]["code"], "CONFLICT", "{answer}");
        assert_eq!(answer["error"]["current"], info);
        let members = bob.ok("getMembers", of("r")).await;
        let owner = json!({ "userId": "ann", "role": "owner" });
        assert_eq!(
            members,
            json!({ "status": "ok", "members": [owner], "cursor": null })
        );
        // A room that nobody created stays as it is, and its users keep it.
        let joined = bob.join("lobby").await;
        assert_eq!((joined.get("room"), joined.get("role")), (None, None));
        bob.send("lobby", "mine").await;
        for (event, payload) in [
            ("setRoom", json!({ "roomId": "lobby", "title": "Ann's" })),
            ("addMember", member("lobby", "ann")),
            ("removeMember", member("lobby", "bob")),
        ] {
            assert_eq!(ann.refused(event, payload).await, "NOT_FOUND");
        }
        assert_eq!(ann.refused("createRoom", of("lobby")).await, "FORBIDDEN");
        assert_eq!(ann.refused("getMembers", of("lobby")).await, "NOT_IN_ROOM");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_for_members_is_closed_to_others() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        let eve = server.client("eve").await;
        eve.ok("watchRooms", json!({ "on": true })).await;
        bob.ok("watchRooms", json!({ "on": true })).await;
        create(&ann, "r", &["bob", "ann", "bob"]).await;
        let told = bob.next("roomActivity").await;
        assert_eq!(
            (&told["roomId"], &told["title"]),
            (&json!("r"), &json!("Plans"))
        );
        assert_eq!(bob.join("r").await["role"], "member");
        ann.join("r").await;
        ann.send("r", "a secret").await;
        for (event, payload) in [
            ("joinRoom", of("r")),
            ("followRoom", of("r")),
            ("markRead", json!({ "roomId": "r", "seq": 1 })),
            (
                "searchMessages",
                json!({ "roomId": "r", "query": "secret" }),
            ),
            ("setRoom", json!({ "roomId": "r", "title": "Eve's" })),
            ("addMember", member("r", "eve")),
            ("removeMember", member("r", "bob")),
        ] {
            assert_eq!(eve.refused(event, payload).await, "FORBIDDEN", "{event}");
        }
        for event in ["getHistory", "getReads", "getMembers"] {
            assert_eq!(eve.refused(event, of("r")).await, "NOT_IN_ROOM", "{event}");
        }
        let answer = eve.call("createRoom", of("r")).await;
        assert_eq!(answer["error"]["current"], json!({ "access": "members" }));
        assert_eq!(
            bob.call("createRoom", of("r")).await["error"]["current"]["title"],
            "Plans"
        );
        assert_eq!(eve.ok("listRooms", json!({})).await["rooms"], json!([]));
        assert_eq!(
            ann.ok("addMember", member("r", "eve")).await["changed"],
            true
        );
        assert_eq!(
            ann.ok("addMember", member("r", "eve")).await["changed"],
            false
        );
        let told = eve.next("roomActivity").await;
        assert_eq!(told["lastMessage"]["message"], "a secret");
        assert_eq!(eve.join("r").await["messages"][0]["message"], "a secret");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_settings_are_told_in_one_chain_with_the_messages() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        ann.ok("createRoom", of("r")).await;
        ann.join("r").await;
        let known = bob.join("r").await["lastRevision"].clone();
        ann.send("r", "hello").await;
        let set = json!({ "roomId": "r", "title": "One" });
        let answer = ann.ok("setRoom", set.clone()).await;
        assert_eq!(
            (&answer["changed"], &answer["room"]["title"]),
            (&json!(true), &json!("One"))
        );
        assert_eq!(ann.ok("setRoom", set).await["changed"], false);
        let told = until_titled(&bob, &json!("One")).await;
        assert_eq!(told["previous"], known, "{told}");
        let react = json!({ "roomId": "r", "seq": 1, "reaction": "+", "on": true });
        ann.ok("setReaction", react).await;
        assert_eq!(
            bob.next("messageChanged").await["previous"],
            told["revision"]
        );
        let metadata = json!({ "roomId": "r", "title": "", "metadata": { "a": 1 } });
        ann.ok("setRoom", metadata).await;
        let told = until_titled(&bob, &Value::Null).await;
        assert_eq!(
            settings(&told),
            json!({ "metadata": { "a": 1 }, "access": "open" })
        );
        assert_eq!(told["room"]["revision"], told["revision"]);
        let changes = json!({ "roomId": "r", "afterRevision": known });
        let read = bob.ok("getChanges", changes).await;
        assert_eq!(
            (&read["room"], &read["lastRevision"]),
            (&told["room"], &told["revision"])
        );
        let resumed = json!({ "roomId": "r", "lastSeq": 1, "lastRevision": known });
        let resumed = bob.ok("joinRoom", resumed).await;
        assert_eq!(resumed["room"], told["room"]);
        assert_eq!(resumed["lastRevision"], told["revision"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_decide_who_changes_what() {
    for server in Server::on_each_kind().await {
        let [ann, bob, cid] = [
            server.client("ann").await,
            server.client("bob").await,
            server.client("cid").await,
        ];
        create(&ann, "r", &["bob", "cid"]).await;
        for client in [&ann, &bob, &cid] {
            client.join("r").await;
        }
        ann.send("r", "the owner's").await;
        let at = json!({ "roomId": "r", "seq": 1 });
        let promote = |role: &str| json!({ "roomId": "r", "userId": "bob", "role": role });
        assert_eq!(bob.refused("deleteMessage", at.clone()).await, "FORBIDDEN");
        assert_eq!(
            cid.refused("addMember", promote("moderator")).await,
            "FORBIDDEN"
        );
        ann.ok("addMember", promote("moderator")).await;
        assert_eq!(bob.ok("deleteMessage", at).await["changed"], true);
        assert_eq!(
            bob.refused("addMember", promote("owner")).await,
            "FORBIDDEN"
        );
        assert_eq!(
            bob.refused("removeMember", member("r", "ann")).await,
            "FORBIDDEN"
        );
        let open = json!({ "roomId": "r", "access": "open" });
        assert_eq!(bob.refused("setRoom", open).await, "FORBIDDEN");
        bob.ok("setRoom", json!({ "roomId": "r", "title": "Ours" }))
            .await;
        assert_eq!(
            ann.refused("removeMember", member("r", "ann")).await,
            "FORBIDDEN"
        );
        ann.ok("addMember", promote("owner")).await;
        assert_eq!(
            ann.ok("removeMember", member("r", "ann")).await["changed"],
            true
        );
        assert_eq!(ann.next("removed").await["reason"], "notMember");
        assert_eq!(ann.refused("joinRoom", of("r")).await, "FORBIDDEN");
        let members = bob
            .ok("getMembers", json!({ "roomId": "r", "limit": 1 }))
            .await;
        assert_eq!(
            members["members"],
            json!([{ "userId": "bob", "role": "owner" }])
        );
        let next = json!({ "roomId": "r", "cursor": members["cursor"] });
        let members = bob.ok("getMembers", next).await;
        assert_eq!(
            members["members"],
            json!([{ "userId": "cid", "role": "member" }])
        );
        assert_eq!(members["cursor"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_settings_are_refused_with_the_field() {
    let server = Server::start().await;
    let ann = server.client("ann").await;
    let many: Vec<_> = (0..101).map(|number| format!("u{number}")).collect();
    for (event, payload, field) in [
        (
            "createRoom",
            json!({ "roomId": "r", "title": " " }),
            "title",
        ),
        (
            "createRoom",
            json!({ "roomId": "r", "title": "a\nb" }),
            "title",
        ),
        (
            "createRoom",
            json!({ "roomId": "r", "title": "x".repeat(257) }),
            "title",
        ),
        (
            "createRoom",
            json!({ "roomId": "r", "metadata": [] }),
            "metadata",
        ),
        (
            "createRoom",
            json!({ "roomId": "r", "metadata": { "a": "x".repeat(4_096) } }),
            "metadata",
        ),
        (
            "createRoom",
            json!({ "roomId": "r", "access": "closed" }),
            "access",
        ),
        (
            "createRoom",
            json!({ "roomId": "r", "members": many }),
            "members",
        ),
        (
            "createRoom",
            json!({ "roomId": "r", "members": [""] }),
            "members",
        ),
        ("setRoom", json!({ "title": "x" }), "roomId"),
        (
            "addMember",
            json!({ "roomId": "r", "userId": "bob", "role": "removed" }),
            "role",
        ),
        ("removeMember", json!({ "roomId": "r" }), "userId"),
        ("getMembers", json!({ "roomId": "r", "limit": -1 }), "limit"),
    ] {
        let answer = ann.call(event, payload.clone()).await;
        assert_eq!(
            answer["error"]["code"], "INVALID_PAYLOAD",
            "{payload}: {answer}"
        );
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(field), "{payload}: {message}");
    }
    let longest = json!({ "roomId": "r", "title": "x".repeat(256), "members": many[..100] });
    ann.ok("createRoom", longest).await;
}
