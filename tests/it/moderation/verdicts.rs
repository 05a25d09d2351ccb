//! The questions, and the effects of the answers.

use serde_json::json;

use super::{Moderator, Reply, member, message, server, stored, strict};
use crate::{
    api::{Backend, WITH_KEY},
    support::{
        Client, Database, Server, conformance,
        figures::{SCRAPED, Since},
    },
};

conformance![
    a_message_is_stored_changed_or_refused,
    an_edit_is_asked_about_like_a_message,
    messages_of_backends_are_asked_about_alone_and_in_batches,
];

async fn a_message_is_stored_changed_or_refused(database: Database) {
    let moderator = Moderator::deciding(strict).await;
    let server = server(database, &moderator, &[SCRAPED]).await;
    let figures = Since::now(server.metrics_address()).await;
    let (ann, bob) = (member(&server, "ann").await, member(&server, "bob").await);
    ann.send("r", "hello").await;
    let sent = json!({
        "roomId": "r", "message": "damn", "replyTo": 1, "metadata": { "a": 1 }, "clientMessageId": "m2"
    });
    let changed = ann.ok("sendMessage", sent).await["message"].clone();
    assert_eq!(
        [
            &changed["message"],
            &changed["metadata"],
            &changed["replyTo"]
        ],
        [&json!("****"), &json!({ "a": 1 }), &json!(1)]
    );
    let refused = ann.call("sendMessage", message("spam")).await;
    let error =
        json!({ "code": "FORBIDDEN", "message": "No advertising, please.", "retryable": false });
    assert_eq!(refused["error"], error);
    ann.send("r", "end").await;
    assert_eq!(stored(&bob).await, ["hello", "****", "end"]);
    for text in ["hello", "****", "end"] {
        assert_eq!(bob.next("newMessage").await["message"], text);
    }
    let questions = moderator.questions();
    assert_eq!(
        questions[..2],
        [
            json!({ "roomId": "r", "userId": "ann", "message": "hello" }),
            json!({
                "roomId": "r", "userId": "ann", "message": "damn", "replyTo": 1, "metadata": { "a": 1 },
                "clientMessageId": "m2"
            }),
        ]
    );
    let result = |result: &str, count| {
        (
            format!("parlor_moderation_total{{result=\"{result}\"}}"),
            count,
        )
    };
    for (series, count) in [
        result("allowed", 2.0),
        result("changed", 1.0),
        result("refused", 1.0),
        result("failed", 0.0),
        ("parlor_moderation_seconds_count".into(), 4.0),
    ] {
        assert_eq!(figures.grown(&series).await, count, "{series}");
    }
}

async fn an_edit_is_asked_about_like_a_message(database: Database) {
    let moderator = Moderator::deciding(strict).await;
    let server = server(database, &moderator, &[]).await;
    let ann = member(&server, "ann").await;
    ann.send("r", "hello").await;
    let edit = |text: &str| json!({ "roomId": "r", "seq": 1, "message": text });
    let refused = ann.call("editMessage", edit("spam")).await;
    assert_eq!(refused["error"]["message"], "No advertising, please.");
    assert_eq!(stored(&ann).await, ["hello"]);
    let changed = ann.ok("editMessage", edit("damn")).await;
    assert_eq!(changed["message"]["message"], "****");
    let question = json!({ "roomId": "r", "userId": "ann", "message": "damn", "seq": 1 });
    assert_eq!(moderator.questions().last(), Some(&question));
    // Nothing else is asked about.
    ann.ok(
        "setReaction",
        json!({ "roomId": "r", "seq": 1, "reaction": "+1", "on": true }),
    )
    .await;
    ann.ok("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    ann.ok("deleteMessage", json!({ "roomId": "r", "seq": 1 }))
        .await;
    assert_eq!(moderator.questions().len(), 3);
}

async fn messages_of_backends_are_asked_about_alone_and_in_batches(database: Database) {
    let moderator = Moderator::deciding(strict).await;
    let server = server(database, &moderator, &[WITH_KEY]).await;
    let backend = Backend::of(&server);
    let send = |text: &str| json!({ "roomId": "r", "operatorId": "eve", "message": text });
    let refused = backend.write("POST", "/messages", send("spam")).await;
    assert_eq!(refused.refusal(), (403, "FORBIDDEN"));
    assert_eq!(refused.body["error"]["message"], "No advertising, please.");
    assert_eq!(backend.send("r", "eve", "damn").await["message"], "****");
    let edit = json!({ "roomId": "r", "seq": 1, "userId": "eve", "message": "spam" });
    let refused = backend.write("PATCH", "/messages", edit).await;
    assert_eq!(refused.refusal(), (403, "FORBIDDEN"));
    let post = |text: &str| json!({ "method": "POST", "path": "/messages", "body": send(text) });
    let requests = ["1", "spam", "2", "damn", "3"].map(post);
    let answers = backend
        .ok("POST", "/batch", json!({ "requests": requests }))
        .await;
    let statuses = answers["answers"].as_array().unwrap();
    let statuses = statuses
        .iter()
        .map(|answer| answer["status"].as_u64().unwrap());
    assert_eq!(Vec::from_iter(statuses), [201, 403, 201, 201, 201]);
    let ann = member(&server, "ann").await;
    assert_eq!(stored(&ann).await, ["****", "1", "2", "****", "3"]);
    assert_eq!(moderator.questions()[0]["operatorId"], "eve");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_message_is_one_that_a_client_could_send() {
    let moderator = Moderator::deciding(|question| {
        let text = question["message"].as_str().unwrap();
        Reply::verdict(&match text {
            "blank" => json!({ "action": "change", "message": " " }),
            "long" => json!({ "action": "change", "message": "x".repeat(8_193) }),
            "NUL" => json!({ "action": "change", "message": "\0" }),
            "list" => json!({ "action": "change", "message": "a", "metadata": [1] }),
            "longest" => json!({ "action": "change", "message": "\u{1}".repeat(8_191) + "x" }),
            "bare" => json!({ "action": "change", "message": "b", "metadata": {} }),
            _ => json!({ "action": "change", "message": "c", "metadata": { "was": text } }),
        })
    })
    .await;
    let server = server(Database::sqlite(), &moderator, &[]).await;
    let ann = member(&server, "ann").await;
    for text in ["blank", "long", "NUL", "list"] {
        assert_eq!(
            ann.refused("sendMessage", message(text)).await,
            "UNAVAILABLE",
            "{text}"
        );
    }
    let with_metadata =
        |text: &str| json!({ "roomId": "r", "message": text, "metadata": { "a": 1 } });
    let longest = ann.ok("sendMessage", with_metadata("longest")).await;
    assert_eq!(longest["message"]["message"].as_str().unwrap().len(), 8_192);
    assert_eq!(longest["message"]["metadata"], json!({ "a": 1 }));
    let bare = ann.ok("sendMessage", with_metadata("bare")).await;
    assert!(
        bare["message"]
            .get("metadata")
            .is_none_or(|json| json.is_null()),
        "{bare}"
    );
    let other = ann.ok("sendMessage", with_metadata("other")).await;
    assert_eq!(other["message"]["metadata"], json!({ "was": "other" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_without_a_secret_have_no_signature() {
    let moderator = Moderator::with(None, strict).await;
    let url = format!("--moderation-url={}", moderator.url());
    let server = Server::on(Database::sqlite(), &[&url, "--webhook-allow-private=on"]).await;
    let ann: Client = member(&server, "ann").await;
    ann.send("r", "hello").await;
    assert_eq!(moderator.questions().len(), 1);
}
