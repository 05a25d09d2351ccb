//! One suite for all stores.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::future::join_all;
use parlor::{
    model::{Body, Draft, Message, Revision, RoomId, Seq},
    store::{Encryption, Head, Keep, MessageStore, Page, StoreError},
};

use crate::support::{Database, conformance};

conformance!(
    a_rooms_messages_are_numbered_from_one,
    rooms_are_numbered_independently,
    messages_are_read_as_they_were_stored,
    a_page_keeps_the_requested_end,
    a_repeated_client_message_id_gives_the_first_message,
    a_repeat_within_a_batch_gives_the_first_message,
    the_same_client_message_id_in_another_room_or_of_another_user_is_another_message,
    a_batch_appended_again_is_stored_once,
    an_empty_batch_changes_nothing,
    concurrent_batches_leave_no_gap_and_no_duplicate,
    two_stores_on_one_database_agree,
    the_ends_of_many_rooms_are_read_at_once,
    migrations_may_run_at_once_and_again,
    a_log_of_the_first_schema_is_kept_and_recognizes_repeats,
    the_database_itself_refuses_a_duplicate,
    a_ping_succeeds_until_the_store_is_closed,
);

fn room(name: &str) -> RoomId {
    name.try_into().unwrap()
}

fn draft(in_room: &str, user: &str, text: &str, name: Option<&str>) -> Draft {
    let body = Body::parse(text, 8192).unwrap();
    let name = name.map(|name| name.try_into().unwrap());
    Draft::new(room(in_room), user.try_into().unwrap(), None, body, name)
}

fn drafts(in_room: &str, texts: &[&str]) -> Vec<Draft> {
    texts
        .iter()
        .map(|text| draft(in_room, "ann", text, None))
        .collect()
}

fn seq(number: i64) -> Seq {
    number.try_into().unwrap()
}

const ALL: Page = Page {
    after: Seq::ZERO,
    before: Seq::END,
    limit: 100_000,
    keep: Keep::Oldest,
};

async fn log(store: &Arc<dyn MessageStore>, of: &str) -> Vec<Message> {
    store.read(&room(of), ALL).await.unwrap()
}

async fn texts(store: &Arc<dyn MessageStore>, of: &str) -> Vec<(i64, String)> {
    let messages = log(store, of).await;
    messages
        .iter()
        .map(|message| (message.seq.get(), message.body.as_str().to_owned()))
        .collect()
}

fn numbered(texts: &[&str]) -> Vec<(i64, String)> {
    (1..).zip(texts.iter().map(ToString::to_string)).collect()
}

async fn a_rooms_messages_are_numbered_from_one(database: Database) {
    let store = database.store().await;
    let first = store.append(&drafts("r", &["a", "b"])).await.unwrap();
    let second = store.append(&drafts("r", &["c"])).await.unwrap();
    let seqs = first
        .iter()
        .chain(&second)
        .map(|stored| stored.message.seq.get());
    assert_eq!(seqs.collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(texts(&store, "r").await, numbered(&["a", "b", "c"]));
}

async fn rooms_are_numbered_independently(database: Database) {
    let store = database.store().await;
    let batch = [
        drafts("x", &["1"]),
        drafts("y", &["1"]),
        drafts("x", &["2"]),
        drafts("Y", &["1"]),
    ]
    .concat();
    let stored = store.append(&batch).await.unwrap();
    let places = stored
        .iter()
        .map(|stored| (stored.message.room_id.as_str(), stored.message.seq.get()));
    assert_eq!(
        places.collect::<Vec<_>>(),
        [("x", 1), ("y", 1), ("x", 2), ("Y", 1)]
    );
    assert_eq!(texts(&store, "x").await, numbered(&["1", "2"]));
    assert_eq!(texts(&store, "none").await, []);
}

async fn messages_are_read_as_they_were_stored(database: Database) {
    let store = database.store().await;
    let mut operator = draft("r", "opera", "ünï😀\u{1}\n\"\\", Some("näme"));
    operator.operator_id = Some(operator.user_id.clone());
    let long = draft("r", "ann", &"🦀".repeat(2048), None);
    let batch = [operator, long];
    let stored = store.append(&batch).await.unwrap();
    let expected: Vec<_> = (1..)
        .zip(&batch)
        .map(|(number, draft)| draft.at(seq(number)))
        .collect();
    assert_eq!(
        stored
            .iter()
            .map(|stored| (*stored.message).clone())
            .collect::<Vec<_>>(),
        expected
    );
    assert_eq!(log(&store, "r").await, expected);
}

async fn a_page_keeps_the_requested_end(database: Database) {
    let store = database.store().await;
    store
        .append(&drafts("r", &["1", "2", "3", "4", "5", "6"]))
        .await
        .unwrap();
    let page = async |after, before, limit, keep| {
        let page = Page {
            after: seq(after),
            before,
            limit,
            keep,
        };
        let messages = store.read(&room("r"), page).await.unwrap();
        messages
            .iter()
            .map(|message| message.seq.get())
            .collect::<Vec<_>>()
    };
    assert_eq!(page(0, Seq::END, 2, Keep::Oldest).await, [1, 2]);
    assert_eq!(page(0, Seq::END, 2, Keep::Newest).await, [5, 6]);
    assert_eq!(page(1, seq(5), 2, Keep::Newest).await, [3, 4]);
    assert_eq!(page(1, seq(5), 2, Keep::Oldest).await, [2, 3]);
    assert!(page(3, seq(4), 9, Keep::Oldest).await.is_empty());
    assert!(page(6, Seq::END, 9, Keep::Newest).await.is_empty());
    assert!(page(0, Seq::END, 0, Keep::Newest).await.is_empty());
}

async fn a_repeated_client_message_id_gives_the_first_message(database: Database) {
    let store = database.store().await;
    let first = store
        .append(&[draft("r", "ann", "first", Some("id"))])
        .await
        .unwrap();
    let batch = [
        draft("r", "ann", "new", None),
        draft("r", "ann", "again", Some("id")),
        draft("r", "ann", "newer", None),
    ];
    let stored = store.append(&batch).await.unwrap();
    assert_eq!(stored[1].message, first[0].message);
    assert_eq!(
        stored
            .iter()
            .map(|stored| stored.duplicate)
            .collect::<Vec<_>>(),
        [false, true, false]
    );
    assert_eq!(
        texts(&store, "r").await,
        numbered(&["first", "new", "newer"])
    );
}

async fn a_repeat_within_a_batch_gives_the_first_message(database: Database) {
    let store = database.store().await;
    let batch = ["a", "b", "c"].map(|text| draft("r", "ann", text, Some("id")));
    let stored = store.append(&batch).await.unwrap();
    assert!(stored.iter().all(|stored| stored.message.id == batch[0].id));
    assert_eq!(
        stored
            .iter()
            .map(|stored| stored.duplicate)
            .collect::<Vec<_>>(),
        [false, true, true]
    );
    assert_eq!(texts(&store, "r").await, numbered(&["a"]));
}

async fn the_same_client_message_id_in_another_room_or_of_another_user_is_another_message(
    database: Database,
) {
    let store = database.store().await;
    let batch = [("r", "ann"), ("s", "ann"), ("r", "bob")];
    let batch = batch.map(|(in_room, user)| draft(in_room, user, user, Some("id")));
    assert!(
        store
            .append(&batch)
            .await
            .unwrap()
            .iter()
            .all(|stored| !stored.duplicate)
    );
    assert_eq!(texts(&store, "r").await, numbered(&["ann", "bob"]));
    assert_eq!(texts(&store, "s").await, numbered(&["ann"]));
}

async fn a_batch_appended_again_is_stored_once(database: Database) {
    let store = database.store().await;
    let batch = [
        drafts("r", &["a", "b"]),
        vec![draft("r", "ann", "c", Some("id"))],
    ]
    .concat();
    let first = store.append(&batch).await.unwrap();
    let more = [batch, drafts("r", &["d"])].concat();
    let again = store.append(&more).await.unwrap();
    assert!(
        again.iter().all(|stored| !stored.duplicate),
        "a retry is no duplicate of itself"
    );
    let same = first
        .iter()
        .zip(&again)
        .all(|(first, again)| first.message == again.message);
    assert!(same);
    assert_eq!(texts(&store, "r").await, numbered(&["a", "b", "c", "d"]));
}

async fn an_empty_batch_changes_nothing(database: Database) {
    let store = database.store().await;
    assert!(store.append(&[]).await.unwrap().is_empty());
}

/// Appends as the writer does, with a retry when another writer was faster.
async fn append(
    store: &Arc<dyn MessageStore>,
    batch: &[Draft],
) -> Vec<parlor::model::Stored<Arc<parlor::model::Message>>> {
    loop {
        match store.append(batch).await {
            Ok(stored) => return stored,
            Err(StoreError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

const WRITERS: usize = 8;
const BATCHES: usize = 25;

/// Writes from all stores at once, each with the rooms in another order and one message in common.
async fn write_at_once(stores: &[Arc<dyn MessageStore>]) {
    let writers = (0..WRITERS).map(|writer| {
        let store = stores[writer % stores.len()].clone();
        tokio::spawn(async move {
            for number in 0..BATCHES {
                let mut rooms = ["x", "y", "z"];
                rooms.rotate_left((writer + number) % 3);
                let mut batch: Vec<_> = rooms
                    .map(|room| draft(room, "ann", &writer.to_string(), None))
                    .into();
                batch.push(draft("x", "ann", "common", Some(&number.to_string())));
                append(&store, &batch).await;
            }
        })
    });
    for ended in join_all(writers).await {
        ended.unwrap();
    }
}

async fn assert_whole(store: &Arc<dyn MessageStore>) {
    for (of, expected) in [
        ("x", (WRITERS + 1) * BATCHES),
        ("y", WRITERS * BATCHES),
        ("z", WRITERS * BATCHES),
    ] {
        let messages = log(store, of).await;
        let seqs: Vec<_> = messages.iter().map(|message| message.seq.get()).collect();
        assert_eq!(seqs, (1..=expected as i64).collect::<Vec<_>>(), "room {of}");
        let ids: HashSet<_> = messages.iter().map(|message| message.id).collect();
        assert_eq!(ids.len(), expected, "room {of}");
    }
}

async fn concurrent_batches_leave_no_gap_and_no_duplicate(database: Database) {
    let store = database.store().await;
    write_at_once(std::slice::from_ref(&store)).await;
    assert_whole(&store).await;
}

async fn two_stores_on_one_database_agree(database: Database) {
    let stores = [database.store().await, database.store().await];
    write_at_once(&stores).await;
    assert_whole(&stores[0]).await;
    assert_whole(&stores[1]).await;
}

async fn the_ends_of_many_rooms_are_read_at_once(database: Database) {
    let store = database.store().await;
    let (a, b, none) = (room("a"), room("é 'b'"), room("none"));
    let messages = [
        drafts("a", &["1", "2", "3"]),
        drafts("é 'b'", &["1", "2"]),
        drafts("other", &["1"]),
    ];
    store.append(&messages.concat()).await.unwrap();
    let heads = store.heads(&[a.clone(), b.clone(), none.clone()]).await;
    let head = |number| Head {
        seq: seq(number),
        revision: Revision::ZERO,
    };
    assert_eq!(
        heads.unwrap(),
        [(a.clone(), head(3)), (b.clone(), head(2))].into()
    );
    let tails = async |places: &[(RoomId, Seq)], limit| {
        let mut tails = store.read_tails(places, limit).await.unwrap();
        tails.sort_by_key(|message| message.room_id.to_string());
        let places = tails
            .iter()
            .map(|message| (message.room_id.clone(), message.seq));
        places.collect::<Vec<_>>()
    };
    let places = [(b.clone(), seq(1)), (none, seq(0)), (a.clone(), seq(0))];
    assert_eq!(
        tails(&places, 2).await,
        [(a.clone(), seq(1)), (a.clone(), seq(2)), (b, seq(2))]
    );
    assert_eq!(tails(&[(a.clone(), seq(3))], 2).await, []);
    assert_eq!(tails(&[], 2).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_logs_with_long_messages_are_read_in_parts() {
    const LONG: usize = 1024 * 1024;
    let database = Database::postgres().await;
    let store = database.store().await;
    for name in ["a", "b"] {
        for _ in 0..4 {
            let body = Body::parse(&"x".repeat(LONG), LONG).unwrap();
            let draft = Draft::new(room(name), "ann".try_into().unwrap(), None, body, None);
            store.append(&[draft]).await.unwrap();
        }
    }
    let mut places = HashMap::from([(room("a"), 0), (room("b"), 0)]);
    let mut reads = 0;
    while places.values().any(|place| *place < 4) {
        let asked: Vec<_> = places
            .iter()
            .map(|(room, place)| (room.clone(), seq(*place)))
            .collect();
        let read = store.read_tails(&asked, 200).await.unwrap();
        assert!((1..=5).contains(&read.len()), "{}", read.len());
        for message in read {
            let place = places.get_mut(&message.room_id).unwrap();
            *place += 1;
            assert_eq!(message.seq, seq(*place));
        }
        reads += 1;
    }
    assert!(reads > 1);
}

async fn migrations_may_run_at_once_and_again(database: Database) {
    let fresh = match database.url().starts_with("sqlite") {
        true => Database::sqlite(),
        false => Database::empty_postgres().await,
    };
    let migrate = async |_| {
        let store = parlor::store::open(fresh.url(), 2, Encryption::Optional).unwrap();
        store.migrate().await.unwrap();
        store.append(&drafts("r", &["hello"])).await.unwrap();
    };
    join_all((0..4).map(migrate)).await;
    assert_eq!(log(&fresh.store().await, "r").await.len(), 4);
}

/// The way back to the tables before the second migration.
const FIRST_SCHEMA: [&str; 21] = [
    "DROP TABLE room_settings",
    "DROP TABLE room_members",
    "DROP TABLE room_departures",
    "DROP TABLE webhook_endpoints",
    "DROP TABLE webhook_cursors",
    "DROP TABLE conversations",
    "DROP TABLE holders",
    "DROP TABLE calls",
    "DROP TABLE call_parties",
    "DROP TABLE search_documents",
    "DROP TABLE search_cursors",
    "DROP TABLE memberships",
    "DROP TABLE revisions",
    "DROP TABLE message_states",
    "DROP TABLE reactions",
    "DROP TABLE IF EXISTS rosters",
    "DROP TABLE IF EXISTS servers",
    "DROP INDEX IF EXISTS messages_id",
    "DROP INDEX IF EXISTS messages_id_in_room",
    "CREATE UNIQUE INDEX messages_id ON messages (id)",
    "DELETE FROM _sqlx_migrations WHERE version > 1",
];

async fn a_log_of_the_first_schema_is_kept_and_recognizes_repeats(database: Database) {
    let batch = [
        draft("r", "ann", "named", Some("id")),
        draft("r", "ann", "not named", None),
    ];
    database.store().await.append(&batch).await.unwrap();
    for undo in FIRST_SCHEMA {
        database.execute(undo).await;
    }
    let store = parlor::store::open(database.url(), 2, Encryption::Optional).unwrap();
    store.migrate().await.unwrap();
    let again = store
        .append(&[&batch[..], &drafts("r", &["new"])].concat())
        .await
        .unwrap();
    assert_eq!(
        again
            .iter()
            .map(|stored| stored.message.seq.get())
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(
        texts(&store, "r").await,
        numbered(&["named", "not named", "new"])
    );
}

/// The way back to the tables before the fourth migration, and to an index whose build broke off.
const THIRD_SCHEMA: [&str; 6] = [
    "DROP TABLE room_settings, room_members, room_departures",
    "DROP TABLE webhook_endpoints, webhook_cursors, conversations, holders, calls, call_parties",
    "DROP TABLE revisions, message_states, reactions, memberships, search_documents, search_cursors",
    "DROP INDEX messages_id_in_room",
    "CREATE UNIQUE INDEX messages_id ON messages (id) WHERE client_message_id IS NULL",
    "DELETE FROM _sqlx_migrations WHERE version > 3",
];
const BROKEN_OFF: &str =
    "CREATE UNIQUE INDEX CONCURRENTLY messages_id_in_room ON messages (room_id)";

#[tokio::test(flavor = "multi_thread")]
async fn an_index_whose_build_broke_off_is_built_anew_by_processes_that_start_at_once() {
    let database = Database::postgres().await;
    let store = database.store().await;
    store.append(&drafts("r", &["1", "2"])).await.unwrap();
    for undo in THIRD_SCHEMA {
        database.execute(undo).await;
    }
    assert!(database.try_execute(BROKEN_OFF).await.is_err());
    let migrate = async |_| {
        let store = parlor::store::open(database.url(), 2, Encryption::Optional).unwrap();
        // A build that lost against another one is tried again, as a start does it.
        while store.migrate().await.is_err() {}
        store.append(&drafts("r", &["hello"])).await.unwrap();
    };
    join_all((0..3).map(migrate)).await;
    let whole = "SELECT 1 / (count(*) = 1)::int FROM pg_index \
                 WHERE indexrelid = 'messages_id_in_room'::regclass AND indisvalid AND indnatts = 2";
    database.execute(whole).await;
    assert_eq!(log(&store, "r").await.len(), 5);
}

/// Partitions and distributed tables take no other unique index.
#[tokio::test(flavor = "multi_thread")]
async fn every_unique_index_of_a_rooms_rows_begins_with_the_room() {
    let database = Database::postgres().await;
    for table in [
        "messages",
        "rooms",
        "rosters",
        "revisions",
        "message_states",
        "reactions",
        "memberships",
        "search_documents",
        "search_cursors",
        "room_settings",
        "room_members",
        "room_departures",
        "webhook_cursors",
        "conversations",
        "calls",
        "call_parties",
    ] {
        let all = format!(
            "SELECT 1 / (count(*) > 0 AND bool_and(attname = 'room_id'))::int FROM pg_index \
             JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] \
             WHERE indrelid = '{table}'::regclass AND indisunique"
        );
        database.execute(&all).await;
    }
}

/// Uniqueness must not rest on code looking before it writes.
async fn the_database_itself_refuses_a_duplicate(database: Database) {
    let store = database.store().await;
    let named_and_not = [
        draft("r", "ann", "hello", Some("id")),
        draft("r", "ann", "hello", None),
    ];
    store.append(&named_and_not).await.unwrap();
    let copy = |same: &str| {
        let columns =
            "room_id, seq, id, user_id, operator_id, message, client_message_id, \"timestamp\"";
        let other_id = match database.url().starts_with("sqlite") {
            true => "'other'",
            false => "'00000000-0000-7000-8000-000000000000'::uuid",
        };
        let values = match same {
            "seq" => format!(
                "room_id, seq, {other_id}, user_id, operator_id, message, NULL, \"timestamp\""
            ),
            "name" => {
                format!(
                    "room_id, 9, {other_id}, user_id, operator_id, message, client_message_id, \"timestamp\""
                )
            }
            _ => "room_id, 9, id, user_id, operator_id, message, NULL, \"timestamp\"".to_owned(),
        };
        let copied = if same == "id" { 2 } else { 1 };
        format!(
            "INSERT INTO messages ({columns}) SELECT {values} FROM messages WHERE seq = {copied}"
        )
    };
    for same in ["seq", "name", "id"] {
        let refused = database.try_execute(&copy(same)).await.unwrap_err();
        let refused = refused
            .as_database_error()
            .expect("an error of the database");
        assert!(refused.is_unique_violation(), "same {same}: {refused}");
    }
}

async fn a_ping_succeeds_until_the_store_is_closed(database: Database) {
    let store = database.store().await;
    store.ping().await.unwrap();
    store.close().await;
    assert!(matches!(
        store.ping().await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.read(&room("r"), ALL).await,
        Err(StoreError::Unavailable(_))
    ));
}

#[test]
fn a_url_of_an_unknown_kind_is_refused() {
    for url in [
        "mysql://host/db",
        "parlor.db",
        "",
        "sqlite::memory:",
        "sqlite://db?mode=memory",
    ] {
        assert!(
            parlor::store::open(url, 1, Encryption::Optional).is_err(),
            "{url:?}"
        );
    }
}
