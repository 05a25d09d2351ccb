//! Starting and stopping: before the database is up, while it is away, and under load.

use std::time::Duration;

use nix::sys::signal::Signal;
use parlor::{
    model::Seq,
    store::{Keep, Page},
};
use serde_json::{Value, json};

use crate::support::{
    Database, FLOODED, Process, RawClient, Server, eventually, gate::Gate, raw::Packet,
    within_deadline,
};

async fn status(server: &Server, path: &str) -> u16 {
    reqwest::get(format!("{}{path}", server.url()))
        .await
        .unwrap()
        .status()
        .as_u16()
}

async fn join(client: &mut RawClient, room: &str) -> Value {
    client.call("joinRoom", json!({ "roomId": room })).await
}

async fn send(client: &mut RawClient, room: &str, text: &str) -> Value {
    client
        .call("sendMessage", json!({ "roomId": room, "message": text }))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_starts_before_the_database_and_serves_once_it_is_up() {
    let mut gate = Gate::shut_at_first();
    let database = Database::empty_postgres().await.through(&gate);
    let server = Server::on_absent(database, &[]).await;
    assert_eq!(
        (
            status(&server, "/healthz").await,
            status(&server, "/readyz").await
        ),
        (200, 503)
    );
    let mut ann = server.raw("ann").await;
    let refused = join(&mut ann, "r").await;
    assert_eq!(
        (
            refused["error"]["code"].as_str(),
            refused["error"]["retryable"].as_bool()
        ),
        (Some("UNAVAILABLE"), Some(true))
    );
    gate.open();
    server.until_ready().await;
    assert_eq!(join(&mut ann, "r").await["status"], "ok");
    assert_eq!(send(&mut ann, "r", "hello").await["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_sends_wait_and_only_rooms_in_memory_answer() {
    let mut gate = Gate::shut_at_first();
    let database = Database::postgres().await.through(&gate);
    gate.open();
    let server = Server::on(database, &[]).await;
    let [mut ann, mut bob] = [server.raw("ann").await, server.raw("bob").await];
    join(&mut ann, "hot").await;
    send(&mut ann, "hot", "before").await;
    gate.shut().await;
    ann.emit(
        "sendMessage",
        &json!({ "roomId": "hot", "message": "meanwhile" }),
    )
    .await;
    ann.flush().await;
    let hot = join(&mut bob, "hot").await;
    assert_eq!(
        (hot["status"].as_str(), hot["lastSeq"].as_i64()),
        (Some("ok"), Some(1))
    );
    assert_eq!(join(&mut bob, "cold").await["error"]["code"], "UNAVAILABLE");
    eventually("the last good answer to be too old", async || {
        status(&server, "/readyz").await == 503
    })
    .await;
    gate.open();
    let answer = loop {
        if let Packet::Ack(_, answer) = ann.packet().await {
            break answer;
        }
    };
    assert_eq!(
        (answer["status"].as_str(), answer["message"]["seq"].as_i64()),
        (Some("ok"), Some(2))
    );
    server.until_ready().await;
    assert_eq!(join(&mut bob, "cold").await["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_not_stored_in_time_is_unavailable() {
    let mut gate = Gate::shut_at_first();
    let database = Database::postgres().await.through(&gate);
    gate.open();
    let server = Server::on(database, &["--send-timeout-ms=200"]).await;
    let mut ann = server.raw("ann").await;
    join(&mut ann, "r").await;
    gate.shut().await;
    let answer = send(&mut ann, "r", "hello").await;
    assert_eq!(
        (
            answer["error"]["code"].as_str(),
            answer["error"]["retryable"].as_bool()
        ),
        (Some("UNAVAILABLE"), Some(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_loses_no_ack_tells_the_clients_and_exits_with_0() {
    for database in Database::each_kind().await {
        let process = Process::with(&database, &[FLOODED]).await;
        let address = process.address;
        let loads = (0..4)
            .map(|_| tokio::spawn(send_until_closed(address)))
            .collect::<Vec<_>>();
        let mut watcher = RawClient::connect(address, "watcher").await;
        join(&mut watcher, "r").await;
        while !matches!(watcher.packet().await, Packet::Event(name, message) if name == "newMessage" && message["seq"] == 500)
        {
        }
        process.signal(Signal::SIGTERM);
        let (status, log) = process.ended().await;
        assert!(status.success(), "{status}: {log}");
        assert!(
            log.contains("\"stopped\"") && !log.contains("WARN"),
            "{log}"
        );
        let mut acked = Vec::new();
        for load in loads {
            acked.extend(within_deadline("a client to be told", load).await.unwrap());
        }
        assert!(acked.len() >= 400, "{}", acked.len());
        assert_stored(&database, &acked).await;
        let again = Process::start(&database).await;
        let mut ann = RawClient::connect(again.address, "ann").await;
        assert_eq!(join(&mut ann, "r").await["status"], "ok");
        again.signal(Signal::SIGINT);
        assert!(again.ended().await.0.success());
    }
}

/// Keeps sends in flight until the server closes the connection, and returns the ids of the acked
/// messages.
async fn send_until_closed(address: std::net::SocketAddr) -> Vec<String> {
    let mut client = RawClient::connect(address, "ann").await;
    join(&mut client, "r").await;
    let message = json!({ "roomId": "r", "message": "hi" });
    for _ in 0..50 {
        client.emit("sendMessage", &message).await;
    }
    client.flush().await;
    let mut acked = Vec::new();
    loop {
        match client.packet().await {
            Packet::Ack(_, answer) if answer["status"] == "ok" => {
                acked.push(answer["message"]["id"].as_str().unwrap().to_owned());
                if client.try_emit("sendMessage", &message).await.is_err() {
                    return acked;
                }
            }
            Packet::Ack(_, answer) => {
                assert_eq!(answer["error"]["code"], "UNAVAILABLE", "{answer}")
            }
            Packet::Event(..) => {}
            Packet::Other(frame) => {
                assert_eq!(frame, "", "the connection ends without a word");
                return acked;
            }
        }
    }
}

async fn assert_stored(database: &Database, acked: &[String]) {
    let page = Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit: 1_000_000,
        keep: Keep::Oldest,
    };
    let log = database
        .store()
        .await
        .read(&"r".try_into().unwrap(), page)
        .await
        .unwrap();
    assert!(
        log.iter()
            .map(|message| message.seq.get())
            .eq(1..=log.len() as i64)
    );
    let stored: std::collections::HashSet<_> =
        log.iter().map(|message| message.id.to_string()).collect();
    let lost: Vec<_> = acked.iter().filter(|id| !stored.contains(*id)).collect();
    assert!(lost.is_empty(), "acked but not stored: {lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_stops_in_time_while_the_database_is_away() {
    let mut gate = Gate::shut_at_first();
    let database = Database::postgres().await.through(&gate);
    gate.open();
    let server = Server::on(database, &["--shutdown-timeout-ms=1000"]).await;
    let mut ann = server.raw("ann").await;
    join(&mut ann, "r").await;
    gate.shut().await;
    ann.emit("sendMessage", &json!({ "roomId": "r", "message": "hi" }))
        .await;
    ann.flush().await;
    let stopping = tokio::time::timeout(Duration::from_secs(10), server.stop());
    assert!(
        stopping
            .await
            .expect("far less than the send's timeout")
            .1
            .is_ok()
    );
}
