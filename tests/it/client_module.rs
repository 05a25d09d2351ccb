//! `static/parlor-client.js`, in Node. The scripts are in `tests/clients`.

use std::fs;

use futures_util::future::join;
use serde_json::json;

use crate::support::{Database, Process, Server, free_port, log::append, node};

#[tokio::test(flavor = "multi_thread")]
async fn the_client_module_loses_nothing_and_doubles_nothing() {
    let server = Server::start().await;
    node::run("parlor_client.mjs", &[&server.url(), "websocket"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_module_settles_every_promise() {
    let server = Server::start().await;
    node::run("parlor_client_ends.mjs", &[&server.url(), "websocket"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_module_follows_every_change() {
    for transport in ["websocket", "polling"] {
        let server = Server::start().await;
        node::run("parlor_client_changes.mjs", &[&server.url(), transport]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_module_keeps_the_list_of_rooms_and_the_read_marks() {
    for transport in ["websocket", "polling"] {
        let server = Server::start().await;
        node::run("parlor_client_inbox.mjs", &[&server.url(), transport]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_module_governs_rooms() {
    for transport in ["websocket", "polling"] {
        let server = Server::start().await;
        node::run("parlor_client_rooms.mjs", &[&server.url(), transport]).await;
    }
}

#[tokio::test]
async fn the_call_module_follows_its_rules() {
    node::run("parlor_call_rules.mjs", &[]).await;
}

/// Rows deleted by hand, the newest one among them.
const DELETED: &str = "3, 120, 121, 122, 430, 450";

#[tokio::test(flavor = "multi_thread")]
async fn messages_deleted_by_hand_are_skipped() {
    for database in Database::each_kind().await {
        append(
            &database,
            "room",
            "bob",
            &(1..=450).map(|_| "hello").collect::<Vec<_>>(),
        )
        .await;
        database
            .execute(&format!(
                "DELETE FROM messages WHERE room_id = 'room' AND seq IN ({DELETED})"
            ))
            .await;
        let server = Server::on(database, &[]).await;
        node::run(
            "parlor_client_holes.mjs",
            &[&server.url(), "websocket", &format!("[{DELETED}]")],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_removed_as_documented_is_gone_for_later_joiners() {
    let page = fs::read_to_string("docs/operations.md").unwrap();
    let (_, page) = page.split_once("## Removing a message").unwrap();
    let statement = page
        .split("```")
        .nth(1)
        .unwrap()
        .strip_prefix("sql\n")
        .unwrap();
    for database in Database::each_kind().await {
        append(&database, "lobby", "bob", &["hello"; 43]).await;
        let server = Server::on(database, &[]).await;
        server.database.execute(statement).await;
        let mut ann = server.raw("ann").await;
        let joined = ann
            .call("joinRoom", json!({ "roomId": "lobby", "lastSeq": 40 }))
            .await;
        let texts: Vec<_> = joined["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| &message["message"])
            .collect();
        assert_eq!(texts, ["hello", "(removed)", "hello"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_with_a_lost_log_shows_the_present_one() {
    let (port, database) = (free_port(), Database::sqlite());
    let server = Process::at(port, &database).await;
    let (url, id) = (
        format!("http://{}", server.address),
        server.id().to_string(),
    );
    let empty = Database::sqlite();
    let replaced = async {
        server.ended().await;
        Process::at(port, &empty).await
    };
    join(
        node::run("parlor_client_replaced.mjs", &[&url, &id]),
        replaced,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_types_in_the_pages_scripts_are_right() {
    let project = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/clients/tsconfig.page.json"
    );
    node::run(node::TSC, &["--project", project]).await;
}
