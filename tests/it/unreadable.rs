//! Rows from other programs do not spoil the rest.

use parlor::{
    model::{Body, Draft, RoomId, Seq},
    store::{Keep, MessageStore, Page, StoreError},
};
use serde_json::json;

use crate::support::{Database, Server};

const ALL: Page = Page {
    after: Seq::ZERO,
    before: Seq::END,
    limit: 100,
    keep: Keep::Oldest,
};

fn room() -> RoomId {
    "r".try_into().unwrap()
}

/// Fills a room with numbered messages.
async fn filled(database: &Database, count: usize) {
    let drafts: Vec<_> = (1..=count)
        .map(|number| {
            let body = Body::parse(&number.to_string(), 100).unwrap();
            Draft::new(room(), "ann".try_into().unwrap(), None, body, None)
        })
        .collect();
    let store = database.store().await;
    store.append(&drafts).await.unwrap();
    store.close().await;
}

async fn seqs(store: &dyn MessageStore, page: Page) -> Vec<i64> {
    store
        .read(&room(), page)
        .await
        .unwrap()
        .iter()
        .map(|message| message.seq.get())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_no_client_can_read_become_the_nearest_readable_ones() {
    let (first, last) = ("0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z");
    let postgres = [
        "'-infinity'",
        "'infinity'",
        "'200000-01-01'",
        "'4713-01-01 BC'",
    ];
    let sqlite = [
        "-9223372036854775808",
        "9223372036854775807",
        "253402300800000",
        "-62135596800001",
    ];
    for (database, times) in [
        (Database::postgres().await, postgres),
        (Database::sqlite(), sqlite),
    ] {
        filled(&database, 5).await;
        for (seq, time) in (1..).zip(times) {
            database
                .execute(&format!(
                    "UPDATE messages SET timestamp = {time} WHERE seq = {seq}"
                ))
                .await;
        }
        let server = Server::on(database, &[]).await;
        let mut ann = server.raw("ann").await;
        let joined = ann.call("joinRoom", json!({ "roomId": "r" })).await;
        let history = ann
            .call("getHistory", json!({ "roomId": "r", "afterSeq": 0 }))
            .await;
        for answer in [joined, history] {
            let messages = answer["messages"].as_array().unwrap();
            let times: Vec<_> = messages
                .iter()
                .map(|message| message["timestamp"].as_str().unwrap())
                .collect();
            assert_eq!(times[..4], [first, last, last, first]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_row_is_skipped_and_pages_are_as_full_as_without_it() {
    // Postgres types its columns, and ids are read as they are.
    for database in [Database::sqlite()] {
        filled(&database, 9).await;
        for (column, value, seq) in [
            ("id", "'none'", 2),
            ("timestamp", "'never'", 3),
            ("id", "x'00'", 7),
        ] {
            database
                .execute(&format!(
                    "UPDATE messages SET {column} = {value} WHERE seq = {seq}"
                ))
                .await;
        }
        let store = database.store().await;
        assert_eq!(seqs(&*store, ALL).await, [1, 4, 5, 6, 8, 9]);
        assert_eq!(seqs(&*store, Page { limit: 3, ..ALL }).await, [1, 4, 5]);
        assert_eq!(
            seqs(
                &*store,
                Page {
                    limit: 3,
                    keep: Keep::Newest,
                    ..ALL
                }
            )
            .await,
            [6, 8, 9]
        );
        let unreadable = Page {
            before: 4.try_into().unwrap(),
            after: 1.try_into().unwrap(),
            ..ALL
        };
        assert!(
            matches!(
                store.read(&room(), unreadable).await,
                Err(StoreError::Unreadable(_))
            ),
            "no empty page"
        );
        store.close().await;
        let server = Server::on(database, &[]).await;
        let mut ann = server.raw("ann").await;
        let joined = ann.call("joinRoom", json!({ "roomId": "r" })).await;
        assert_eq!(
            (joined["status"].as_str(), joined["lastSeq"].as_i64()),
            (Some("ok"), Some(9)),
            "{joined}"
        );
        assert_eq!(
            ann.call("sendMessage", json!({ "roomId": "r", "message": "hi" }))
                .await["message"]["seq"],
            10
        );
    }
}
