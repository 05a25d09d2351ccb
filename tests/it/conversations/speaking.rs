//! Messages in conversations.

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use super::{asked, brief, customer, on_each_kind, operator, server, state, supervisor};
use crate::support::{Client, Database};

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

/// Sends a message while another server changes the conversation, which holds the room's log meanwhile.
async fn sent_during(change: &'static str, client: &Client, database: &Database) -> Value {
    let mut session = PgConnection::connect(database.url()).await.unwrap();
    let lock = "SELECT FROM rooms WHERE room_id = 'support-1' FOR NO KEY UPDATE";
    let waits = "SELECT FROM pg_locks WHERE NOT granted AND transactionid IS NOT NULL";
    session.execute("BEGIN").await.unwrap();
    session.execute(lock).await.unwrap();
    let send = json!({ "roomId": "support-1", "message": "meanwhile" });
    let changing = async {
        while session.fetch_all(waits).await.unwrap().is_empty() {}
        session.execute(change).await.unwrap();
        session.execute("COMMIT").await.unwrap();
    };
    tokio::join!(client.call("sendMessage", send), changing).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_finds_the_conversation_as_it_is_when_the_message_is_stored() {
    let server = server(Database::postgres().await).await;
    let (ann, op) = (
        customer(&server, "ann").await,
        operator(&server, "op").await,
    );
    asked(&ann, "support-1").await;
    op.join("support-1").await;
    let close = "UPDATE conversations SET status = 'closed', waiting = NULL, version = 2";
    let sent = sent_during(close, &ann, &server.database).await;
    assert_eq!(sent["status"], "ok", "{sent}");
    let open = op.ok("listConversations", json!({})).await;
    let reopened = &open["conversations"][0];
    assert_eq!(brief(&reopened["conversation"]), state("open", None, 3));
    assert_eq!(reopened["lastMessage"]["message"], "meanwhile");
    assert!(reopened.get("waitingSince").is_some());
    let claim = "UPDATE conversations SET status = 'claimed', holder = 'other', version = 4";
    let refused = sent_during(claim, &op, &server.database).await;
    assert_eq!(refused["error"]["code"], "FORBIDDEN", "{refused}");
    let answer = "UPDATE conversations SET waiting = NULL";
    let asked = sent_during(answer, &ann, &server.database).await;
    assert_eq!(asked["status"], "ok", "{asked}");
    let claimed = json!({ "state": "claimed" });
    let claimed = op.ok("listConversations", claimed).await;
    assert!(claimed["conversations"][0].get("waitingSince").is_some());
}
