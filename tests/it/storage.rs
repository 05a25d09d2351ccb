//! A database without room for messages: away, locked, read-only, full. Sends wait for it or are
//! refused, no join hides messages, and afterwards service resumes without a restart.

use std::{
    collections::HashSet,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use parlor::{
    model::Seq,
    store::{Encryption, IDLE_BEFORE_PING, Keep, MigrateError, Page, StoreError},
};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use tokio::sync::Mutex;

use crate::support::{
    Database, Process, RawClient, Server, eventually, gate::Gate, log, postgres::Postgres,
    raw::Packet, within_deadline,
};

/// Longer than the pause between two attempts to store a batch; shorter than tests want to wait.
const SEND_TIMEOUT: &str = "--send-timeout-ms=8000";

/// The messages of a room at the start: more than the default of a join, and few enough to be all
/// in the room's memory.
const SEEDED: usize = 60;
/// The default number of messages in a join's answer.
const HISTORY: usize = 50;
/// The messages sent at once.
const BURST: usize = 20;
/// The long messages that fill a table larger than any other file of a Postgres.
const LARGE_TABLE_MESSAGES: usize = 400;

/// A server with a failing database, and two users.
struct Trial<'a> {
    address: SocketAddr,
    database: &'a Database,
    ann: RawClient,
    bob: RawClient,
    acked: HashSet<String>,
}

impl<'a> Trial<'a> {
    /// Lets Ann join a room and send a message.
    async fn begin(address: SocketAddr, database: &'a Database) -> Self {
        let [ann, bob] = [
            RawClient::connect(address, "ann").await,
            RawClient::connect(address, "bob").await,
        ];
        let mut trial = Self {
            address,
            database,
            ann,
            bob,
            acked: HashSet::new(),
        };
        assert_ok(&trial.ann.call("joinRoom", json!({ "roomId": "hot" })).await);
        trial.say(1).await;
        assert_eq!((trial.acked.len(), trial.readiness().await), (1, 200));
        trial
    }

    async fn readiness(&self) -> u16 {
        reqwest::get(format!("http://{}/readyz", self.address))
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    async fn until_readiness(&self, status: u16) {
        eventually(&format!("/readyz to answer {status}"), async || {
            self.readiness().await == status
        })
        .await;
    }

    /// Emits `count` messages of Ann at once.
    async fn emit(&mut self, count: usize) {
        for number in 0..count {
            let text = text();
            let payload = json!({ "roomId": "hot", "message": text, "clientMessageId": format!("{number} {text:.9}") });
            self.ann.emit("sendMessage", &payload).await;
        }
        self.ann.flush().await;
    }

    /// Returns the acks of Ann's messages.
    async fn answers(&mut self, count: usize) -> Vec<Value> {
        let mut answers = vec![];
        while answers.len() < count {
            match self.ann.packet().await {
                Packet::Ack(_, answer) => answers.push(answer),
                Packet::Event(..) => {}
                Packet::Other(frame) => panic!("{frame:?}"),
            }
        }
        let acked = answers
            .iter()
            .filter_map(|answer| answer["message"]["id"].as_str());
        self.acked.extend(acked.map(str::to_owned));
        answers
    }

    /// Sends `count` messages of Ann at once, and checks their acks.
    async fn say(&mut self, count: usize) {
        self.emit(count).await;
        self.answers(count).await.iter().for_each(assert_ok);
    }

    /// Checks that sends are refused, and `/readyz` reports it.
    async fn assert_unavailable(&mut self) {
        self.emit(BURST).await;
        self.until_readiness(503).await;
        for answer in self.answers(BURST).await {
            assert_unavailable(&answer);
        }
        assert_eq!(self.readiness().await, 503, "still");
    }

    /// Checks that an open room serves its memory, and a failed read is no empty history.
    async fn assert_history(&mut self, readable: bool) {
        let hot = self.bob.call("joinRoom", json!({ "roomId": "hot" })).await;
        assert_ok(&hot);
        assert_eq!(hot["messages"].as_array().unwrap().len(), HISTORY, "{hot}");
        let all = json!({ "roomId": "hot", "limit": 200, "lastSeq": 0 });
        let hot = self.bob.call("joinRoom", all).await;
        assert_ok(&hot);
        assert!(hot["messages"].as_array().unwrap().len() > SEEDED, "{hot}");
        for (event, payload, messages) in [
            (
                "getHistory",
                json!({ "roomId": "hot", "afterSeq": 0, "limit": 200 }),
                SEEDED + 1,
            ),
            (
                "joinRoom",
                json!({ "roomId": "cold", "limit": 200 }),
                SEEDED,
            ),
        ] {
            let answer = self.bob.call(event, payload).await;
            if readable {
                assert_ok(&answer);
                assert!(
                    answer["messages"].as_array().unwrap().len() >= messages,
                    "{answer}"
                );
            } else {
                assert_unavailable(&answer);
            }
        }
    }

    /// Checks that the log has every acked message once, without a gap.
    async fn assert_whole(&self) {
        let page = Page {
            after: Seq::ZERO,
            before: Seq::END,
            limit: 1_000_000,
            keep: Keep::Oldest,
        };
        let log = self
            .database
            .store()
            .await
            .read(&"hot".try_into().unwrap(), page)
            .await
            .unwrap();
        assert!(
            log.iter()
                .map(|message| message.seq.get())
                .eq(1..=log.len() as i64)
        );
        let stored: HashSet<_> = log.iter().map(|message| message.id.to_string()).collect();
        let lost: Vec<_> = self.acked.difference(&stored).collect();
        assert!(lost.is_empty(), "acked and not stored: {lost:?}");
        let names: HashSet<_> = log
            .iter()
            .filter_map(|message| message.client_message_id.as_ref())
            .collect();
        assert_eq!(SEEDED + names.len(), log.len(), "stored twice");
    }

    /// Runs the whole course: the fault begins; sends are refused in time; later ones wait, and are
    /// stored once the fault ends.
    async fn outlives(
        mut self,
        readable: bool,
        begin: impl AsyncFnOnce(),
        end: impl AsyncFnOnce(),
    ) {
        begin().await;
        self.assert_unavailable().await;
        self.assert_history(readable).await;
        self.emit(BURST).await;
        self.until_readiness(503).await;
        end().await;
        self.answers(BURST).await.iter().for_each(assert_ok);
        self.until_readiness(200).await;
        self.assert_history(true).await;
        self.assert_whole().await;
    }
}

/// Returns a long, incompressible text.
fn text() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(8000)
        .collect()
}

#[track_caller]
fn assert_ok(answer: &Value) {
    assert_eq!(answer["status"], "ok", "{answer}");
}

#[track_caller]
fn assert_unavailable(answer: &Value) {
    let error = &answer["error"];
    assert_eq!(
        (error["code"].as_str(), &error["retryable"]),
        (Some("UNAVAILABLE"), &json!(true)),
        "{answer}"
    );
}

/// Fills two rooms of the database with messages.
async fn seeded(database: Database) -> Database {
    for room in ["hot", "cold"] {
        log::append(&database, room, "seeder", &["hello"; SEEDED]).await;
    }
    database
}

fn file(database: &Database) -> PathBuf {
    database.url().strip_prefix("sqlite://").unwrap().into()
}

/// Returns the file of a database, and its companions.
fn files(database: &Database) -> Vec<PathBuf> {
    fs::read_dir(file(database).parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_outlive_an_outage_of_postgres() {
    let mut gate = Gate::shut_at_first();
    let database = seeded(Database::postgres().await).await.through(&gate);
    gate.open();
    let server = Server::on(database, &[SEND_TIMEOUT]).await;
    let trial = Trial::begin(server.address(), &server.database).await;
    let gate = Mutex::new(gate);
    trial
        .outlives(
            false,
            async || gate.lock().await.shut().await,
            async || gate.lock().await.open(),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_outlive_a_read_only_postgres() {
    let database = seeded(Database::postgres().await).await;
    let server = Server::on(database, &[SEND_TIMEOUT]).await;
    let trial = Trial::begin(server.address(), &server.database).await;
    let read_only = async |on| server.database.set_read_only(on).await;
    trial
        .outlives(
            true,
            async || read_only(true).await,
            async || read_only(false).await,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_outlive_a_full_disk_of_postgres() {
    let postgres = Postgres::start_with_small_files();
    let database = seeded(Database::on(&postgres)).await;
    let texts: Vec<_> = std::iter::repeat_with(text)
        .take(LARGE_TABLE_MESSAGES)
        .collect();
    log::append_old(
        &database,
        "large",
        texts.into_iter().map(|text| (0, "seeder", text)),
    )
    .await;
    let server = Server::on(database, &[SEND_TIMEOUT]).await;
    let trial = Trial::begin(server.address(), &server.database).await;
    let size = texts_size(&server.database).await;
    trial
        .outlives(
            true,
            async || postgres.fill_disk(size),
            async || postgres.free_disk(),
        )
        .await;
}

/// Returns the size of the file with the texts of long messages, in bytes.
async fn texts_size(database: &Database) -> u64 {
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let query =
        "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'messages'::regclass";
    let size: i64 = sqlx::query_scalar(query)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(
        size > 2 * 1024 * 1024,
        "larger than all other files, which may be written on: {size}"
    );
    size.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_outlive_a_lock_on_the_sqlite_file() {
    let database = seeded(Database::sqlite()).await;
    let server = Server::on(database, &[SEND_TIMEOUT]).await;
    let trial = Trial::begin(server.address(), &server.database).await;
    let other = Mutex::new(
        SqliteConnection::connect(server.database.url())
            .await
            .unwrap(),
    );
    let execute = async |sql| other.lock().await.execute(sql).await;
    let lock = async || drop(execute("BEGIN EXCLUSIVE").await);
    trial
        .outlives(true, lock, async || drop(execute("ROLLBACK").await))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_outlive_a_full_disk_of_sqlite() {
    let database = seeded(Database::sqlite()).await;
    let server = Process::on_small_disk(&database, &[SEND_TIMEOUT]).await;
    let trial = Trial::begin(server.address, &database).await;
    // Every commit goes to the end of the write-ahead log.
    let log_size = || {
        let files = files(&database);
        let log = files
            .iter()
            .find(|file| file.to_string_lossy().ends_with("-wal"));
        log.unwrap().metadata().unwrap().len()
    };
    trial
        .outlives(
            true,
            async || server.fill_disk(log_size()),
            async || server.free_disk(),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_a_read_only_postgres() {
    for database in [Database::empty_postgres().await, Database::postgres().await] {
        database.set_read_only(true).await;
        let server = Server::on_absent(database, &["--send-timeout-ms=100"]).await;
        let mut ann = server.raw("ann").await;
        ann.call("joinRoom", json!({ "roomId": "r" })).await;
        let refused = ann
            .call("sendMessage", json!({ "roomId": "r", "message": "hi" }))
            .await;
        assert_eq!(refused["status"], "error", "{refused}");
        assert_eq!(
            reqwest::get(format!("{}/readyz", server.url()))
                .await
                .unwrap()
                .status(),
            503
        );
        server.database.set_read_only(false).await;
        server.until_ready().await;
        assert_ok(&ann.call("joinRoom", json!({ "roomId": "r" })).await);
        assert_ok(
            &ann.call("sendMessage", json!({ "roomId": "r", "message": "hi" }))
                .await,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_read_only_postgres_fails_its_ping_until_writes_are_allowed() {
    let database = Database::postgres().await;
    let store = database.store().await;
    database.set_read_only(true).await;
    assert!(matches!(
        store.migrate().await,
        Err(MigrateError::Unavailable(_))
    ));
    assert!(matches!(
        store.ping().await,
        Err(StoreError::Unavailable(_))
    ));
    database.set_read_only(false).await;
    store.migrate().await.unwrap();
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_ended_by_postgres_is_replaced_unnoticed() {
    let database = Database::postgres().await;
    let store = database.store().await;
    store.ping().await.unwrap();
    let others = "pid <> pg_backend_pid() AND datname = current_database()";
    database
        .execute(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
        ))
        .await;
    tokio::time::sleep(IDLE_BEFORE_PING).await;
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_locked_sqlite_file_fails_its_ping_until_the_lock_is_released() {
    let database = Database::sqlite();
    let store = database.store().await;
    let mut other = SqliteConnection::connect(database.url()).await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    assert!(matches!(
        store.migrate().await,
        Err(MigrateError::Unavailable(_))
    ));
    assert!(matches!(
        store.ping().await,
        Err(StoreError::Unavailable(_))
    ));
    other.execute("ROLLBACK").await.unwrap();
    store.migrate().await.unwrap();
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_in_postgres_ends_the_start() {
    let database = Database::postgres().await;
    database
        .execute("ALTER TABLE messages RENAME TO elsewhere")
        .await;
    let store = parlor::store::open(database.url(), 2, Encryption::Optional).unwrap();
    let MigrateError::Failed(why) = store.migrate().await.unwrap_err() else {
        panic!("waits for what does not come")
    };
    assert!(why.contains("messages"), "{why}");
}

#[tokio::test]
async fn an_unwritable_sqlite_file_ends_the_start_and_is_named() {
    for (folder_mode, file_mode) in [
        (0o555, 0o444),
        (0o755, 0o444),
        (0o755, 0o000),
        (0o555, 0o644),
    ] {
        let database = seeded(Database::sqlite()).await;
        let (file, folder) = (
            file(&database),
            file(&database).parent().unwrap().to_owned(),
        );
        set_mode(&file, file_mode);
        set_mode(&folder, folder_mode);
        let mut command = Process::command_bound_by_modes();
        command.env("DATABASE_URL", database.url()).args([
            "--host=127.0.0.1",
            "--port=0",
            "--rust-log=off",
        ]);
        let ended = within_deadline("the server to end", command.output())
            .await
            .unwrap();
        set_mode(&folder, 0o755);
        let line = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(
            (ended.status.code(), line.lines().count()),
            (Some(1), 1),
            "{folder_mode:o} {file_mode:o}: {line}"
        );
        let beginning = format!("parlor: the database cannot be used: {}: ", file.display());
        assert!(line.starts_with(&beginning), "{line}");
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
