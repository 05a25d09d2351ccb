//! The end of a membership: whoever is removed hears nothing more.

use serde_json::{Value, json};

use super::{create, member};
use crate::support::{Client, Server, eventually, raw::Packet};

fn of(room: &str) -> Value {
    json!({ "roomId": room })
}

/// Returns what a client heard of the room since it was removed.
async fn heard_after(client: &Client) -> Vec<(String, Value)> {
    let received = client.received().await.into_iter();
    let mut after = received.skip_while(|(event, _)| event != "removed");
    let (_, removed) = after.next().expect("the client is told of the removal");
    assert_eq!(removed, json!({ "roomId": "r", "reason": "removed" }));
    after.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_removed_hears_nothing_more_by_any_way() {
    for server in Server::on_each_kind().await {
        let (ann, cid) = (server.client("ann").await, server.client("cid").await);
        let bobs = [server.client("bob").await, server.client("bob").await];
        create(&ann, "r", &["bob", "cid"]).await;
        for client in [&ann, &cid, &bobs[0], &bobs[1]] {
            client.join("r").await;
            client.ok("watchRooms", json!({ "on": true })).await;
        }
        ann.send("r", "before").await;
        eventually("the message in the list", async || {
            let listed = bobs[0].ok("listRooms", json!({})).await;
            listed["rooms"][0]["lastMessage"]["message"] == "before"
        })
        .await;
        assert_eq!(
            ann.ok("removeMember", member("r", "bob")).await["changed"],
            true
        );
        // From here on, nothing may reach Bob.
        ann.send("r", "after").await;
        ann.emit("typing", json!({ "roomId": "r", "isTyping": true }))
            .await;
        let signal = json!({ "roomId": "r", "type": "move", "data": {} });
        ann.ok("signal", signal.clone()).await;
        let mut to_bob = signal.clone();
        to_bob["to"] = "bob".into();
        ann.ok("signal", to_bob).await;
        let react = json!({ "roomId": "r", "seq": 1, "reaction": "+", "on": true });
        ann.ok("setReaction", react).await;
        ann.ok("setRoom", json!({ "roomId": "r", "title": "Without Bob" }))
            .await;
        while cid.next("roomActivity").await["lastMessage"]["message"] != "after" {}
        for bob in &bobs {
            for event in ["getHistory", "getReads", "getMembers"] {
                assert_eq!(bob.refused(event, of("r")).await, "NOT_IN_ROOM", "{event}");
            }
            let changes = json!({ "roomId": "r", "afterRevision": 0 });
            assert_eq!(bob.refused("getChanges", changes).await, "NOT_IN_ROOM");
            let send = json!({ "roomId": "r", "message": "me too" });
            assert_eq!(bob.refused("sendMessage", send).await, "NOT_IN_ROOM");
            assert_eq!(bob.refused("signal", signal.clone()).await, "NOT_IN_ROOM");
            assert_eq!(bob.refused("joinRoom", of("r")).await, "FORBIDDEN");
            assert_eq!(bob.refused("followRoom", of("r")).await, "FORBIDDEN");
            let search = json!({ "roomId": "r", "query": "before" });
            assert_eq!(bob.refused("searchMessages", search).await, "FORBIDDEN");
            let found = bob.ok("searchMessages", json!({ "query": "before" })).await;
            assert_eq!(found["messages"], json!([]));
            assert_eq!(bob.ok("listRooms", json!({})).await["rooms"], json!([]));
            let left = json!({ "roomId": "r", "followed": false });
            let heard = heard_after(bob).await;
            let is_end = |(_, payload): &(String, Value)| *payload == left;
            assert!(heard.iter().all(is_end), "{heard:?}");
        }
        let present = cid.ok("joinRoom", of("r")).await["members"].clone();
        assert!(
            !present.as_array().unwrap().contains(&json!("bob")),
            "{present}"
        );
        // Whoever is added again is back.
        ann.ok("addMember", member("r", "bob")).await;
        assert_eq!(bobs[0].join("r").await["lastSeq"], 2);
        ann.send("r", "welcome back").await;
        assert_eq!(bobs[0].next("newMessage").await["message"], "welcome back");
    }
}

/// Two of a client's reads run at a time, so most of these come to their turn after the removal.
#[tokio::test(flavor = "multi_thread")]
async fn reads_that_began_before_a_removal_are_not_answered_after_it() {
    for server in Server::on_each_kind().await {
        let ann = server.client("ann").await;
        create(&ann, "r", &["bob"]).await;
        ann.join("r").await;
        let mut bob = server.raw("bob").await;
        assert_eq!(bob.call("joinRoom", of("r")).await["status"], "ok");
        let mut last = 0;
        for _ in 0..200 {
            bob.emit("getHistory", &of("r")).await;
            last = bob.emit("getMembers", &of("r")).await;
        }
        bob.flush().await;
        ann.ok("removeMember", member("r", "bob")).await;
        ann.send("r", "a secret").await;
        ann.ok("addMember", member("r", "cid")).await;
        for _ in 0..20 {
            last = bob.emit("joinRoom", &of("r")).await.max(last);
        }
        bob.flush().await;
        let (before, answer) = bob.until_ack(last).await;
        assert_eq!(answer["error"]["code"], "FORBIDDEN");
        let is_secret = |packet: &&Packet| {
            let text = format!("{packet:?}");
            text.contains("a secret") || text.contains("cid")
        };
        assert_eq!(before.iter().find(is_secret), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_becomes_one_for_members_puts_the_others_out() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        let eve = server.client("eve").await;
        ann.ok("createRoom", json!({ "roomId": "r", "members": ["bob"] }))
            .await;
        for client in [&ann, &bob, &eve] {
            client.join("r").await;
            client.ok("followRoom", of("r")).await;
            client.ok("watchRooms", json!({ "on": true })).await;
        }
        let close = json!({ "roomId": "r", "access": "members" });
        ann.ok("setRoom", close).await;
        ann.send("r", "among us").await;
        assert_eq!(bob.next("newMessage").await["message"], "among us");
        while bob.next("roomActivity").await["lastMessage"]["message"] != "among us" {}
        assert_eq!(eve.ok("listRooms", json!({})).await["rooms"], json!([]));
        eventually("the index", async || {
            let found = bob.ok("searchMessages", json!({ "query": "among" })).await;
            found["messages"][0]["message"] == "among us"
        })
        .await;
        let found = eve.ok("searchMessages", json!({ "query": "among" })).await;
        assert_eq!(found["messages"], json!([]));
        assert_eq!(eve.refused("joinRoom", of("r")).await, "FORBIDDEN");
        let heard = eve.received().await;
        let removed = json!({ "roomId": "r", "reason": "notMember" });
        assert!(heard.contains(&("removed".into(), removed)), "{heard:?}");
        let is_secret = |(_, payload): &(String, Value)| payload.to_string().contains("among us");
        assert!(!heard.iter().any(is_secret), "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_removed_from_an_open_room_stays_out_of_it() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        ann.ok("createRoom", of("r")).await;
        ann.join("r").await;
        bob.join("r").await;
        ann.ok("removeMember", member("r", "bob")).await;
        assert_eq!(bob.next("removed").await["reason"], "removed");
        assert_eq!(bob.refused("joinRoom", of("r")).await, "FORBIDDEN");
        bob.ok("removeMember", member("r", "bob")).await;
        assert_eq!(bob.refused("joinRoom", of("r")).await, "FORBIDDEN");
        ann.ok("addMember", member("r", "bob")).await;
        bob.join("r").await;
        // Whoever leaves an open room by itself may come back.
        assert_eq!(
            bob.ok("removeMember", member("r", "bob")).await["changed"],
            true
        );
        let joined = bob.join("r").await;
        assert_eq!(joined.get("role"), None, "{joined}");
    }
}
