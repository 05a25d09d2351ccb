//! Messages in conversations.

use serde_json::json;

use super::{asked, brief, customer, on_each_kind, operator, state, supervisor};
use crate::support::Client;

async fn sending(client: &Client, text: &str) -> Result<(), String> {
    let send = json!({ "roomId": "support-1", "message": text, "clientMessageId": text });
    let answer = client.call("sendMessage", send).await;
    match answer["error"]["code"].as_str() {
        Some(code) => Err(code.to_owned()),
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_conversation_is_claimed_its_operator_and_supervisors_answer() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        let (bob, chief) = (
            operator(&server, "bob").await,
            supervisor(&server, "chief").await,
        );
        asked(&ann, "support-1").await;
        for client in [&op, &bob, &chief] {
            client.join("support-1").await;
        }
        assert_eq!(sending(&bob, "before").await, Ok(()));
        op.hands("claim", json!({ "roomId": "support-1" })).await;
        for (client, name) in [(&op, "op"), (&chief, "chief"), (&ann, "ann")] {
            assert_eq!(sending(client, name).await, Ok(()), "{name}");
        }
        assert_eq!(sending(&bob, "bob").await, Err("FORBIDDEN".into()));
        // It was stored before the claim.
        assert_eq!(sending(&bob, "before").await, Ok(()));
        op.hands("release", json!({ "roomId": "support-1" })).await;
        assert_eq!(sending(&bob, "bob").await, Ok(()));
        let log = ann.ok("getHistory", json!({ "roomId": "support-1" })).await;
        let messages = log["messages"].as_array().unwrap().iter();
        let texts: Vec<_> = messages
            .map(|message| message["message"].as_str().unwrap())
            .collect();
        assert_eq!(texts, ["help", "before", "op", "chief", "ann", "bob"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_message_opens_a_closed_conversation_again_and_an_operators_does_not() {
    for server in on_each_kind().await {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        asked(&ann, "support-1").await;
        op.join("support-1").await;
        op.hands("claim", json!({ "roomId": "support-1" })).await;
        op.hands("close", json!({ "roomId": "support-1" })).await;
        sending(&op, "good bye").await.unwrap();
        // A repeat of what was said before the end asks for nothing.
        let before = json!({ "roomId": "support-1", "message": "wait", "clientMessageId": "wait" });
        let present = async || brief(&ann.join("support-1").await["room"]["conversation"]);
        assert_eq!(present().await, state("closed", None, 3));
        ann.ok("sendMessage", before.clone()).await;
        assert_eq!(present().await, state("open", None, 4));
        op.hands("close", json!({ "roomId": "support-1" })).await;
        let again = ann.ok("sendMessage", before).await;
        assert_eq!(again["duplicate"], true);
        assert_eq!(present().await, state("closed", None, 5));
    }
}
