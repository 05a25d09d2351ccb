//! Conversations by REST.

use serde_json::json;

use super::{asked, brief, customer, on_each_kind, operator, server, state};
use crate::{
    api::{Backend, KEY},
    support::Database,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_hands_conversations_out_and_ends_them() {
    for server in on_each_kind().await {
        let backend = Backend::with(&server, KEY);
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        asked(&ann, "support-1").await;
        let open = backend.get("/conversations", &[]).await;
        assert_eq!(open.status, 200);
        let first = &open.body["conversations"][0];
        assert_eq!(first["roomId"], "support-1");
        assert_eq!(brief(&first["conversation"]), state("open", None, 1));
        let steps = [
            (
                "claim",
                json!({ "roomId": "support-1", "userId": "op" }),
                state("claimed", Some("op"), 2),
            ),
            (
                "transfer",
                json!({ "roomId": "support-1", "to": "bob" }),
                state("claimed", Some("bob"), 3),
            ),
            (
                "release",
                json!({ "roomId": "support-1" }),
                state("open", None, 4),
            ),
            (
                "close",
                json!({ "roomId": "support-1", "userId": "op" }),
                state("closed", None, 5),
            ),
        ];
        for (step, body, expected) in steps {
            for is_first in [true, false] {
                let path = format!("/conversations/{step}");
                let handed = backend.ok("POST", &path, body.clone()).await;
                assert_eq!(brief(&handed["conversation"]), expected, "{step}");
                assert_eq!(handed["changed"], is_first, "{step}");
            }
        }
        op.hands("claim", json!({ "roomId": "support-1" })).await;
        let claim = json!({ "roomId": "support-1", "userId": "bob" });
        let lost = backend.write("POST", "/conversations/claim", claim).await;
        assert_eq!(lost.refusal(), (409, "CONFLICT"));
        let current = &lost.body["error"]["current"];
        assert_eq!(brief(current), state("claimed", Some("op"), 6));
        let room = json!({ "roomId": "support-2", "userId": "op" });
        let none = backend.write("POST", "/conversations/claim", room).await;
        assert_eq!(none.refusal(), (404, "NOT_FOUND"));
        let query = [("state", "claimed"), ("operatorId", "op")];
        let held = backend.get("/conversations", &query).await;
        assert_eq!(held.body["conversations"][0]["roomId"], "support-1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_backend_sends_for_a_customer_asks_and_what_it_sends_for_an_operator_answers() {
    let server = server(Database::sqlite()).await;
    let backend = Backend::with(&server, KEY);
    let as_operator = json!({
        "roomId": "support-1", "userId": "shop", "operatorId": "shop", "message": "your order has come",
    });
    let open = async || backend.get("/conversations", &[]).await.body["conversations"].take();
    backend.ok("POST", "/messages", as_operator.clone()).await;
    assert_eq!(open().await, json!([]));
    backend
        .send("support-1", "ann", "thanks, but it is broken")
        .await;
    assert!(open().await[0].get("waitingSince").is_some());
    backend.ok("POST", "/messages", as_operator).await;
    assert!(open().await[0].get("waitingSince").is_none());
}
