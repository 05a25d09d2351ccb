//! Rooms find messages that nobody announced, skip gaps, and notice a log that has gone back.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::{Database, RawClient, Server, eventually, gate::Gate, log};

/// Sets the log back to its second message, as a restore does.
const RESTORE: [&str; 2] = [
    "DELETE FROM messages WHERE seq > 2",
    "UPDATE rooms SET last_seq = 2",
];

/// Without a look at the log from time to time, as servers with a bus have it.
const ALONE: &str = "--bus-url=none";

async fn member(server: &Server, user: &str) -> RawClient {
    let mut client = server.raw(user).await;
    let joined = client.call("joinRoom", json!({ "roomId": "r" })).await;
    assert_eq!(joined["status"], "ok", "{joined}");
    client
}

async fn send(client: &mut RawClient, text: &str) -> Value {
    client
        .call("sendMessage", json!({ "roomId": "r", "message": text }))
        .await
}

fn seqs(answer: &Value) -> Vec<i64> {
    answer["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["seq"].as_i64().unwrap())
        .collect()
}

fn texts(answer: &Value) -> Vec<&str> {
    answer["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["message"].as_str().unwrap())
        .collect()
}

/// Slows Postgres down for one message.
const SLOW: [&str; 2] = [
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(6); RETURN NEW; END'",
    "CREATE TRIGGER slow BEFORE INSERT ON messages FOR EACH ROW WHEN (NEW.message = 'late') EXECUTE FUNCTION slow()",
];

/// A server whose connection to Postgres broke during a commit: the sender was told `UNAVAILABLE`,
/// and then the message was committed.
struct Late {
    _server: Server,
    _gate: Gate,
    ann: RawClient,
    bob: RawClient,
}

impl Late {
    async fn new() -> Self {
        let mut gate = Gate::shut_at_first();
        gate.open();
        let database = Database::postgres().await;
        let mut direct = PgConnection::connect(database.url()).await.unwrap();
        for statement in SLOW {
            direct.execute(statement).await.unwrap();
        }
        let server = Server::on(database.through(&gate), &["--send-timeout-ms=500"]).await;
        let (mut ann, bob) = (member(&server, "ann").await, member(&server, "bob").await);
        let sent = ann.emit("sendMessage", &late()).await;
        ann.flush().await;
        let slow = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        eventually("the message on its way", async || {
            count(&mut direct, slow).await == 1
        })
        .await;
        gate.shut().await;
        assert_eq!(ann.until_ack(sent).await.1["error"]["code"], "UNAVAILABLE");
        gate.open();
        let page = async || {
            ann.call("getHistory", json!({ "roomId": "r" })).await["messages"] == json!([])
        };
        eventually("a page without the message", page).await;
        let committed = async || count(&mut direct, "SELECT count(*) FROM messages").await == 1;
        eventually("the commit", committed).await;
        direct
            .execute("DROP TRIGGER slow ON messages")
            .await
            .unwrap();
        Self {
            _server: server,
            _gate: gate,
            ann,
            bob,
        }
    }
}

fn late() -> Value {
    json!({ "roomId": "r", "message": "late", "clientMessageId": "c-1" })
}

async fn count(connection: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query_scalar(query)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_committed_after_its_sender_gave_up_is_delivered_without_a_repeat() {
    let mut late = Late::new().await;
    assert_eq!(late.bob.next("newMessage").await["message"], "late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_a_message_committed_after_its_sender_gave_up_is_delivered_once() {
    let Late {
        mut ann,
        mut bob,
        _server,
        _gate,
    } = Late::new().await;
    let again = ann.call("sendMessage", late()).await;
    assert_eq!(
        (&again["message"]["seq"], &again["duplicate"]),
        (&json!(1), &json!(true)),
        "{again}"
    );
    assert_eq!(bob.next("newMessage").await["message"], "late");
    assert_eq!(send(&mut ann, "next").await["message"]["seq"], 2);
    assert_eq!(bob.next("newMessage").await["message"], "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_messages_new_to_the_room_wakes_it() {
    for server in Server::on_each_kind().await {
        let (mut ann, mut bob) = (member(&server, "ann").await, member(&server, "bob").await);
        send(&mut ann, "1").await;
        log::append(&server.database, "r", "other", &["2", "3"]).await;
        let page = ann
            .call(
                "getHistory",
                json!({ "roomId": "r", "afterSeq": 0, "limit": 2 }),
            )
            .await;
        assert_eq!(seqs(&page), [1, 2]);
        for seq in 1..=3 {
            assert_eq!(bob.next("newMessage").await["seq"], seq);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_ahead_of_the_room_wakes_it() {
    for server in Server::on_each_kind().await {
        let mut bob = member(&server, "bob").await;
        log::append(&server.database, "r", "other", &["1", "2", "3"]).await;
        let mut ann = server.raw("ann").await;
        let joined = ann
            .call("joinRoom", json!({ "roomId": "r", "lastSeq": 2 }))
            .await;
        assert_eq!(
            (seqs(&joined), joined["lastSeq"].as_i64()),
            (vec![3], Some(3))
        );
        for seq in 1..=3 {
            assert_eq!(bob.next("newMessage").await["seq"], seq);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_goes_back_under_an_open_room_is_read_anew_and_its_members_are_told() {
    for server in Server::on_each_kind_with(&[ALONE]).await {
        let (mut ann, mut bob) = (member(&server, "ann").await, member(&server, "bob").await);
        // A sender drops what comes before its ack.
        let mut cid = member(&server, "cid").await;
        for text in ["1", "2", "lost", "lost", "lost"] {
            send(&mut ann, text).await;
        }
        for statement in RESTORE {
            server.database.execute(statement).await;
        }
        assert_eq!(send(&mut cid, "new").await["message"]["seq"], 3);
        for client in [&mut ann, &mut bob] {
            let told = client.next("history").await;
            assert_eq!(
                (&told["reset"], &told["roomId"], &told["hasMore"]),
                (&json!(true), &json!("r"), &json!(false))
            );
            assert_eq!(
                (texts(&told), seqs(&told)),
                (vec!["1", "2", "new"], vec![1, 2, 3])
            );
            assert_eq!(
                (&told["lastSeq"], &told["memberCount"]),
                (&json!(3), &json!(3))
            );
        }
        assert_eq!(send(&mut bob, "newer").await["message"]["seq"], 4);
        assert_eq!(ann.next("newMessage").await["message"], "newer");
        let joined = ann.call("joinRoom", json!({ "roomId": "r" })).await;
        assert_eq!(texts(&joined), ["1", "2", "new", "newer"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_goes_back_and_then_beyond_the_room_is_noticed_too() {
    for server in Server::on_each_kind_with(&[ALONE]).await {
        let (mut ann, mut bob) = (member(&server, "ann").await, member(&server, "bob").await);
        for text in ["1", "2", "lost"] {
            send(&mut ann, text).await;
        }
        for statement in RESTORE {
            server.database.execute(statement).await;
        }
        log::append(&server.database, "r", "other", &["3", "4", "5"]).await;
        assert_eq!(send(&mut bob, "6").await["message"]["seq"], 6);
        let told = ann.next("history").await;
        assert_eq!(
            (&told["reset"], texts(&told)),
            (&json!(true), vec!["1", "2", "3", "4", "5", "6"])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_log_that_went_back_tells_the_room() {
    let server = Server::start().await;
    let mut ann = member(&server, "ann").await;
    for text in ["1", "2", "lost"] {
        send(&mut ann, text).await;
    }
    for statement in RESTORE {
        server.database.execute(statement).await;
    }
    log::append(&server.database, "r", "other", &["3"]).await;
    assert_eq!(
        texts(&ann.call("getHistory", json!({ "roomId": "r" })).await),
        ["1", "2", "3"]
    );
    assert_eq!(texts(&ann.next("history").await), ["1", "2", "3"]);
}

/// Rows removed by hand leave a gap, and nothing waits for them.
#[tokio::test(flavor = "multi_thread")]
async fn messages_removed_by_hand_are_skipped() {
    for server in Server::on_each_kind().await {
        let (mut ann, mut bob) = (member(&server, "ann").await, member(&server, "bob").await);
        for text in ["1", "2", "3", "4"] {
            send(&mut ann, text).await;
        }
        server
            .database
            .execute("DELETE FROM messages WHERE seq IN (2, 4)")
            .await;
        let mut cid = server.raw("cid").await;
        // A page is read from the log, and the room's memory is not.
        assert_eq!(
            cid.call("joinRoom", json!({ "roomId": "r", "lastSeq": 1 }))
                .await["lastSeq"],
            4
        );
        let page = cid
            .call("getHistory", json!({ "roomId": "r", "afterSeq": 1 }))
            .await;
        assert_eq!((seqs(&page), &page["hasMore"]), (vec![3], &json!(false)));
        let page = cid
            .call("getHistory", json!({ "roomId": "r", "afterSeq": 3 }))
            .await;
        assert_eq!((seqs(&page), &page["hasMore"]), (vec![], &json!(false)));
        assert_eq!(send(&mut ann, "5").await["message"]["seq"], 5);
        log::append(&server.database, "r", "other", &["6", "7"]).await;
        server
            .database
            .execute("DELETE FROM messages WHERE seq = 6")
            .await;
        assert_eq!(send(&mut ann, "8").await["message"]["seq"], 8);
        for seq in [1, 2, 3, 4, 5, 7, 8] {
            assert_eq!(bob.next("newMessage").await["seq"], seq);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_starts_on_a_log_with_gaps_goes_on_with_it() {
    for server in Server::on_each_kind().await {
        log::append(&server.database, "r", "other", &["1", "2", "3", "4", "5"]).await;
        server
            .database
            .execute("DELETE FROM messages WHERE seq IN (1, 3, 5)")
            .await;
        let (mut bob, mut ann) = (member(&server, "bob").await, server.raw("ann").await);
        let joined = ann.call("joinRoom", json!({ "roomId": "r" })).await;
        assert_eq!(
            (seqs(&joined), &joined["lastSeq"], &joined["hasMore"]),
            (vec![2, 4], &json!(4), &json!(false))
        );
        let joined = ann
            .call("joinRoom", json!({ "roomId": "r", "lastSeq": 5 }))
            .await;
        assert_eq!((seqs(&joined), &joined["lastSeq"]), (vec![], &json!(4)));
        for seq in [6, 7] {
            assert_eq!(send(&mut ann, "hello").await["message"]["seq"], seq);
            assert_eq!(bob.next("newMessage").await["seq"], seq);
        }
        let joined = ann
            .call("joinRoom", json!({ "roomId": "r", "lastSeq": 2 }))
            .await;
        assert_eq!(seqs(&joined), [4, 6, 7]);
    }
}

/// Longer than a room waits before it looks again.
const QUIET: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_makes_no_storm_of_reads() {
    let database = Database::postgres().await;
    log::append(&database, "r", "other", &["1", "2", "3", "4"]).await;
    database
        .execute("DELETE FROM messages WHERE seq IN (2, 4)")
        .await;
    let server = Server::on(database, &[]).await;
    let mut ann = member(&server, "ann").await;
    for _ in 0..100 {
        let joined = ann
            .call("joinRoom", json!({ "roomId": "r", "lastSeq": 4 }))
            .await;
        assert_eq!(joined["lastSeq"], 3);
    }
    send(&mut ann, "5").await;
    tokio::time::sleep(QUIET).await;
    let reads = reads(&server.database).await;
    assert!(reads < 20, "{reads} reads");
}

/// Returns the number of reads of a database's log, by its statistics.
async fn reads(database: &Database) -> i64 {
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    count(
        &mut connection,
        "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'messages'",
    )
    .await
}
