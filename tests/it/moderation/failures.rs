//! Programs that fail.

use std::time::Duration;

use parlor::testing::moderation::TIME_LIMIT;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Moderator, Reply, member, message, server, stored};
use crate::support::{
    Database, Server,
    figures::{SCRAPED, Since},
};

/// Fails in the way that a text names.
fn failing(question: &Value) -> Reply {
    let verdict = |json: Value| Reply::verdict(&json);
    match question["message"].as_str().unwrap() {
        "hang" => Reply::Held,
        "400" => Reply::Answer(400, r#"{"action":"allow"}"#.into()),
        "500" => Reply::Answer(500, String::new()),
        "202" => Reply::Answer(202, r#"{"action":"allow"}"#.into()),
        "moved" => Reply::Redirect("/moderate?to=elsewhere".into()),
        "empty" => Reply::Answer(200, String::new()),
        "text" => Reply::Answer(200, "allow".into()),
        "other" => verdict(json!({ "action": "ban" })),
        "long" => verdict(json!({ "action": "allow", "why": "x".repeat(200_000) })),
        _ => Reply::allow(),
    }
}

const FAILURES: [&str; 9] = [
    "hang", "400", "500", "202", "moved", "empty", "text", "other", "long",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_closes_the_room_to_the_message_and_to_no_other() {
    let moderator = Moderator::deciding(failing).await;
    let server = server(Database::sqlite(), &moderator, &[SCRAPED]).await;
    let figures = Since::now(server.metrics_address()).await;
    let ann = member(&server, "ann").await;
    for text in FAILURES {
        let begun = Instant::now();
        let refused = ann.call("sendMessage", message(text)).await;
        let code = (&refused["error"]["code"], &refused["error"]["retryable"]);
        assert_eq!(code, (&json!("UNAVAILABLE"), &json!(true)), "{text}");
        let took = begun.elapsed();
        assert_eq!(took >= TIME_LIMIT, text == "hang", "{text}: {took:?}");
        assert!(
            took < TIME_LIMIT + Duration::from_secs(2),
            "{text}: {took:?}"
        );
    }
    ann.send("r", "hello").await;
    let edit = json!({ "roomId": "r", "seq": 1, "message": "500" });
    assert_eq!(ann.refused("editMessage", edit).await, "UNAVAILABLE");
    assert_eq!(stored(&ann).await, ["hello"]);
    let failed = figures
        .grown("parlor_moderation_total{result=\"failed\"}")
        .await;
    assert_eq!(failed, 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_lets_the_message_through_where_that_is_wanted() {
    let moderator = Moderator::deciding(failing).await;
    let server = server(Database::sqlite(), &moderator, &["--moderation-fails=open"]).await;
    let ann = member(&server, "ann").await;
    for text in FAILURES {
        ann.send("r", text).await;
    }
    let edit = json!({ "roomId": "r", "seq": 1, "message": "500" });
    ann.ok("editMessage", edit).await;
    let edited = [&["500"], &FAILURES[1..]].concat();
    assert_eq!(stored(&ann).await, edited);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_a_private_address_is_not_asked() {
    let moderator = Moderator::with(None, failing).await;
    let port = moderator.address.port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let url = format!("--moderation-url=http://{host}:{port}/moderate");
        let server = Server::on(Database::sqlite(), &[&url]).await;
        let ann = member(&server, "ann").await;
        assert_eq!(
            ann.refused("sendMessage", message("hello")).await,
            "UNAVAILABLE"
        );
    }
    assert_eq!(moderator.questions().len(), 0);
}
