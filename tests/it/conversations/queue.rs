//! The list of conversations, and its news.

use serde_json::{Value, json};

use super::{asked, brief, client_for, customer, on_each_kind, operator, server, state};
use crate::support::{Client, Database};

async fn listed(client: &Client, query: Value) -> (Vec<String>, Value) {
    let page = client.ok("listConversations", query).await;
    let conversations = page["conversations"].as_array().unwrap().iter();
    let rooms = conversations.map(|one| one["roomId"].as_str().unwrap().to_owned());
    (rooms.collect(), page["cursor"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_unanswered_question_comes_first() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        for room in ["support-3", "support-1", "support-2"] {
            asked(&ann, room).await;
        }
        let open = async || listed(&op, json!({})).await.0;
        assert_eq!(open().await, ["support-3", "support-1", "support-2"]);
        // Further questions do not lose the place, an answer does.
        ann.send("support-3", "hello?").await;
        assert_eq!(open().await, ["support-3", "support-1", "support-2"]);
        op.join("support-1").await;
        op.send("support-1", "yes?").await;
        let page = op.ok("listConversations", json!({})).await;
        let answered = page["conversations"].as_array().unwrap().iter();
        let answered = answered.filter(|one| one.get("waitingSince").is_none());
        let answered: Vec<_> = answered
            .map(|one| one["roomId"].as_str().unwrap())
            .collect();
        assert_eq!(answered, ["support-1"]);
        ann.send("support-1", "again").await;
        assert_eq!(open().await, ["support-3", "support-2", "support-1"]);
        let page = op.ok("listConversations", json!({})).await;
        let first = &page["conversations"][0];
        assert_eq!(brief(&first["conversation"]), state("open", None, 1));
        assert_eq!(first["lastMessage"]["message"], "hello?");
        assert_eq!(first["lastSeq"], 2);
        assert!(first["waitingSince"].as_str() < first["lastMessage"]["timestamp"].as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_read_by_state_by_operator_and_page_by_page() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        let other = operator(&server, "other").await;
        let rooms = Vec::from_iter((0..7).map(|number| format!("support-{number}")));
        for room in &rooms {
            asked(&ann, room).await;
        }
        let (mut pages, mut cursor) = (vec![], Value::Null);
        loop {
            let mut query = json!({ "limit": 3 });
            if !cursor.is_null() {
                query["cursor"] = cursor;
            }
            let (page, next) = listed(&op, query).await;
            pages.push(page);
            cursor = next;
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!(pages, [&rooms[..3], &rooms[3..6], &rooms[6..]]);
        for (client, room) in [(&op, 0), (&op, 1), (&other, 2)] {
            client
                .hands("claim", json!({ "roomId": rooms[room] }))
                .await;
        }
        let claimed = async |query| listed(&op, query).await.0;
        assert_eq!(claimed(json!({ "state": "claimed" })).await, rooms[..3]);
        let own = json!({ "state": "claimed", "operatorId": "op" });
        assert_eq!(claimed(own).await, rooms[..2]);
        assert_eq!(claimed(json!({ "state": "open" })).await, rooms[3..]);
        for room in [1, 0] {
            op.hands("close", json!({ "roomId": rooms[room] })).await;
        }
        let closed = claimed(json!({ "state": "closed" })).await;
        assert_eq!(closed, rooms[..2], "the last closed first");
        for bad in [json!({ "state": "lost" }), json!({ "cursor": "x" })] {
            assert_eq!(
                op.refused("listConversations", bad).await,
                "INVALID_PAYLOAD"
            );
        }
        let few = ["support-6", "support-4"];
        let bounded = client_for(&server.url(), "few", Some("operator"), &few).await;
        assert_eq!(listed(&bounded, json!({ "limit": 1 })).await.0, rooms[4..5]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_who_watch_hear_of_every_change_on_every_server() {
    let first = server(Database::postgres().await).await;
    let second = server(first.database.shared()).await;
    let (ann, op) = (customer(&first, "ann").await, operator(&first, "op").await);
    let far = operator(&second, "far").await;
    let bounded = client_for(&second.url(), "few", Some("operator"), &["support-2"]).await;
    for watcher in [&op, &far, &bounded] {
        watcher
            .ok("watchConversations", json!({ "on": true }))
            .await;
    }
    asked(&ann, "support-1").await;
    op.hands("claim", json!({ "roomId": "support-1" })).await;
    op.join("support-1").await;
    op.send("support-1", "yes?").await;
    op.hands("close", json!({ "roomId": "support-1" })).await;
    asked(&ann, "support-2").await;
    for watcher in [&op, &far] {
        for (expected, waits) in [
            (state("open", None, 1), true),
            (state("claimed", Some("op"), 2), true),
            (state("claimed", Some("op"), 2), false),
            (state("closed", None, 3), false),
        ] {
            let told = watcher.next("conversationActivity").await;
            assert_eq!(told["roomId"], "support-1");
            assert_eq!(brief(&told["conversation"]), expected);
            assert_eq!(told.get("waitingSince").is_some(), waits, "{told}");
        }
        let told = watcher.next("conversationActivity").await;
        assert_eq!(told["roomId"], "support-2");
    }
    let told = bounded.next("conversationActivity").await;
    assert_eq!(told["roomId"], "support-2");
    assert_eq!(told["lastSeq"], 1);
    op.ok("watchConversations", json!({ "on": false })).await;
    far.hands("claim", json!({ "roomId": "support-2" })).await;
    bounded.next("conversationActivity").await;
    op.join("support-2").await;
    let heard = op.received().await;
    let activity = heard
        .iter()
        .filter(|(name, _)| name == "conversationActivity");
    assert_eq!(activity.count(), 0, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_hear_nothing_of_rooms_that_they_may_not_be_in() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        let member = operator(&server, "member").await;
        for watcher in [&op, &member] {
            watcher
                .ok("watchConversations", json!({ "on": true }))
                .await;
        }
        let create = json!({ "roomId": "support-1", "access": "members", "members": ["member"] });
        ann.ok("createRoom", create).await;
        for room in ["support-1", "support-2"] {
            asked(&ann, room).await;
        }
        let remove = json!({ "roomId": "support-1", "userId": "member" });
        ann.ok("removeMember", remove).await;
        for room in ["support-1", "support-3"] {
            ann.join(room).await;
            ann.send(room, "again").await;
        }
        let told = async |watcher: &Client, count: usize| {
            let mut rooms = vec![];
            while rooms.len() < count {
                let told = watcher.next("conversationActivity").await;
                rooms.push(told["roomId"].as_str().unwrap().to_owned());
            }
            rooms
        };
        assert_eq!(told(&op, 2).await, ["support-2", "support-3"]);
        let heard = told(&member, 3).await;
        assert_eq!(heard, ["support-1", "support-2", "support-3"]);
    }
}
