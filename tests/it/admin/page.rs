//! The page at `/admin`, by HTTP and in a real browser. The script is `tests/clients/admin.mjs`.

use reqwest::Client;
use serde_json::json;

use super::server_on;
use crate::{
    api::KEY,
    support::{Database, Server, node, within_deadline},
};

const FILES: [&str; 4] = ["/admin", "/admin.html", "/admin.js", "/admin.css"];

async fn get(server: &Server, path: &str) -> reqwest::Response {
    let url = format!("{}{path}", server.url());
    within_deadline("a file", Client::new().get(url).send())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_and_tokens_there_is_no_admin_page() {
    let server = Server::start().await;
    for path in FILES {
        assert_eq!(get(&server, path).await.status(), 404, "{path}");
    }
    assert_eq!(get(&server, "/base.css").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_page_may_talk_to_its_server_only_and_holds_no_secret() {
    let (server, _) = server_on(Database::sqlite(), &[]).await;
    let chat = get(&server, "/").await;
    for path in FILES {
        let file = get(&server, path).await;
        assert_eq!(file.status(), 200, "{path}");
        for header in [
            "content-security-policy",
            "referrer-policy",
            "x-content-type-options",
            "cache-control",
        ] {
            assert_eq!(file.headers()[header], chat.headers()[header], "{header}");
        }
        let permissions = file.headers()["permissions-policy"].to_str().unwrap();
        for feature in ["camera", "microphone", "display-capture"] {
            assert!(
                permissions.contains(&format!("{feature}=()")),
                "{permissions}"
            );
        }
        assert!(!permissions.contains("self"), "{permissions}");
        let text = file.text().await.unwrap();
        assert!(!text.contains("https://") && !text.contains(KEY), "{path}");
        assert!(!text.contains("innerHTML"), "{path}");
    }
}

/// Starts a server with a room of members, one that nobody created, and a receiver of webhooks that is
/// not there.
async fn furnished() -> Server {
    let flags = [
        "--webhooks=https://receiver.invalid/path-secret",
        "--webhook-secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ];
    let (server, admin) = server_on(Database::sqlite(), &flags).await;
    let room = json!({ "roomId": "garden", "title": "Garden club", "userId": "Priya", "members": ["Jonas", "Maya"] });
    admin.ok("POST", "/rooms", room).await;
    for (user, text) in [
        (
            "Priya",
            "The seedlings are in. They want a can of water tonight.",
        ),
        ("Jonas", "Morning! They made it through the night."),
        ("Maya", "Saturday is perfect, I'll be there from ten."),
    ] {
        admin.send("garden", user, text).await;
    }
    server
}

async fn administrators_see(colour: &str) {
    let server = furnished().await;
    node::run("admin.mjs", &[&server.url(), "websocket", KEY, colour]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_and_act_on_the_page_in_light() {
    administrators_see("light").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_and_act_on_the_page_in_dark() {
    administrators_see("dark").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_close_conversations() {
    let flags = [
        "--jwt-secret=a secret of more than 32 bytes, for tests",
        "--conversations=support-*",
    ];
    let (server, admin) = server_on(Database::sqlite(), &flags).await;
    admin.send("support-1", "ann", "help").await;
    let claim = json!({ "roomId": "support-1", "userId": "olga" });
    admin.ok("POST", "/conversations/claim", claim).await;
    let arguments = [&server.url(), "websocket", KEY];
    node::run("admin_conversation.mjs", &arguments).await;
    let close = json!({ "roomId": "support-1" });
    let closed = admin.ok("POST", "/conversations/close", close).await;
    assert_eq!(closed["changed"], false);
}
