//! `/readyz` under frequent requests while the database does not answer.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, Row, SqliteConnection};
use tokio::time::{Instant, sleep};

use crate::support::{Database, Server, within_deadline};

/// Asks five times a second, without waiting for the answers, and returns all statuses.
async fn ask_often(server: &Server, times: u32) -> Vec<u16> {
    let asking = (0..times).map(async |number| {
        sleep(Duration::from_millis(200) * number).await;
        reqwest::get(format!("{}/readyz", server.url()))
            .await
            .unwrap()
            .status()
            .as_u16()
    });
    within_deadline("the answers", join_all(asking)).await
}

/// Returns the most probing connections at once during `seen_for`.
async fn most_probing(database: &Database, seen_for: Duration) -> i64 {
    let mut session = PgConnection::connect(database.url()).await.unwrap();
    let (begun, mut most) = (Instant::now(), 0);
    let count =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO messages SELECT%' AND state <> 'idle'
        AND datname = current_database()";
    while begun.elapsed() < seen_for {
        most = most.max(
            sqlx::raw_sql(count)
                .fetch_one(&mut session)
                .await
                .unwrap()
                .get(0),
        );
        sleep(Duration::from_millis(20)).await;
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn while_a_table_is_locked_probes_share_one_connection_and_reads_go_on() {
    let server = Server::on(Database::postgres().await, &[]).await;
    let mut ann = server.raw("ann").await;
    let mut lock = PgConnection::connect(server.database.url()).await.unwrap();
    lock.execute("BEGIN; LOCK TABLE messages IN SHARE MODE")
        .await
        .unwrap();
    // The earlier answer counts for a while.
    sleep(Duration::from_secs(1)).await;
    let reading = async {
        for room in 0..20 {
            let joined = ann
                .call("joinRoom", json!({ "roomId": room.to_string() }))
                .await;
            assert_eq!(joined["status"], "ok", "{joined}");
            sleep(Duration::from_millis(200)).await;
        }
    };
    let watching = most_probing(&server.database, Duration::from_secs(4));
    let (statuses, most, ()) = tokio::join!(ask_often(&server, 20), watching, reading);
    assert_eq!(statuses, [503; 20]);
    assert_eq!(most, 1);
    lock.execute("ROLLBACK").await.unwrap();
    server.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn while_an_sqlite_file_is_locked_probes_fail_and_delay_no_send() {
    let server = Server::on(Database::sqlite(), &[]).await;
    let mut ann = server.raw("ann").await;
    assert_eq!(
        ann.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
    let mut lock = SqliteConnection::connect(server.database.url())
        .await
        .unwrap();
    lock.execute("BEGIN EXCLUSIVE").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(ask_often(&server, 10).await, [503; 10]);
    let id = ann
        .emit("sendMessage", &json!({ "roomId": "r", "message": "hi" }))
        .await;
    ann.flush().await;
    let unlock = async {
        sleep(Duration::from_millis(500)).await;
        lock.execute("ROLLBACK").await.unwrap();
        Instant::now()
    };
    let (unlocked, (_, answer)) = tokio::join!(unlock, ann.until_ack(id));
    assert_eq!(answer["status"], "ok", "{answer}");
    assert!(unlocked.elapsed() < Duration::from_secs(2));
    server.until_ready().await;
}
