//! Operators who are away.

use std::time::Duration;

use nix::sys::signal::Signal;
use parlor::model::UserId;
use serde_json::json;

use super::{FLAGS, asked, brief, client, customer, operator, server, state};
use crate::support::{Client, Database, Process, Server, eventually};

/// The time after which operators lose their conversations, in tests that wait for it.
const AWAY: &str = "--operator-away-seconds=4";

async fn quick(database: Database) -> Server {
    Server::on(database, &[&FLAGS[..], &[AWAY]].concat()).await
}

/// Waits until the server takes the claimed conversation from its operator, and returns it.
async fn released(client: &Client) -> (String, Option<String>, i64) {
    loop {
        let changed = client.next("roomChanged").await;
        let conversation = &changed["room"]["conversation"];
        if conversation["version"].as_i64() > Some(2) {
            assert!(conversation.get("changedBy").is_none(), "{changed}");
            return brief(conversation);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_whose_server_dies_loses_its_conversations_once() {
    let database = Database::postgres().await;
    let dying = Process::with(&database, &[&FLAGS[..], &[AWAY]].concat()).await;
    let others = [
        quick(database.shared()).await,
        quick(database.shared()).await,
    ];
    let ann = customer(&others[0], "ann").await;
    asked(&ann, "support-1").await;
    let op = client(&format!("http://{}", dying.address), "op", Some("operator")).await;
    op.hands("claim", json!({ "roomId": "support-1" })).await;
    let present = operator(&others[1], "present").await;
    asked(&ann, "support-2").await;
    present
        .hands("claim", json!({ "roomId": "support-2" }))
        .await;
    dying.signal(Signal::SIGKILL);
    assert_eq!(released(&ann).await, state("open", None, 3));
    // Both others look for it; one has taken it, and nobody takes from those who are there.
    let bob = operator(&others[0], "bob").await;
    let claimed = bob
        .hands("claim", json!({ "roomId": "support-1", "ifVersion": 3 }))
        .await;
    assert_eq!(claimed, (state("claimed", Some("bob"), 4), true));
    let kept = present
        .hands("claim", json!({ "roomId": "support-2" }))
        .await;
    assert_eq!(kept, (state("claimed", Some("present"), 2), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_closes_its_last_page_loses_its_conversations_on_each_kind_of_database() {
    for server in [
        quick(Database::postgres().await).await,
        quick(Database::sqlite()).await,
    ] {
        let ann = customer(&server, "ann").await;
        asked(&ann, "support-1").await;
        let pages = [operator(&server, "op").await, operator(&server, "op").await];
        pages[0]
            .hands("claim", json!({ "roomId": "support-1" }))
            .await;
        for page in pages {
            page.disconnect().await;
        }
        assert_eq!(released(&ann).await, state("open", None, 3));
    }
}

/// The times of the default of two minutes, moved in the database.
#[tokio::test(flavor = "multi_thread")]
async fn two_minutes_and_the_time_between_two_looks_have_to_pass() {
    for server in [
        server(Database::postgres().await).await,
        server(Database::sqlite()).await,
    ] {
        let (ann, op) = (
            customer(&server, "ann").await,
            operator(&server, "op").await,
        );
        asked(&ann, "support-1").await;
        op.hands("claim", json!({ "roomId": "support-1" })).await;
        let store = server.database.store().await;
        let conversations = store.conversations().unwrap();
        let lapsed = async || {
            let away = Duration::from_secs(130);
            !conversations.lapsed(away, 10).await.unwrap().is_empty()
        };
        let is_postgres = server.database.url().starts_with("postgres");
        let back = |table: &str, column: &str, seconds: i64| match is_postgres {
            true => {
                format!("UPDATE {table} SET {column} = {column} - interval '{seconds} seconds'")
            }
            false => format!("UPDATE {table} SET {column} = {column} - {seconds}000"),
        };
        op.disconnect().await;
        let operator: UserId = "op".try_into().unwrap();
        conversations.see(&[operator]).await.unwrap();
        server
            .database
            .execute(&back("conversations", "changed", 1_000))
            .await;
        server.database.execute(&back("holders", "seen", 125)).await;
        assert!(!lapsed().await, "not before the time");
        server.database.execute(&back("holders", "seen", 10)).await;
        assert!(lapsed().await, "after the time");
        // The server's own look comes within the ten seconds between two.
        eventually("the release", async || !lapsed().await).await;
        assert_eq!(released(&ann).await, state("open", None, 3));
    }
}
