//! An SQLite file deleted or replaced under the server: it gets no more acks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use parlor::{
    model::Seq,
    store::{Keep, Page},
};
use serde_json::{Value, json};

use crate::support::{Database, Process, RawClient, Server, eventually};

const IMPATIENT: &str = "--send-timeout-ms=1500";

fn file(database: &Database) -> PathBuf {
    database.url().strip_prefix("sqlite://").unwrap().into()
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", file.display()).into()
}

async fn readiness(server: &Server) -> u16 {
    reqwest::get(format!("{}/readyz", server.url()))
        .await
        .unwrap()
        .status()
        .as_u16()
}

async fn send(client: &mut RawClient, name: &str) -> Value {
    client
        .call(
            "sendMessage",
            json!({ "roomId": "r", "message": name, "clientMessageId": name }),
        )
        .await
}

/// Starts a server on a file, and sends a message as a user.
async fn begin() -> (Server, RawClient) {
    let server = Server::on(Database::sqlite(), &[IMPATIENT]).await;
    let mut ann = server.raw("ann").await;
    assert_eq!(
        ann.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
    assert_eq!(send(&mut ann, "before").await["status"], "ok");
    (server, ann)
}

/// Asserts the refusal of sends and reads, and the report of it by `/readyz`.
async fn assert_refused(server: &Server, ann: &mut RawClient) {
    for answer in [send(ann, "meanwhile").await, send(ann, "meanwhile").await] {
        assert_eq!(answer["error"]["code"], "UNAVAILABLE", "{answer}");
    }
    let cold = ann.call("joinRoom", json!({ "roomId": "cold" })).await;
    assert_eq!(cold["error"]["code"], "UNAVAILABLE", "{cold}");
    eventually("/readyz to say so", async || readiness(server).await == 503).await;
}

async fn texts(database: &Database) -> Vec<String> {
    let page = Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit: 1000,
        keep: Keep::Oldest,
    };
    let log = database
        .store()
        .await
        .read(&"r".try_into().unwrap(), page)
        .await
        .unwrap();
    log.iter()
        .map(|message| message.body.as_str().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_moved_away_and_back_goes_on_where_it_was() {
    let (server, mut ann) = begin().await;
    let file = file(&server.database);
    let elsewhere = beside(&file, ".away");
    fs::rename(&file, &elsewhere).unwrap();
    assert_refused(&server, &mut ann).await;
    assert!(!file.exists(), "no empty one takes its place");
    fs::rename(&elsewhere, &file).unwrap();
    assert_eq!(send(&mut ann, "meanwhile").await["status"], "ok");
    server.until_ready().await;
    assert_eq!(
        ann.call("joinRoom", json!({ "roomId": "cold" })).await["status"],
        "ok"
    );
    assert_eq!(texts(&server.database).await, ["before", "meanwhile"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_deleted_takes_no_acks_and_a_backup_in_its_place_is_used_after_a_restart() {
    let (server, mut ann) = begin().await;
    let file = file(&server.database);
    let backup = beside(&file, ".backup");
    server
        .database
        .execute(&format!("VACUUM INTO '{}'", backup.display()))
        .await;
    for gone in ["", "-wal", "-shm"] {
        fs::remove_file(beside(&file, gone)).unwrap();
    }
    assert_refused(&server, &mut ann).await;
    fs::rename(&backup, &file).unwrap();
    assert_refused(&server, &mut ann).await;
    let (database, ended) = server.stop().await;
    ended.unwrap();
    assert_eq!(texts(&database).await, ["before"]);
    let again = Server::on(database, &[]).await;
    let mut ann = again.raw("ann").await;
    assert_eq!(
        ann.call("joinRoom", json!({ "roomId": "r" })).await["lastSeq"],
        1
    );
    assert_eq!(send(&mut ann, "after").await["message"]["seq"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_ahead_log_that_is_deleted_takes_no_acks() {
    let (server, mut ann) = begin().await;
    fs::remove_file(beside(&file(&server.database), "-wal")).unwrap();
    assert_refused(&server, &mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_for_another_one_to_migrate_stops_in_time() {
    let database = Database::sqlite();
    let lock = fs::File::create(beside(&file(&database), "-migrate.lock")).unwrap();
    lock.lock().unwrap();
    let waiting = Process::waiting(&database, &["--shutdown-timeout-ms=1000"]).await;
    waiting.signal(Signal::SIGTERM);
    let (status, log) = waiting.ended().await;
    assert!(status.success(), "{status}: {log}");
}
