//! Service behind PgBouncer, in session and in transaction mode, with its defaults and with the
//! settings of common guides.

use std::collections::HashSet;

use futures_util::future::join_all;
use parlor::{
    model::Seq,
    store::{self, Encryption, Keep, MigrateError, Page},
};
use serde_json::json;
use sqlx::{Connection, PgConnection, Row};

use crate::support::{Database, FLOODED, Server, pgbouncer::PgBouncer};

/// The advice of many guides, by which clients' settings are dropped instead of refused.
const LENIENT: &str = "ignore_startup_parameters = extra_float_digits,options";

const CLIENTS: usize = 12;
const SENDS: usize = 40;

/// Lets many clients send, repeat and read at once. Every acked message is in the log once, and the
/// server starts again on this log.
async fn chats_behind(mode: &str, settings: &str) {
    // In session mode, each of the server's connections occupies one of the pooler's.
    let connections = if mode == "session" { 20 } else { 3 };
    let pooler = PgBouncer::start(
        mode,
        &format!("default_pool_size = {connections}\n{settings}"),
    );
    let server = Server::on(Database::empty_postgres().await.behind(&pooler), &[FLOODED]).await;
    let talks = (0..CLIENTS).map(|number| talk(&server, number));
    let acked: HashSet<String> = join_all(talks).await.into_iter().flatten().collect();
    assert_eq!(acked.len(), CLIENTS * SENDS);
    let (database, ended) = server.stop().await;
    ended.unwrap();
    let again = Server::on(database, &[]).await;
    for room in 0..3 {
        assert_eq!(
            again
                .raw("ann")
                .await
                .call("joinRoom", json!({ "roomId": room.to_string() }))
                .await["status"],
            "ok"
        );
    }
    let stored: Vec<_> = join_all((0..3).map(|room| ids(&again.database, room)))
        .await
        .concat();
    assert_eq!(stored.len(), acked.len());
    assert!(stored.iter().all(|id| acked.contains(id)));
}

/// Sends each message twice as one client, and reads; returns the ids of the messages.
async fn talk(server: &Server, number: usize) -> Vec<String> {
    let room = (number % 3).to_string();
    let mut client = server.raw(&format!("user {number}")).await;
    assert_eq!(
        client.call("joinRoom", json!({ "roomId": room })).await["status"],
        "ok"
    );
    let mut ids = vec![];
    for text in 0..SENDS {
        let send = json!({ "roomId": room, "message": text.to_string(), "clientMessageId": text.to_string() });
        let first = client.call("sendMessage", send.clone()).await;
        let again = client.call("sendMessage", send).await;
        let like =
            json!({ "roomId": room, "seq": first["message"]["seq"], "reaction": "x", "on": true });
        let liked = client.call("setReaction", like).await;
        assert_eq!(liked["changed"], true, "{liked}");
        assert_eq!(
            (first["status"].as_str(), &again["duplicate"]),
            (Some("ok"), &json!(true)),
            "{first} {again}"
        );
        assert_eq!(first["message"]["id"], again["message"]["id"]);
        ids.push(first["message"]["id"].as_str().unwrap().to_owned());
        let history = client
            .call(
                "getHistory",
                json!({ "roomId": room, "afterSeq": 0, "limit": 200 }),
            )
            .await;
        assert_eq!(history["status"], "ok", "{history}");
    }
    ids
}

async fn ids(database: &Database, room: usize) -> Vec<String> {
    let page = Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit: 100_000,
        keep: Keep::Oldest,
    };
    let room = room.to_string();
    let log = database
        .store()
        .await
        .read(&room.as_str().try_into().unwrap(), page)
        .await
        .unwrap();
    assert!(
        log.iter()
            .map(|message| message.seq.get())
            .eq(1..=log.len() as i64)
    );
    log.iter().map(|message| message.id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_session_mode() {
    chats_behind("session", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_transaction_mode() {
    chats_behind("transaction", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_session_mode_with_settings_dropped() {
    chats_behind("session", LENIENT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_transaction_mode_with_settings_dropped() {
    chats_behind("transaction", LENIENT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_leaves_nothing_behind_for_other_clients_of_the_pooler() {
    let pooler = PgBouncer::start("transaction", "default_pool_size = 1");
    let database = Database::postgres().await.behind(&pooler);
    let store = database.store().await;
    store.ping().await.unwrap();
    let mut other = PgConnection::connect_with(&options(database.url()))
        .await
        .unwrap();
    for (setting, default) in [
        ("lock_timeout", "0"),
        ("statement_timeout", "0"),
        ("enable_seqscan", "on"),
    ] {
        let row = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SHOW {setting}")))
            .fetch_one(&mut other)
            .await
            .unwrap();
        assert_eq!(row.get::<String, _>(0), default, "{setting}");
    }
    let prepared =
        sqlx::raw_sql("SELECT count(*)::text FROM pg_prepared_statements WHERE name <> ''");
    assert_eq!(
        prepared
            .fetch_one(&mut other)
            .await
            .unwrap()
            .get::<String, _>(0),
        "0"
    );
}

fn options(url: &str) -> sqlx::postgres::PgConnectOptions {
    url.parse::<sqlx::postgres::PgConnectOptions>()
        .unwrap()
        .extra_float_digits(None)
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_starting_together_migrate_one_after_another() {
    let pooler = PgBouncer::start("transaction", "");
    let database = Database::empty_postgres().await.behind(&pooler);
    let migrate = async |_| {
        let store = store::open(database.url(), 2, Encryption::Optional).unwrap();
        store.migrate().await
    };
    let results: Vec<Result<(), MigrateError>> = join_all((0..6).map(migrate)).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}
