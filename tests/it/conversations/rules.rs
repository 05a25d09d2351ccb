//! The changes of a conversation, and their makers.

use serde_json::json;

use super::{
    asked, brief, client_for, customer, on_each_kind, operator, server, state, supervisor,
};
use crate::support::{Client, Database};

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_first_message_opens_a_conversation_and_everybody_in_the_room_hears_of_it() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        for room in ["support-1", "lobby"] {
            let joined = op.join(room).await;
            assert!(joined.get("room").is_none(), "{joined}");
            op.send(room, "an operator's message opens nothing").await;
            asked(&ann, room).await;
        }
        let changed = op.next("roomChanged").await;
        assert_eq!(changed["roomId"], "support-1");
        let conversation = &changed["room"]["conversation"];
        assert_eq!(brief(conversation), state("open", None, 1));
        assert_eq!(conversation["changedBy"], "ann");
        let again = ann.join("support-1").await;
        assert_eq!(again["room"]["conversation"], *conversation);
        assert_eq!(again["room"]["revision"], changed["revision"]);
        let lobby = ann.join("lobby").await;
        assert!(lobby.get("room").is_none(), "{lobby}");
        let mut later = changed["revision"].clone();
        assert_eq!(ann.next("roomChanged").await, changed);
        for (event, operator, version) in [("claim", Some("op"), 2), ("release", None, 3)] {
            op.hands(event, json!({ "roomId": "support-1" })).await;
            let changed = ann.next("roomChanged").await;
            assert_eq!(changed["previous"], later);
            later = changed["revision"].clone();
            let (_, holder, counted) = brief(&changed["room"]["conversation"]);
            assert_eq!((holder.as_deref(), counted), (operator, version));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_from_one_operator_to_another_and_a_repeat_changes_nothing() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        let other = operator(&server, "other").await;
        asked(&ann, "support-1").await;
        let room = || json!({ "roomId": "support-1" });
        let to = |to: &str| json!({ "roomId": "support-1", "to": to });
        let steps: [(&Client, &str, _, _); 6] = [
            (&op, "claim", room(), state("claimed", Some("op"), 2)),
            (
                &op,
                "transfer",
                to("other"),
                state("claimed", Some("other"), 3),
            ),
            (&other, "release", room(), state("open", None, 4)),
            (&other, "claim", room(), state("claimed", Some("other"), 5)),
            (&other, "close", room(), state("closed", None, 6)),
            (&op, "claim", room(), state("claimed", Some("op"), 7)),
        ];
        for (client, event, payload, expected) in steps {
            for is_first in [true, false] {
                let handed = client.hands(event, payload.clone()).await;
                assert_eq!(handed, (expected.clone(), is_first), "{event}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slower_one_gets_the_conversation_as_it_is() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        let other = operator(&server, "other").await;
        asked(&ann, "support-1").await;
        let room = || json!({ "roomId": "support-1" });
        let at = |version: i64| json!({ "roomId": "support-1", "ifVersion": version });
        assert_eq!(op.loses("claim", at(2)).await, state("open", None, 1));
        op.hands("claim", at(1)).await;
        let held = state("claimed", Some("op"), 2);
        for (event, payload) in [
            ("claim", room()),
            ("release", room()),
            ("close", room()),
            ("transfer", json!({ "roomId": "support-1", "to": "other" })),
        ] {
            assert_eq!(other.loses(event, payload).await, held, "{event}");
        }
        assert_eq!(op.loses("close", at(1)).await, held);
        // A repeat whose first answer was lost is no race.
        assert_eq!(op.hands("claim", at(1)).await, (held, false));
        op.hands("close", at(2)).await;
        let closed = state("closed", None, 3);
        assert_eq!(op.loses("release", room()).await, closed);
        let to = json!({ "roomId": "support-1", "to": "other" });
        assert_eq!(op.loses("transfer", to).await, closed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn supervisors_take_and_hand_on_any_conversation() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        let chief = supervisor(&server, "chief").await;
        asked(&ann, "support-1").await;
        let room = || json!({ "roomId": "support-1" });
        let force = || json!({ "roomId": "support-1", "force": true });
        let to = |to: &str| json!({ "roomId": "support-1", "to": to });
        assert_eq!(op.fails("transfer", to("op")).await.0, "FORBIDDEN");
        let mut version = 1;
        for (event, payload, after, holder) in [
            ("transfer", to("op"), "claimed", Some("op")),
            ("claim", force(), "claimed", Some("chief")),
            ("transfer", to("op"), "claimed", Some("op")),
            ("release", room(), "open", None),
            ("transfer", to("op"), "claimed", Some("op")),
            ("close", room(), "closed", None),
        ] {
            version += 1;
            let handed = chief.hands(event, payload).await;
            assert_eq!(handed, (state(after, holder, version), true), "{event}");
        }
        chief.hands("claim", room()).await;
        assert_eq!(op.fails("claim", force()).await.0, "FORBIDDEN");
        let held = state("claimed", Some("chief"), 8);
        assert_eq!(op.loses("claim", room()).await, held);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_for_operators_in_rooms_that_have_any() {
    let server = server(Database::sqlite()).await;
    let (ann, op) = (
        customer(&server, "ann").await,
        operator(&server, "op").await,
    );
    asked(&ann, "support-1").await;
    asked(&ann, "lobby").await;
    for event in ["claim", "release", "close"] {
        let code =
            async |client: &Client, room| client.fails(event, json!({ "roomId": room })).await.0;
        assert_eq!(code(&ann, "support-1").await, "FORBIDDEN");
        assert_eq!(code(&op, "lobby").await, "NOT_FOUND");
        assert_eq!(code(&op, "support-2").await, "NOT_FOUND");
    }
    let listing = ann.refused("listConversations", json!({})).await;
    assert_eq!(listing, "FORBIDDEN");
    let watching = ann
        .refused("watchConversations", json!({ "on": true }))
        .await;
    assert_eq!(watching, "FORBIDDEN");
    let bounded = client_for(&server.url(), "bounded", Some("operator"), &["support-9"]).await;
    let room = json!({ "roomId": "support-1" });
    assert_eq!(bounded.fails("claim", room).await.0, "FORBIDDEN");
    for bad in [
        json!({}),
        json!({ "roomId": "support-1", "ifVersion": -1 }),
        json!({ "roomId": "support-1", "ifVersion": "1" }),
        json!({ "roomId": "support-1", "force": 1 }),
    ] {
        assert_eq!(op.fails("claim", bad).await.0, "INVALID_PAYLOAD");
    }
    let nobody = json!({ "roomId": "support-1" });
    assert_eq!(op.fails("transfer", nobody).await.0, "INVALID_PAYLOAD");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_may_not_be_in_a_room_does_not_handle_its_conversation() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        let create = json!({ "roomId": "support-1", "access": "members", "title": "Ann" });
        ann.ok("createRoom", create).await;
        asked(&ann, "support-1").await;
        let room = || json!({ "roomId": "support-1" });
        assert_eq!(op.fails("claim", room()).await.0, "FORBIDDEN");
        let listed = op.ok("listConversations", json!({})).await;
        assert_eq!(listed["conversations"], json!([]));
        let member = || json!({ "roomId": "support-1", "userId": "op" });
        ann.ok("addMember", member()).await;
        op.hands("claim", room()).await;
        // Who was removed still gives the conversation back.
        ann.ok("removeMember", member()).await;
        op.hands("release", room()).await;
        assert_eq!(op.fails("close", room()).await.0, "FORBIDDEN");
        let chief = supervisor(&server, "chief").await;
        assert_eq!(chief.fails("claim", room()).await.0, "FORBIDDEN");
        chief.hands("close", room()).await;
        ann.ok("addMember", member()).await;
        op.hands("claim", room()).await;
        let joined = op.join("support-1").await;
        assert_eq!(joined["room"]["title"], "Ann");
        assert_eq!(joined["room"]["conversation"]["operatorId"], "op");
        let listed = op
            .ok("listConversations", json!({ "state": "claimed" }))
            .await;
        assert_eq!(listed["conversations"][0]["title"], "Ann");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_with_a_conversation_can_still_be_created_and_keeps_both() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        asked(&ann, "support-1").await;
        let create = json!({ "roomId": "support-1", "title": "Order 7" });
        let created = op.ok("createRoom", create).await;
        assert_eq!(created["room"]["conversation"]["state"], "open");
        op.hands("claim", json!({ "roomId": "support-1" })).await;
        let set = json!({ "roomId": "support-1", "title": "Order 8" });
        let set = op.ok("setRoom", set).await;
        assert_eq!(set["room"]["conversation"]["operatorId"], "op");
        let joined = ann.join("support-1").await;
        assert_eq!(joined["room"]["title"], "Order 8");
        assert_eq!(joined["room"]["conversation"]["operatorId"], "op");
    }
}
