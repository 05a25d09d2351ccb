//! Figures after known traffic.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::{
    api::{Backend, WITH_KEY},
    support::{
        Client, Database, FLOODED, RawClient, Server,
        engine::{Endpoint, Polling},
        eventually,
        figures::{SCRAPED, Since},
        gate::Gate,
        http::HttpConnection,
        log, within_deadline,
    },
};

async fn since(server: &Server) -> Since {
    Since::now(server.metrics_address()).await
}

async fn on_each_kind() -> [Server; 2] {
    Server::on_each_kind_with(&[SCRAPED]).await
}

fn message(text: &str) -> Value {
    json!({ "roomId": "r", "message": text })
}

fn at(seq: i64) -> Value {
    json!({ "roomId": "r", "seq": seq })
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_are_counted_by_their_results() {
    for server in on_each_kind().await {
        let ann = server.client("ann").await;
        ann.join("r").await;
        let since = since(&server).await;
        for number in 0..5 {
            ann.send("r", &format!("message {number}")).await;
        }
        let mut repeated = message("again");
        repeated["clientMessageId"] = "1".into();
        for _ in 0..3 {
            ann.ok("sendMessage", repeated.clone()).await;
        }
        let refused = [
            (message(" "), "INVALID_PAYLOAD"),
            (json!({ "roomId": 1 }), "INVALID_PAYLOAD"),
            (message(&"x".repeat(10_000)), "MESSAGE_TOO_LARGE"),
            (json!({ "roomId": "other", "message": "hi" }), "NOT_IN_ROOM"),
        ];
        for (payload, code) in refused {
            assert_eq!(ann.refused("sendMessage", payload).await, code);
        }
        assert_eq!(ann.refused("noSuchEvent", json!({})).await, "UNKNOWN_EVENT");
        since
            .until(&[
                (r#"parlor_sends_total{result="ok"}"#, 6.0),
                (r#"parlor_sends_total{result="duplicate"}"#, 2.0),
                (r#"parlor_sends_total{result="INVALID_PAYLOAD"}"#, 2.0),
                (r#"parlor_sends_total{result="MESSAGE_TOO_LARGE"}"#, 1.0),
                (r#"parlor_sends_total{result="NOT_IN_ROOM"}"#, 1.0),
                (r#"parlor_refusals_total{code="INVALID_PAYLOAD"}"#, 2.0),
                (r#"parlor_refusals_total{code="MESSAGE_TOO_LARGE"}"#, 1.0),
                (r#"parlor_refusals_total{code="NOT_IN_ROOM"}"#, 1.0),
                (r#"parlor_refusals_total{code="UNKNOWN_EVENT"}"#, 1.0),
                ("parlor_batch_entries_sum", 8.0),
                ("parlor_commit_failures_total", 0.0),
            ])
            .await;
        let batches = since.grown("parlor_batch_entries_count").await;
        assert!((1.0..=8.0).contains(&batches), "{batches}");
        assert_eq!(
            since.grown("parlor_commit_duration_seconds_count").await,
            batches
        );
        assert!(since.grown("parlor_commit_duration_seconds_sum").await > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_beyond_the_rate_are_refused_sends() {
    let flags = [SCRAPED, "--messages-per-second=1", "--message-burst=1"];
    let server = Server::on(Database::sqlite(), &flags).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    ann.send("r", "the burst").await;
    assert_eq!(
        ann.refused("sendMessage", message("too soon")).await,
        "RATE_LIMITED"
    );
    let figures = server.figures().await;
    assert_eq!(
        figures.get(r#"parlor_sends_total{result="RATE_LIMITED"}"#),
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_counts_once_and_its_deliveries_once_for_each_client_in_the_room() {
    let server = Server::on(Database::sqlite(), &[SCRAPED]).await;
    let [ann, bob, tab] = [
        server.client("ann").await,
        server.client("bob").await,
        server.client("bob").await,
    ];
    for client in [&ann, &bob, &tab] {
        client.join("r").await;
    }
    // The last packet of presence has come to all.
    eventually("presence to be told", async || {
        ann.next("presence").await["memberCount"] == 2
    })
    .await;
    let since = since(&server).await;
    for number in 0..4 {
        ann.send("r", &format!("message {number}")).await;
    }
    since
        .until(&[
            ("parlor_packets_total", 4.0),
            ("parlor_deliveries_total", 12.0),
        ])
        .await;
    let figures = server.figures().await;
    assert_eq!(figures.get("parlor_members"), 2.0);
    assert_eq!(figures.get("parlor_clients"), 3.0);
    assert_eq!(figures.get("parlor_rooms"), 1.0);
    for client in [ann, bob, tab] {
        client.disconnect().await;
    }
    eventually("everybody to be gone", async || {
        let figures = server.figures().await;
        ["parlor_members", "parlor_clients", "parlor_rooms"].map(|series| figures.get(series))
            == [0.0; 3]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_are_answered_from_memory_or_from_the_database() {
    for server in on_each_kind().await {
        let texts: Vec<_> = (0..300).map(|number| format!("message {number}")).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        log::append(&server.database, "r", "ann", &texts).await;
        let since = since(&server).await;
        let first = server.client("ann").await;
        first.join("r").await;
        since
            .until(&[(r#"parlor_joins_total{source="database"}"#, 1.0)])
            .await;
        server.client("bob").await.join("r").await;
        since
            .until(&[
                (r#"parlor_joins_total{source="memory"}"#, 1.0),
                (r#"parlor_joins_total{source="database"}"#, 1.0),
            ])
            .await;
        // More than the room's memory holds.
        let long_away = json!({ "roomId": "r", "lastSeq": 1, "limit": 200 });
        let (reads, away) = (
            "parlor_log_read_duration_seconds_count",
            server.client("eve").await,
        );
        let before = since.grown(reads).await;
        log::append(&server.database, "r", "ann", &texts[..1]).await;
        away.ok("joinRoom", long_away).await;
        first
            .ok(
                "getHistory",
                json!({ "roomId": "r", "beforeSeq": 50, "limit": 10 }),
            )
            .await;
        assert!(since.grown(reads).await > before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_counted_by_kind_and_repeats_are_none() {
    for server in on_each_kind().await {
        let ann = server.client("ann").await;
        ann.join("r").await;
        for number in 0..2 {
            ann.send("r", &format!("message {number}")).await;
        }
        let since = since(&server).await;
        let mut edit = message("better");
        edit["seq"] = 1.into();
        let mut react = at(1);
        react["reaction"] = "👍".into();
        react["on"] = true.into();
        for _ in 0..2 {
            ann.ok("setReaction", react.clone()).await;
        }
        ann.ok("editMessage", edit).await;
        for _ in 0..2 {
            ann.ok("deleteMessage", at(2)).await;
        }
        assert_eq!(ann.refused("deleteMessage", at(9)).await, "NOT_FOUND");
        let created = json!({ "roomId": "new", "title": "A room" });
        ann.ok("createRoom", created).await;
        since
            .until(&[
                (r#"parlor_changes_total{kind="edit"}"#, 1.0),
                (r#"parlor_changes_total{kind="delete"}"#, 1.0),
                (r#"parlor_changes_total{kind="reaction"}"#, 1.0),
                (r#"parlor_changes_total{kind="pin"}"#, 0.0),
                (r#"parlor_changes_total{kind="room"}"#, 1.0),
                (r#"parlor_refusals_total{code="NOT_FOUND"}"#, 1.0),
            ])
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_read_marks_are_counted() {
    for server in on_each_kind().await {
        let (ann, bob, eve) = (
            server.client("ann").await,
            server.client("bob").await,
            server.client("eve").await,
        );
        for client in [&ann, &bob, &eve] {
            client.join("r").await;
        }
        ann.send("r", "hello").await;
        // The mark of the first message's author.
        eventually("the author's mark", async || {
            server.figures().await.get("parlor_receipts_flushed_total") == 1.0
        })
        .await;
        // Both ride in the next statement.
        tokio::join!(bob.ok("markRead", at(1)), eve.ok("markRead", at(1)));
        let figures = server.figures().await;
        assert_eq!(figures.get("parlor_receipts_flushed_total"), 3.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_counted_by_transport_from_their_start_to_their_end() {
    let server = Server::on(Database::sqlite(), &[SCRAPED, "--presence-grace-ms=0"]).await;
    let sessions = async || {
        let figures = server.figures().await;
        ["websocket", "polling"]
            .map(|one| figures.get(&format!(r#"parlor_sessions{{transport="{one}"}}"#)))
    };
    let endpoint = Endpoint {
        address: server.address(),
        path: parlor::testing::realtime::PATH,
        version: 4,
        http: reqwest::Client::new(),
    };
    let session = Polling::open(&endpoint).await;
    session.post("40{\"userId\":\"ann\"}").await;
    assert!(session.poll().await.1.starts_with("40"));
    let other = server.raw("bob").await;
    assert_eq!(sessions().await, [1.0, 1.0]);
    let mut upgraded = session.websocket().await;
    upgraded.send("2probe").await;
    assert_eq!(upgraded.text().await, "3probe");
    upgraded.send("5").await;
    eventually("the upgrade", async || sessions().await == [2.0, 0.0]).await;
    assert_eq!(server.figures().await.get("parlor_clients"), 2.0);
    drop((upgraded, other));
    eventually("the ends", async || sessions().await == [0.0, 0.0]).await;
    let left = Polling::open(&endpoint).await;
    left.post("40{\"userId\":\"ann\"}").await;
    assert_eq!(sessions().await, [0.0, 1.0]);
    left.post("1").await;
    eventually("the end", async || sessions().await == [0.0, 0.0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_clients_are_counted_by_code() {
    let secret = "--jwt-secret=a secret of at least 32 bytes, for tests";
    let server = Server::on(Database::sqlite(), &[SCRAPED, secret]).await;
    for auth in ["", r#"{"token":"nonsense"}"#, r#"{"token":1}"#] {
        assert!(RawClient::attempt(server.address(), auth).await.is_err());
    }
    let figures = server.figures().await;
    let connects = |result| figures.get(&format!("parlor_connects_total{{result=\"{result}\"}}"));
    assert_eq!(connects("UNAUTHORIZED"), 2.0);
    assert_eq!(connects("INVALID_PAYLOAD"), 1.0);
    assert_eq!(connects("ok"), 0.0);
    assert_eq!(figures.get("parlor_clients"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_beyond_the_rate_of_its_address_is_counted_as_refused() {
    let flags = [SCRAPED, "--connects-per-second=1", "--connect-burst=1"];
    let server = Server::on(Database::sqlite(), &flags).await;
    let handshake = format!("{}/socket.io/?EIO=4&transport=polling", server.url());
    for status in [200, 429] {
        let answer = within_deadline("an answer", reqwest::get(&handshake)).await;
        assert_eq!(answer.unwrap().status(), status);
    }
    let figures = server.figures().await;
    assert_eq!(figures.get("parlor_refused_sessions_total"), 1.0);
    assert_eq!(figures.get("parlor_refused_connections_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_slot_is_counted_as_refused() {
    let server = Server::on(Database::sqlite(), &[SCRAPED, "--max-connections=1"]).await;
    // The connection of the wait for the start may still be ending.
    let taking = async {
        loop {
            let mut only = HttpConnection::open(server.address()).await;
            if only.ask("/healthz", "").await == Some(200) {
                return only;
            }
        }
    };
    let _only = within_deadline("the only slot", taking).await;
    let before = since(&server).await;
    HttpConnection::open(server.address()).await.ended().await;
    before
        .until(&[("parlor_refused_connections_total", 1.0)])
        .await;
    let figures = server.figures().await;
    assert_eq!(figures.get("parlor_connections"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_rooms_and_failed_attempts_show_while_sends_wait() {
    let mut gate = Gate::shut_at_first();
    gate.open();
    let direct = Database::postgres().await;
    let server = Server::on(direct.shared().through(&gate), &[SCRAPED]).await;
    let mut ann = server.raw("ann").await;
    ann.call("joinRoom", json!({ "roomId": "r" })).await;
    ann.call("sendMessage", message("first")).await;
    let since = since(&server).await;

    let mut session = PgConnection::connect(direct.url()).await.unwrap();
    let mut lock = session.begin().await.unwrap();
    let locked = "SELECT FROM rooms WHERE room_id = 'r' FOR UPDATE";
    sqlx::query(locked).execute(&mut *lock).await.unwrap();
    let waiting = ann
        .emit("sendMessage", &message("waits for the lock"))
        .await;
    ann.flush().await;
    let parked = async || server.figures().await.get("parlor_parked_rooms");
    eventually("the room to be parked", async || parked().await == 1.0).await;
    lock.rollback().await.unwrap();
    ann.until_ack(waiting).await;
    eventually("no parked room", async || parked().await == 0.0).await;
    assert_eq!(since.grown("parlor_commit_failures_total").await, 0.0);

    gate.shut().await;
    let waiting = ann
        .emit("sendMessage", &message("waits for the database"))
        .await;
    ann.flush().await;
    eventually("a failed attempt", async || {
        since.grown("parlor_commit_failures_total").await >= 1.0
    })
    .await;
    let figures = server.figures().await;
    assert_eq!(figures.get("parlor_storing"), 0.0);
    assert!(figures.get("parlor_queue_bytes") > 0.0);
    gate.open();
    let (_, sent) = ann.until_ack(waiting).await;
    assert_eq!(sent["status"], "ok", "{sent}");
    let figures = server.figures().await;
    assert_eq!(figures.get("parlor_storing"), 1.0);
    assert_eq!(figures.get("parlor_queue_entries"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_reader_is_counted_once() {
    let flags = [
        SCRAPED,
        FLOODED,
        "--send-queue-packets=64",
        "--tcp-user-timeout-ms=0",
        "--presence-grace-ms=0",
    ];
    let server = Server::on(Database::sqlite(), &flags).await;
    let mut slow = server.raw("slow").await;
    let mut ann = server.raw("ann").await;
    for client in [&mut slow, &mut ann] {
        client.call("joinRoom", json!({ "roomId": "r" })).await;
    }
    let text = "x".repeat(8_000);
    let cut = async || server.figures().await.get("parlor_cut_clients_total");
    // More than kernels buffer for a connection whose peer does not read.
    for _ in 0..1_000 {
        ann.call("sendMessage", message(&text)).await;
    }
    eventually("the slow reader to be gone", async || {
        server.figures().await.get("parlor_members") == 1.0
    })
    .await;
    ann.call("sendMessage", message(&text)).await;
    assert_eq!(cut().await, 1.0);
}

/// Waits until a server's bus has heard itself.
async fn until_up(server: &Server) {
    eventually("the bus", async || {
        server.figures().await.get("parlor_bus_up") == 1.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_between_servers_are_counted_on_both_sides() {
    let database = Database::postgres().await;
    let other = Server::on(database.shared(), &[SCRAPED]).await;
    let one = Server::on(database, &[SCRAPED]).await;
    for server in [&one, &other] {
        until_up(server).await;
    }
    let (ann, bob) = (one.client("ann").await, other.client("bob").await);
    ann.join("r").await;
    bob.join("r").await;
    let (here, there) = (since(&one).await, since(&other).await);
    for number in 0..5 {
        ann.send("r", &format!("message {number}")).await;
        bob.next("newMessage").await;
    }
    ann.ok("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    bob.next("typing").await;
    let sent = here.grown(r#"parlor_bus_sent_total{kind="report"}"#).await;
    assert!(sent >= 5.0, "{sent}");
    let heard = there
        .grown(r#"parlor_bus_heard_total{kind="report"}"#)
        .await;
    assert!(heard >= 5.0, "{heard}");
    let signals = there
        .grown(r#"parlor_bus_heard_total{kind="signal"}"#)
        .await;
    assert!(signals >= 1.0, "{signals}");
    assert!(here.grown("parlor_bus_echo_duration_seconds_count").await >= 1.0);
    let figures = other.figures().await;
    assert_eq!(figures.get(r#"parlor_bus_info{mode="postgres"}"#), 1.0);
    assert_eq!(figures.get("parlor_bus_missed_total"), 0.0);
    assert_eq!(figures.get("parlor_bus_dropped_signals_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_report_is_missed_and_what_a_sweep_finds_is_a_repair() {
    let database = Database::postgres().await;
    let server = Server::on(database, &[SCRAPED]).await;
    until_up(&server).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    // Written by nobody who reports it.
    log::append(&server.database, "r", "bob", &["unreported"]).await;
    ann.next("newMessage").await;
    let figures = server.figures().await;
    assert!(figures.get("parlor_sweep_repairs_total") >= 1.0);
    assert!(figures.get("parlor_sweeps_total") >= 1.0);
    let since = since(&server).await;
    let lost = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query = 'SELECT 1') \
        AND pid <> pg_backend_pid()";
    server.database.execute(lost).await;
    eventually("the loss", async || {
        since.grown("parlor_bus_missed_total").await >= 1.0
    })
    .await;
    until_up(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_bus_says_so() {
    let server = Server::on(Database::sqlite(), &[SCRAPED]).await;
    let figures = server.figures().await;
    assert_eq!(figures.get(r#"parlor_bus_info{mode="none"}"#), 1.0);
    assert!(!figures.text.contains("parlor_bus_up"));
    let client: Client = server.client("ann").await;
    client.join("r").await;
    assert_eq!(server.figures().await.get("parlor_members"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_backends_are_counted_by_their_statuses() {
    let server = Server::on(Database::sqlite(), &[SCRAPED, WITH_KEY]).await;
    let (backend, since) = (Backend::of(&server), since(&server).await);
    let mut send = message("hello");
    send["userId"] = "system".into();
    send["clientMessageId"] = "1".into();
    for status in [201, 200] {
        let sent = backend.write("POST", "/messages", send.clone()).await;
        assert_eq!(sent.status, status);
    }
    backend
        .write("POST", "/messages", message("nobody's"))
        .await;
    backend.get("/nothing", &[]).await;
    Backend::with(&server, "no key").get("/messages", &[]).await;
    since
        .until(&[
            (r#"parlor_api_requests_total{status="201"}"#, 1.0),
            (r#"parlor_api_requests_total{status="200"}"#, 1.0),
            (r#"parlor_api_requests_total{status="400"}"#, 1.0),
            (r#"parlor_api_requests_total{status="401"}"#, 1.0),
            (r#"parlor_api_requests_total{status="404"}"#, 1.0),
            (r#"parlor_sends_total{result="ok"}"#, 1.0),
            (r#"parlor_sends_total{result="duplicate"}"#, 1.0),
            (r#"parlor_sends_total{result="INVALID_PAYLOAD"}"#, 1.0),
        ])
        .await;
}
