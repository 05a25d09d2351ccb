//! The harness: throw-away databases, servers on free ports, clients. Every wait has a deadline.

pub mod client;
pub mod database;
pub mod faulty;
pub mod gate;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod server;

use std::{future::Future, time::Duration};

pub use self::{client::Client, database::Database, process::Process, raw::RawClient, server::Server};

/// How long anything that a test waits for may take; far more than it does on a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for `future`, and fails the test when that takes too long.
pub async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} for {what}"),
    }
}

/// Waits until `check` holds, asking again and again.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_deadline(what, asking).await;
}
