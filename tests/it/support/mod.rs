//! The harness: throw-away databases, servers on free ports, clients. Every wait has a deadline.

pub mod client;
pub mod database;
pub mod engine;
pub mod faulty;
pub mod gate;
pub mod http;
pub mod log;
pub mod nginx;
pub mod node;
pub mod pgbouncer;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod relay;
pub mod server;

use std::{
    future::Future,
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

pub use self::{
    client::Client, database::Database, process::Process, raw::RawClient, server::Server,
};

/// How long anything that a test waits for may take; far more than it does on a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The setting of a server that is sent more than a user may send otherwise.
pub const FLOODED: &str = "--messages-per-second=0";

/// What to do when a program that the tests start is not there.
pub const HOW_TO_GET_TOOLS: &str = "run `make test`, which installs what the tests need";

/// A free port, to be taken a little later; not one of those that systems hand out, lest somebody
/// gets it meanwhile.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 8_000) as u16;
    let candidates =
        std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed)).take(1_000);
    let mut free =
        candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.next().expect("a free port")
}

/// What a message on its way to clients says.
pub fn said(message: &parlor::model::EncodedMessage) -> String {
    let message: serde_json::Value = serde_json::from_str(message.json()).unwrap();
    message["message"].as_str().unwrap().to_owned()
}

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
