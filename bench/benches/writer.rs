//! Counts the messages a second that the writer stores by itself, without sockets, from 100 rooms
//! with 5 senders each. The benchmark of the whole server is `parlor-bench`.
//!
//! `cargo bench --package parlor-bench --bench writer` runs it on a throw-away Postgres and on
//! SQLite; `-- postgres 5 10` on Postgres alone, in 5 runs of 10 seconds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parlor::{
    model::{Body, Draft},
    store::{self, Encryption},
    testing::writer::Writer,
};
use testkit::Postgres;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const ROOMS: usize = 100;
const SENDERS_PER_ROOM: usize = 5;
/// Sends that each sender keeps in flight.
const WINDOW: usize = 16;
const BODY_BYTES: usize = 100;
const WARM_UP: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let number = |place: usize, default| {
        arguments
            .get(place)
            .map_or(default, |text: &String| text.parse().unwrap())
    };
    let (runs, seconds) = (number(1, 3), number(2, 8));
    let kinds = arguments
        .first()
        .map_or(vec!["postgres", "sqlite"], |kind| vec![kind.as_str()]);
    println!(
        "{ROOMS} rooms x {SENDERS_PER_ROOM} senders, {WINDOW} sends under way each, bodies of {BODY_BYTES} bytes"
    );
    println!("{:10} {:>12}", "database", "commits/s");
    for kind in kinds {
        let mut results = Vec::new();
        for _ in 0..runs {
            results.push(run(kind, Duration::from_secs(seconds)).await);
        }
        results.sort_by(f64::total_cmp);
        println!("{kind:10} {:>12.0}", results[results.len() / 2]);
    }
}

/// A database for one run.
struct Database {
    url: String,
    _folder: tempfile::TempDir,
    _server: Option<Postgres>,
}

impl Database {
    fn new(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = (kind == "postgres").then(|| Postgres::start(&[]));
        let url = match &server {
            Some(server) => server.url("postgres"),
            None => format!("sqlite://{}/bench.db", folder.path().display()),
        };
        Self {
            url,
            _folder: folder,
            _server: server,
        }
    }
}

/// Measures the messages stored per second.
async fn run(kind: &str, time: Duration) -> f64 {
    let database = Database::new(kind);
    let store = store::open(&database.url, 8, Encryption::Optional).unwrap();
    store.migrate().await.unwrap();
    let stop = CancellationToken::new();
    let (writer, committing) = Writer::spawn(
        store,
        Duration::from_secs(60),
        Box::new(|_| {}),
        stop.clone(),
        Default::default(),
    );
    let stored = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    for number in 0..ROOMS * SENDERS_PER_ROOM * WINDOW {
        let (writer, stored) = (writer.clone(), stored.clone());
        senders.spawn(async move {
            for sent in 0_u64.. {
                let receipt = writer.enqueue(draft(number, sent)).unwrap();
                receipt.settled().await.unwrap();
                stored.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tokio::time::sleep(WARM_UP).await;
    let (begun, before) = (Instant::now(), stored.load(Ordering::Relaxed));
    tokio::time::sleep(time).await;
    let (elapsed, after) = (
        begun.elapsed().as_secs_f64(),
        stored.load(Ordering::Relaxed),
    );
    senders.shutdown().await;
    stop.cancel();
    committing.await.unwrap();
    (after - before) as f64 / elapsed
}

fn draft(number: usize, sent: u64) -> Draft {
    let sender = number % (ROOMS * SENDERS_PER_ROOM);
    let (room, user) = (format!("room-{}", sender % ROOMS), format!("user-{sender}"));
    let body = Body::parse(&"x".repeat(BODY_BYTES), BODY_BYTES).unwrap();
    let name = format!("{number}-{sent}").as_str().try_into().unwrap();
    Draft::new(
        room.as_str().try_into().unwrap(),
        user.as_str().try_into().unwrap(),
        None,
        body,
        Some(name),
    )
}
