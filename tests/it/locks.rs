//! Locks of other database sessions in Postgres: a locked row stops its own room, a locked table
//! all rooms, and an abandoned send is never stored later.

use std::time::Duration;

use parlor::{
    model::Seq,
    store::{Keep, LOCK_TIMEOUT, Page},
    testing::writer::MAX_PARKED_PER_ROOM,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::Instant;

use crate::support::{Database, FLOODED, RawClient, Server, raw::Packet};

const LOCK_ROW: &str = "SELECT * FROM rooms WHERE room_id = 'locked' FOR UPDATE";
/// The uncommitted first message of a room.
const INSERT_ROW: &str = "INSERT INTO rooms (room_id, last_seq) VALUES ('locked', 0)";
/// A short deadline for sends.
const IMPATIENT: &str = "--send-timeout-ms=1000";

/// A lock, held by a database session of its own until its release.
struct Lock(PgConnection);

impl Lock {
    async fn take(database: &Database, statement: &str) -> Self {
        let mut session = PgConnection::connect(database.url()).await.unwrap();
        session.execute("BEGIN").await.unwrap();
        session
            .execute(AssertSqlSafe(statement.to_owned()))
            .await
            .unwrap();
        Self(session)
    }

    async fn release(mut self) {
        self.0.execute("ROLLBACK").await.unwrap();
    }
}

async fn in_room(server: &Server, user: &str, room: &str) -> RawClient {
    let mut client = server.raw(user).await;
    assert_eq!(
        client.call("joinRoom", json!({ "roomId": room })).await["status"],
        "ok"
    );
    client
}

async fn emit(client: &mut RawClient, room: &str, count: usize) {
    for number in 0..count {
        let payload = json!({ "roomId": room, "message": number.to_string(), "clientMessageId": number.to_string() });
        client.emit("sendMessage", &payload).await;
    }
    client.flush().await;
}

async fn answers(client: &mut RawClient, count: usize) -> Vec<Value> {
    let mut answers = vec![];
    while answers.len() < count {
        match client.packet().await {
            Packet::Ack(_, answer) => answers.push(answer),
            Packet::Event(..) => {}
            Packet::Other(frame) => panic!("{frame:?}"),
        }
    }
    answers
}

async fn send(client: &mut RawClient, room: &str) -> Value {
    client
        .call("sendMessage", json!({ "roomId": room, "message": "hi" }))
        .await
}

/// Returns a room's log.
async fn log(database: &Database, room: &str) -> Vec<(i64, String)> {
    let page = Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit: 100_000,
        keep: Keep::Oldest,
    };
    let messages = database
        .store()
        .await
        .read(&room.try_into().unwrap(), page)
        .await
        .unwrap();
    messages
        .iter()
        .map(|message| (message.seq.get(), message.body.as_str().to_owned()))
        .collect()
}

fn numbered(texts: std::ops::Range<usize>) -> Vec<(i64, String)> {
    (1..).zip(texts.map(|text| text.to_string())).collect()
}

/// Sends to two rooms while one of them is locked, and releases the lock after a while.
async fn only_its_own_room_waits(room_exists: bool, lock: &str) {
    let server = Server::on(Database::postgres().await, &[FLOODED]).await;
    let [mut ann, mut bob] = [
        in_room(&server, "ann", "locked").await,
        in_room(&server, "bob", "open").await,
    ];
    if room_exists {
        server
            .database
            .execute("INSERT INTO rooms (room_id, last_seq) VALUES ('locked', 0)")
            .await;
    }
    let lock = Lock::take(&server.database, lock).await;
    let begun = Instant::now();
    emit(&mut ann, "locked", 40).await;
    emit(&mut bob, "open", 40).await;
    for answer in answers(&mut bob, 40).await {
        assert_eq!(answer["status"], "ok", "{answer}");
    }
    let mut slowest = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(5) {
        let sent = Instant::now();
        assert_eq!(send(&mut bob, "open").await["status"], "ok");
        slowest = slowest.max(sent.elapsed());
    }
    assert!(
        slowest < Duration::from_secs(2),
        "an ack beside the locked room took {slowest:?}"
    );
    emit_more(&mut ann).await;
    assert_eq!(log(&server.database, "locked").await, []);
    lock.release().await;
    for answer in answers(&mut ann, 60).await {
        assert_eq!(
            (answer["status"].as_str(), answer["duplicate"].as_bool()),
            (Some("ok"), Some(false)),
            "{answer}"
        );
    }
    assert_eq!(
        log(&server.database, "locked").await,
        numbered(0..60),
        "once, in the order sent"
    );
    assert_eq!(send(&mut ann, "locked").await["message"]["seq"], 61);
}

/// Sends more to the waiting room; these come after the waiting ones.
async fn emit_more(client: &mut RawClient) {
    for number in 40..60 {
        client
            .emit(
                "sendMessage",
                &json!({ "roomId": "locked", "message": number.to_string() }),
            )
            .await;
    }
    client.flush().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn a_locked_row_holds_up_only_its_own_room_and_its_sends_are_stored_in_order_afterwards() {
    only_its_own_room_waits(true, LOCK_ROW).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn an_uncommitted_new_room_holds_up_no_other_room() {
    only_its_own_room_waits(false, INSERT_ROW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_to_a_locked_room_are_refused_in_time_and_not_stored_later() {
    let server = Server::on(Database::postgres().await, &[IMPATIENT]).await;
    let mut ann = in_room(&server, "ann", "locked").await;
    assert_eq!(send(&mut ann, "locked").await["status"], "ok");
    let lock = Lock::take(&server.database, LOCK_ROW).await;
    for _ in 0..2 {
        emit(&mut ann, "locked", 5).await;
        for answer in answers(&mut ann, 5).await {
            assert_eq!(answer["error"]["code"], "UNAVAILABLE", "{answer}");
        }
    }
    lock.release().await;
    assert_eq!(send(&mut ann, "locked").await["message"]["seq"], 2);
    emit(&mut ann, "locked", 1).await;
    assert_eq!(answers(&mut ann, 1).await[0]["duplicate"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_holds_up_all_rooms_until_it_is_free() {
    for lock in [
        "LOCK TABLE rooms IN EXCLUSIVE MODE",
        "LOCK TABLE messages IN SHARE MODE",
    ] {
        let server = Server::on(Database::postgres().await, &[]).await;
        let [mut ann, mut bob] = [
            in_room(&server, "ann", "a").await,
            in_room(&server, "bob", "b").await,
        ];
        let lock = Lock::take(&server.database, lock).await;
        emit(&mut ann, "a", 10).await;
        emit(&mut bob, "b", 10).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        lock.release().await;
        for (client, room) in [(&mut ann, "a"), (&mut bob, "b")] {
            assert!(
                answers(client, 10)
                    .await
                    .iter()
                    .all(|answer| answer["status"] == "ok")
            );
            assert_eq!(log(&server.database, room).await, numbered(0..10));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_refused_behind_a_locked_table_is_not_stored_later() {
    let server = Server::on(Database::postgres().await, &[IMPATIENT]).await;
    let mut ann = in_room(&server, "ann", "r").await;
    let lock = Lock::take(&server.database, "LOCK TABLE messages IN SHARE MODE").await;
    emit(&mut ann, "r", 3).await;
    for answer in answers(&mut ann, 3).await {
        assert_eq!(answer["error"]["code"], "UNAVAILABLE", "{answer}");
    }
    lock.release().await;
    assert_eq!(send(&mut ann, "r").await["message"]["seq"], 1);
    assert_eq!(log(&server.database, "r").await, [(1, "hi".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_room_keeps_a_bounded_queue_and_refuses_more_at_once() {
    let server = Server::on(
        Database::postgres().await,
        &[FLOODED, "--send-timeout-ms=60000"],
    )
    .await;
    let mut ann = in_room(&server, "ann", "locked").await;
    assert_eq!(send(&mut ann, "locked").await["status"], "ok");
    let lock = Lock::take(&server.database, LOCK_ROW).await;
    let first = ann
        .emit(
            "sendMessage",
            &json!({ "roomId": "locked", "message": "first" }),
        )
        .await;
    ann.flush().await;
    // By then the room is parked.
    tokio::time::sleep(2 * LOCK_TIMEOUT).await;
    let sends = 3 * MAX_PARKED_PER_ROOM;
    emit(&mut ann, "locked", sends).await;
    let refused = answers(&mut ann, 1).await.remove(0);
    assert_eq!(
        refused["error"]["code"], "UNAVAILABLE",
        "before the lock goes: {refused}"
    );
    lock.release().await;
    let rest = answers(&mut ann, sends).await;
    assert!(
        rest.iter()
            .any(|answer| answer["message"]["message"] == "first"),
        "{first}"
    );
}
