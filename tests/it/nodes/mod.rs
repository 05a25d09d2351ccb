//! Several servers on one Postgres.

mod bus;
mod delivery;
pub mod engine;
pub mod lossy;
mod presence;
mod redis;
mod redis_rosters;
mod rosters;
mod watcher;

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{Database, FLOODED, RawClient, Server, eventually};

/// Listeners: their last statement is either of these.
const LISTENERS: &str =
    r#"query LIKE 'LISTEN%' OR (application_name = 'parlor' AND query = 'SELECT 1')"#;

/// Starts servers on one database; the first one owns it.
async fn servers(database: Database, count: usize, flags: &[&str]) -> Vec<Server> {
    let flags = [&[FLOODED], flags].concat();
    let shared: Vec<_> = (1..count).map(|_| database.shared()).collect();
    let mut servers = vec![Server::on(database, &flags).await];
    for database in shared {
        servers.push(Server::on(database, &flags).await);
    }
    servers
}

/// Joins a room as a new client.
async fn member(server: &Server, user: &str, room: &str) -> RawClient {
    let mut client = server.raw(user).await;
    let joined = client.call("joinRoom", json!({ "roomId": room })).await;
    assert_eq!(joined["status"], "ok", "{joined}");
    client
}

async fn send(client: &mut RawClient, room: &str, text: &str) {
    let message = json!({ "roomId": room, "message": text });
    let sent = client.call("sendMessage", message).await;
    assert_eq!(sent["status"], "ok", "{sent}");
}

/// Returns the answer of a ready server.
async fn readiness(server: &Server) -> String {
    let answer = reqwest::get(format!("{}/readyz", server.url()))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// Waits until a server's bus is well.
pub async fn until_well(server: &Server) {
    eventually("the bus to be well", async || {
        readiness(server).await == "ready\nbus: ok\n"
    })
    .await;
}

/// Ends the connections of all listeners on a database, and returns their number.
async fn kill_listeners(connection: &mut PgConnection) -> i64 {
    let kill = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND ({LISTENERS})"
    );
    sqlx::query_scalar(AssertSqlSafe(kill))
        .fetch_one(connection)
        .await
        .unwrap()
}

pub async fn connect(database: &Database) -> PgConnection {
    PgConnection::connect(database.url()).await.unwrap()
}
