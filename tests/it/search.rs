//! Searching messages.

use std::sync::Arc;

use parlor::{
    model::{Action, Body, Change, Draft, Edit, RoomId, Seq},
    store::{MessageStore, Words},
};
use serde_json::{Value, json};

use crate::support::{Client, Database, FLOODED, Server, conformance, eventually, log::append_old};

conformance!(
    words_and_their_beginnings_are_found_newest_first,
    an_edit_is_found_by_its_new_words_and_a_deletion_by_none,
    the_index_goes_on_where_it_stopped,
    nothing_of_a_removed_message_is_left_in_the_index,
);

const NOTHING: [i64; 0] = [];

fn room(name: &str) -> RoomId {
    name.try_into().unwrap()
}

fn seq(number: i64) -> Seq {
    number.try_into().unwrap()
}

async fn say(store: &Arc<dyn MessageStore>, name: &str, texts: &[&str]) {
    let body = |text: &str| Body::parse(text, 8_192).unwrap();
    let user = || "ann".try_into().unwrap();
    let drafts = texts
        .iter()
        .map(|text| Draft::new(room(name), user(), None, body(text), None));
    store.append(&Vec::from_iter(drafts)).await.unwrap();
}

async fn change(store: &Arc<dyn MessageStore>, number: i64, action: Action) {
    let user = "ann".try_into().unwrap();
    let change = Change::new(room("r"), seq(number), user, false, action);
    assert!(store.commit(&[], &[change]).await.unwrap().changes[0].is_ok());
}

fn edit(text: &str) -> Action {
    Action::Edit(Edit {
        body: Body::parse(text, 8_192).unwrap(),
        metadata: None,
        if_revision: None,
        sent_since: None,
    })
}

/// Indexes all rooms to the end, a few messages at a time. Returns the number of steps.
async fn index(store: &Arc<dyn MessageStore>) -> usize {
    let index = store.search().unwrap();
    let rooms = index.unindexed(None, 100).await.unwrap();
    let mut steps = 0;
    while !rooms.is_empty() && index.index(&rooms, 3).await.unwrap() > 0 {
        steps += 1;
    }
    assert_eq!(index.unindexed(None, 100).await.unwrap(), []);
    steps
}

/// Returns the places of the messages that are found in some rooms.
async fn found(store: &Arc<dyn MessageStore>, query: &str, rooms: &[&str]) -> Vec<i64> {
    let rooms: Vec<_> = rooms.iter().map(|name| room(name)).collect();
    let searching = store.search().unwrap();
    let found = searching
        .search(&Words::of(query), &rooms, Seq::END, 100)
        .await;
    found
        .unwrap()
        .iter()
        .map(|message| message.seq.get())
        .collect()
}

async fn words_and_their_beginnings_are_found_newest_first(database: Database) {
    let store = database.store().await;
    let texts = [
        "Soup and bread",
        "the SOUP, again!",
        "https://example.com/soups?x=1",
        "Größe 42, 日本語",
        "l'été à Łódź",
        "'quoted' \"text\" & | ! :* \\ ()",
        "no such thing",
        "हिन्दी में",
    ];
    say(&store, "r", &texts).await;
    say(&store, "other", &["soup of the day"]).await;
    assert_eq!(
        found(&store, "soup", &["r"]).await,
        NOTHING,
        "nothing is indexed yet"
    );
    index(&store).await;
    for (query, places) in [
        ("soup", &[3, 2, 1][..]),
        ("sou BREA", &[1]),
        ("bread soup", &[1]),
        ("oup", &[]),
        ("example", &[3]),
        ("com soups", &[3]),
        ("größe", &[4]),
        ("42", &[4]),
        ("日本", &[4]),
        ("été", &[5]),
        ("łódź", &[5]),
        ("quoted text", &[6]),
        ("'; drop table messages; --", &[]),
        ("हिन्दी", &[8]),
        ("soup dragon", &[]),
    ] {
        assert_eq!(found(&store, query, &["r"]).await, places, "{query}");
    }
    assert_eq!(found(&store, "soup", &["other"]).await, [1]);
    assert_eq!(found(&store, "soup", &["r", "other"]).await.len(), 4);
    assert_eq!(found(&store, "soup", &["empty"]).await, NOTHING);
    assert_eq!(found(&store, "soup", &[]).await, NOTHING);
    let searching = store.search().unwrap();
    let page = searching
        .search(&Words::of("soup"), &[room("r")], seq(3), 1)
        .await;
    assert_eq!(page.unwrap()[0].seq, seq(2));
}

async fn an_edit_is_found_by_its_new_words_and_a_deletion_by_none(database: Database) {
    let store = database.store().await;
    say(&store, "r", &["first apple", "second apple", "third apple"]).await;
    index(&store).await;
    change(&store, 1, edit("a pear")).await;
    change(&store, 2, Action::Delete).await;
    assert_eq!(
        found(&store, "apple second", &["r"]).await,
        NOTHING,
        "a deleted one is never found"
    );
    index(&store).await;
    assert_eq!(found(&store, "apple", &["r"]).await, [3]);
    assert_eq!(found(&store, "pear", &["r"]).await, [1]);
    // Changed before it is indexed for the first time.
    say(&store, "r", &["fourth apple", "fifth apple"]).await;
    change(&store, 4, edit("a fourth plum")).await;
    change(&store, 5, Action::Delete).await;
    index(&store).await;
    assert_eq!(found(&store, "fourth", &["r"]).await, [4]);
    assert_eq!(found(&store, "plum", &["r"]).await, [4]);
    assert_eq!(found(&store, "apple", &["r"]).await, [3]);
}

async fn the_index_goes_on_where_it_stopped(database: Database) {
    let stores = [database.store().await, database.store().await];
    for name in ["a", "b", "c"] {
        let texts: Vec<_> = (0..50)
            .map(|number| format!("word {name} {number}"))
            .collect();
        say(
            &stores[0],
            name,
            &texts.iter().map(String::as_str).collect::<Vec<_>>(),
        )
        .await;
    }
    let rooms = ["a", "b", "c"].map(room);
    // Two servers at once, each of which stops in the middle.
    let work = stores.iter().map(async |store| {
        for _ in 0..4 {
            store.search().unwrap().index(&rooms, 10).await.unwrap();
        }
    });
    futures_util::future::join_all(work).await;
    assert!(
        !stores[0]
            .search()
            .unwrap()
            .unindexed(None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(index(&stores[1]).await > 0);
    for name in ["a", "b", "c"] {
        assert_eq!(
            found(&stores[0], "word", &[name]).await,
            Vec::from_iter((1..=50).rev())
        );
    }
    assert_eq!(index(&stores[0]).await, 0);
}

async fn nothing_of_a_removed_message_is_left_in_the_index(database: Database) {
    append_old(
        &database,
        "r",
        [
            (60 * 24 * 30, "ann", "old apple".to_owned()),
            (0, "ann", "new apple".to_owned()),
        ],
    )
    .await;
    let store = database.store().await;
    index(&store).await;
    let before = chrono::Utc::now() - chrono::TimeDelta::days(10);
    let archive = store.archive().unwrap();
    assert_eq!(archive.expire(&[room("r")], before, 10).await.unwrap(), 1);
    assert_eq!(found(&store, "apple", &["r"]).await, [2]);
    change(&store, 2, Action::Delete).await;
    index(&store).await;
    // No row may be left to break the condition.
    let (table, trace) = match database.url().split(':').next() {
        Some("sqlite") => (
            "search_documents_data",
            "instr(block, CAST('apple' AS BLOB)) > 0",
        ),
        _ => ("search_documents", "true"),
    };
    let fails_on_a_row = format!(
        "INSERT INTO search_cursors (room_id, seq, revision) SELECT NULL, 0, 0 FROM {table} WHERE {trace}"
    );
    database.execute(&fails_on_a_row).await;
}

fn texts(found: &Value) -> Vec<&str> {
    let messages = found["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["message"].as_str().unwrap())
        .collect()
}

async fn until_found(client: &Client, query: Value, expected: &[&str]) {
    eventually("the words", async || {
        texts(&client.ok("searchMessages", query.clone()).await) == expected
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_text_is_found_within_a_moment_in_the_rooms_of_the_user() {
    for server in Server::on_each_kind_with(&[FLOODED]).await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        for room in ["r", "s"] {
            ann.join(room).await;
            ann.send(room, &format!("an apple in {room}")).await;
        }
        until_found(
            &bob,
            json!({ "roomId": "r", "query": "apple" }),
            &["an apple in r"],
        )
        .await;
        // Ann has both rooms in her list, Bob none.
        until_found(
            &ann,
            json!({ "query": "APP" }),
            &["an apple in s", "an apple in r"],
        )
        .await;
        until_found(&bob, json!({ "query": "apple" }), &[]).await;
        let edit = json!({ "roomId": "r", "seq": 1, "message": "a pear in r" });
        ann.ok("editMessage", edit).await;
        until_found(&ann, json!({ "query": "pear" }), &["a pear in r"]).await;
        ann.ok("deleteMessage", json!({ "roomId": "s", "seq": 1 }))
            .await;
        until_found(&ann, json!({ "query": "apple" }), &[]).await;
        for number in 0..5 {
            ann.send("r", &format!("plum {number}")).await;
        }
        let query = json!({ "roomId": "r", "query": "plum", "limit": 2 });
        until_found(&ann, query.clone(), &["plum 4", "plum 3"]).await;
        let page = ann.ok("searchMessages", query).await;
        assert_eq!(page["hasMore"], true);
        let rest =
            json!({ "roomId": "r", "query": "plum", "beforeSeq": page["messages"][1]["seq"] });
        let rest = ann.ok("searchMessages", rest).await;
        assert_eq!(
            (texts(&rest), &rest["hasMore"]),
            (vec!["plum 2", "plum 1", "plum 0"], &json!(false))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_from_before_the_start_are_found() {
    for database in Database::each_kind().await {
        append_old(
            &database,
            "r",
            (0..1_200).map(|number| (number, "ann", format!("word {number}"))),
        )
        .await;
        let server = Server::on(database, &[]).await;
        let ann = server.client("ann").await;
        until_found(
            &ann,
            json!({ "roomId": "r", "query": "word 1199" }),
            &["word 1199"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_queries_are_refused_and_a_server_without_search_knows_none() {
    let [server, _] = Server::on_each_kind().await;
    let ann = server.client("ann").await;
    let many: Vec<_> = (0..17).map(|number| number.to_string()).collect();
    for (query, field) in [
        (json!({ "roomId": "r" }), "query"),
        (json!({ "query": 5 }), "query"),
        (json!({ "query": " … ' " }), "query"),
        (json!({ "query": "x".repeat(1_001) }), "query"),
        (json!({ "query": many.join(" ") }), "query"),
        (json!({ "query": "x", "beforeSeq": 5 }), "beforeSeq"),
        (json!({ "query": "x", "roomId": "" }), "roomId"),
        (json!({ "query": "x", "limit": -1 }), "limit"),
    ] {
        let answer = ann.call("searchMessages", query.clone()).await;
        assert_eq!(
            answer["error"]["code"], "INVALID_PAYLOAD",
            "{query}: {answer}"
        );
        assert!(
            answer["error"]["message"].as_str().unwrap().contains(field),
            "{answer}"
        );
    }
    let server = Server::on(Database::sqlite(), &["--search=off"]).await;
    let ann = server.client("ann").await;
    assert_eq!(
        ann.refused("searchMessages", json!({ "query": "x" })).await,
        "UNKNOWN_EVENT"
    );
}
