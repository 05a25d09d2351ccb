//! `getHistory`: pages of the log.

use serde_json::{Value, json};

use super::{assert_message, assert_refused, seed, seqs};
use crate::support::{Client, Server};

const SEEDED: i64 = 405;

/// Requests without their room; the first and last `seq` of the expected page; and whether there
/// are more messages.
const PAGES: [(&str, i64, i64, bool); 24] = [
    ("{}", 356, 405, true),
    (
        r#"{"beforeSeq":null,"afterSeq":null,"limit":null}"#,
        356,
        405,
        true,
    ),
    (r#"{"limit":1}"#, 405, 405, true),
    (r#"{"limit":200}"#, 206, 405, true),
    (r#"{"limit":201}"#, 206, 405, true),
    (r#"{"limit":9007199254740991}"#, 206, 405, true),
    (r#"{"limit":0}"#, 1, 0, true),
    (r#"{"beforeSeq":356}"#, 306, 355, true),
    (r#"{"beforeSeq":51}"#, 1, 50, false),
    (r#"{"beforeSeq":52}"#, 2, 51, true),
    (r#"{"beforeSeq":3,"limit":2}"#, 1, 2, false),
    (r#"{"beforeSeq":3,"limit":1}"#, 2, 2, true),
    (r#"{"beforeSeq":3,"limit":0}"#, 1, 0, true),
    (r#"{"beforeSeq":202,"limit":201}"#, 2, 201, true),
    (r#"{"beforeSeq":1}"#, 1, 0, false),
    (r#"{"beforeSeq":0}"#, 1, 0, false),
    (
        r#"{"beforeSeq":9223372036854775807,"limit":2}"#,
        404,
        405,
        true,
    ),
    (r#"{"afterSeq":0}"#, 1, 50, true),
    (r#"{"afterSeq":0,"limit":201}"#, 1, 200, true),
    (r#"{"afterSeq":355}"#, 356, 405, false),
    (r#"{"afterSeq":354}"#, 355, 404, true),
    (r#"{"afterSeq":404,"limit":0}"#, 1, 0, true),
    (r#"{"afterSeq":405}"#, 1, 0, false),
    (r#"{"afterSeq":9223372036854775807}"#, 1, 0, false),
];

async fn page(client: &Client, asked: &str) -> Value {
    let mut query: Value = serde_json::from_str(asked).unwrap();
    query["roomId"] = "r".into();
    client.ok("getHistory", query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_holds_the_requested_messages_oldest_first() {
    for server in Server::on_each_kind().await {
        seed(&server, "r", SEEDED as usize).await;
        let ann = server.client("ann").await;
        ann.join("r").await;
        for (asked, from, to, has_more) in PAGES {
            let page = page(&ann, asked).await;
            assert_eq!(seqs(&page), (from..=to).collect::<Vec<_>>(), "{asked}");
            assert_eq!(page["hasMore"], has_more, "{asked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_in_either_direction_meets_every_message_once() {
    let server = Server::start().await;
    seed(&server, "r", 25).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    let (mut forward, mut after) = (vec![], 0);
    let (mut backward, mut before) = (vec![], 26);
    loop {
        let older = page(
            &ann,
            &json!({ "beforeSeq": before, "limit": 10 }).to_string(),
        )
        .await;
        let newer = page(&ann, &json!({ "afterSeq": after, "limit": 10 }).to_string()).await;
        before = seqs(&older)[0];
        after = *seqs(&newer).last().unwrap();
        backward.splice(0..0, seqs(&older));
        forward.extend(seqs(&newer));
        assert_eq!(older["hasMore"], newer["hasMore"]);
        if older["hasMore"] == false {
            break;
        }
    }
    assert_eq!(forward, (1..=25).collect::<Vec<_>>());
    assert_eq!(backward, forward);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_cannot_lie_in_both_directions() {
    let server = Server::start().await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    let both = json!({ "roomId": "r", "beforeSeq": 3, "afterSeq": 1 });
    let answer = ann.call("getHistory", both).await;
    let message = assert_refused(&answer, "INVALID_PAYLOAD");
    assert!(
        message.contains("beforeSeq") && message.contains("afterSeq"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shows_the_room_as_it_is_now() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        ann.join("r").await;
        bob.join("r").await;
        assert_eq!(
            page(&ann, "{}").await,
            json!({ "status": "ok", "messages": [], "hasMore": false })
        );
        let sent = bob.send("r", "hello").await;
        let page = page(&ann, "{}").await;
        assert_eq!(page["messages"], json!([sent]));
        assert_message(&page["messages"][0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shows_only_its_room() {
    let server = Server::start().await;
    seed(&server, "s", 3).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    ann.join("s").await;
    let sent = ann.send("r", "hello").await;
    assert_eq!(page(&ann, "{}").await["messages"], json!([sent]));
}
