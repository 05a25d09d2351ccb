//! The view of administrators: the overview of the API, and the page at `/admin`.

mod actions;
mod overview;
mod page;

use serde_json::Value;

use crate::{
    api::{Backend, WITH_KEY},
    support::{Database, Server, eventually},
};

/// Starts a server with an administrator.
async fn server_on(database: Database, flags: &[&str]) -> (Server, Backend) {
    let server = Server::on(database, &[&[WITH_KEY], flags].concat()).await;
    let admin = Backend::of(&server);
    (server, admin)
}

/// Returns the overview.
async fn overview(admin: &Backend) -> Value {
    let answer = admin.get("/overview", &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// Waits for an overview, and returns it.
async fn until(admin: &Backend, what: &str, is_there: impl Fn(&Value) -> bool) -> Value {
    let mut found = Value::Null;
    eventually(what, async || {
        found = overview(admin).await;
        is_there(&found)
    })
    .await;
    found
}
