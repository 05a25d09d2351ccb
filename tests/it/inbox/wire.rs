//! The inbox, as clients see it.

use serde_json::{Value, json};

use crate::support::{Client, Server, eventually};

fn at(room: &str, seq: i64) -> Value {
    json!({ "roomId": room, "seq": seq })
}

fn of(room: &str) -> Value {
    json!({ "roomId": room })
}

async fn say(client: &Client, room: &str, count: usize) {
    for number in 1..=count {
        client.send(room, &format!("message {number}")).await;
    }
}

/// Returns the user's list: each room with the number of unread messages.
async fn unread(client: &Client) -> Vec<(String, i64)> {
    let page = client.ok("listRooms", json!({})).await;
    let rooms = page["rooms"].as_array().unwrap().iter();
    rooms
        .map(|room| {
            let name = room["roomId"].as_str().unwrap().to_owned();
            (name, room["unread"].as_i64().unwrap())
        })
        .collect()
}

/// Waits for activity of a room with so many unread messages.
async fn until_unread(client: &Client, room: &str, unread: i64) -> Value {
    loop {
        let activity = client.next("roomActivity").await;
        if activity["roomId"] == room && activity["unread"] == unread {
            return activity;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_mark_is_acked_told_and_given_to_joiners() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        ann.join("r").await;
        say(&ann, "r", 3).await;
        let first = json!({ "roomId": "r", "lastRevision": 0 });
        let joined = bob.ok("joinRoom", first.clone()).await;
        assert_eq!(joined["readSeq"], 0);
        for (seq, read) in [(2, 2), (1, 2), (99, 3)] {
            let marked = bob.ok("markRead", at("r", seq)).await;
            assert_eq!(marked["readSeq"], read);
        }
        let told = ann.next("read").await;
        assert_eq!(told["roomId"], "r");
        assert_eq!(told["reads"][0]["userId"], "bob");
        let reads = ann.ok("getReads", of("r")).await;
        let bobs = json!({ "userId": "bob", "seq": 3 });
        assert!(
            reads["reads"].as_array().unwrap().contains(&bobs),
            "{reads}"
        );
        assert_eq!(reads["hasMore"], false);
        let joined = server.client("bob").await.ok("joinRoom", first).await;
        assert_eq!(joined["readSeq"], 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_counts_unread_messages_and_own_ones_as_read() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        bob.ok("joinRoom", of("r")).await;
        bob.ok("joinRoom", of("s")).await;
        say(&bob, "r", 3).await;
        say(&bob, "s", 1).await;
        assert_eq!(unread(&ann).await, []);
        for room in ["r", "s"] {
            assert_eq!(ann.ok("followRoom", of(room)).await["roomId"], room);
        }
        assert_eq!(unread(&ann).await, [("s".into(), 1), ("r".into(), 3)]);
        ann.join("r").await;
        ann.send("r", "mine").await;
        bob.send("r", "another").await;
        assert_eq!(unread(&ann).await, [("r".into(), 1), ("s".into(), 1)]);
        ann.ok("markRead", at("r", 5)).await;
        let page = ann.ok("listRooms", json!({ "limit": 1 })).await;
        let room = &page["rooms"][0];
        assert_eq!(
            (
                &room["roomId"],
                &room["lastSeq"],
                &room["readSeq"],
                &room["unread"],
                &room["muted"]
            ),
            (&json!("r"), &json!(5), &json!(5), &json!(0), &json!(false))
        );
        assert_eq!(room["lastMessage"]["message"], "another");
        let next = json!({ "limit": 1, "cursor": page["cursor"] });
        let page = ann.ok("listRooms", next).await;
        assert_eq!(page["rooms"][0]["roomId"], "s");
        let end = ann
            .ok("listRooms", json!({ "cursor": page["cursor"] }))
            .await;
        assert_eq!((&end["rooms"], &end["cursor"]), (&json!([]), &Value::Null));
        ann.ok("unfollowRoom", of("r")).await;
        assert_eq!(unread(&ann).await, [("s".into(), 1)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_puts_the_room_into_its_authors_list() {
    for server in Server::on_each_kind().await {
        let ann = server.client("ann").await;
        ann.join("r").await;
        ann.send("r", "hello").await;
        eventually("the room", async || unread(&ann).await == [("r".into(), 0)]).await;
        ann.ok("unfollowRoom", of("r")).await;
        ann.send("r", "again").await;
        ann.ok("markRead", at("r", 2)).await;
        assert_eq!(unread(&ann).await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_clients_are_told_of_messages_reads_changes_and_follows() {
    for server in Server::on_each_kind().await {
        let (phone, laptop) = (server.client("ann").await, server.client("ann").await);
        let bob = server.client("bob").await;
        bob.join("r").await;
        bob.send("r", "one").await;
        for client in [&phone, &laptop] {
            client.ok("watchRooms", json!({ "on": true })).await;
        }
        phone.ok("followRoom", of("empty")).await;
        let told = until_unread(&laptop, "empty", 0).await;
        assert_eq!(
            (&told["lastSeq"], &told["lastMessage"]),
            (&json!(0), &Value::Null)
        );
        phone
            .ok("followRoom", json!({ "roomId": "r", "muted": true }))
            .await;
        let told = until_unread(&laptop, "r", 1).await;
        assert_eq!(
            (
                &told["lastSeq"],
                &told["readSeq"],
                &told["muted"],
                &told["followed"]
            ),
            (&json!(1), &json!(0), &json!(true), &json!(true))
        );
        bob.send("r", "two").await;
        assert_eq!(
            until_unread(&laptop, "r", 2).await["lastMessage"]["message"],
            "two"
        );
        let edit = json!({ "roomId": "r", "seq": 2, "message": "three" });
        bob.ok("editMessage", edit).await;
        assert_eq!(
            until_unread(&laptop, "r", 2).await["lastMessage"]["message"],
            "three"
        );
        phone.ok("markRead", at("r", 2)).await;
        assert_eq!(until_unread(&laptop, "r", 0).await["readSeq"], 2);
        phone.join("r").await;
        phone.send("r", "mine").await;
        let told = until_unread(&laptop, "r", 0).await;
        assert_eq!((&told["lastSeq"], &told["readSeq"]), (&json!(3), &json!(3)));
        phone.ok("unfollowRoom", of("r")).await;
        let left = json!({ "roomId": "r", "followed": false });
        while laptop.next("roomActivity").await != left {}
        laptop.ok("watchRooms", json!({ "on": false })).await;
        laptop.received().await;
        phone.ok("followRoom", of("r")).await;
        until_unread(&phone, "r", 0).await;
        let heard = laptop.received().await;
        assert!(
            heard.iter().all(|(name, _)| name != "roomActivity"),
            "{heard:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_and_name_their_field() {
    let [server, _] = Server::on_each_kind().await;
    let ann = server.client("ann").await;
    for (event, payload, field) in [
        ("markRead", json!({ "roomId": "r" }), "seq"),
        ("markRead", json!({ "roomId": "r", "seq": -1 }), "seq"),
        ("markRead", json!({ "roomId": "", "seq": 1 }), "roomId"),
        ("followRoom", json!({}), "roomId"),
        ("followRoom", json!({ "roomId": "r", "muted": 1 }), "muted"),
        ("unfollowRoom", json!([]), "payload"),
        ("listRooms", json!({ "cursor": "x" }), "cursor"),
        ("listRooms", json!({ "limit": "x" }), "limit"),
        ("watchRooms", json!({}), "on"),
        ("getReads", json!({ "roomId": 5 }), "roomId"),
    ] {
        let answer = ann.call(event, payload.clone()).await;
        let error = &answer["error"];
        assert_eq!(
            error["code"], "INVALID_PAYLOAD",
            "{event} {payload}: {answer}"
        );
        assert!(
            error["message"].as_str().unwrap().contains(field),
            "{answer}"
        );
    }
    assert_eq!(ann.refused("getReads", of("r")).await, "NOT_IN_ROOM");
    let marked = ann.ok("markRead", at("empty", 7)).await;
    assert_eq!(marked["readSeq"], 0, "a room without messages");
    assert_eq!(unread(&ann).await, []);
    let nobody = Client::by(
        rust_socketio::TransportType::Websocket,
        &server.url(),
        json!({}),
    )
    .await;
    for event in [
        "markRead",
        "followRoom",
        "unfollowRoom",
        "listRooms",
        "watchRooms",
    ] {
        let payload = json!({ "roomId": "r", "seq": 1, "on": true });
        assert_eq!(
            nobody.refused(event, payload).await,
            "INVALID_PAYLOAD",
            "{event}"
        );
    }
}
