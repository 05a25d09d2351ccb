//! Checks that the server gives back all that it takes. Clients of all kinds come, join, leave,
//! send, break off, stall and come again, with rests in between. At every rest, tasks, file
//! descriptors and active rooms must be as many as at the first one, and memory must not grow from
//! rest to rest.
//!
//! `cargo bench --package parlor-bench --bench soak` runs 200 clients at once for 10 minutes of
//! load; `-- 2 50` runs 50 for 2 minutes. Linux only, as it reads the server's resources from
//! `/proc`.

mod client;
mod life;
mod server;

use std::{env, fmt::Display, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use fastrand::Rng;
use parlor::testing::rates::SWEEP_INTERVAL;
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use self::{
    life::{Counts, Worker},
    server::{Counted, Holdings, Parlor},
};

const WARM_UP: Duration = Duration::from_secs(60);
/// The number of rests after the first one.
const CYCLES: u32 = 5;
/// The time between two lines of output under load.
const LINE: Duration = Duration::from_secs(60);
/// The server is at rest when nothing has changed for this long: none of its timers is longer.
const QUIET: Duration = Duration::from_secs(50);
/// The longest time until everything is given back.
const MAX_REST: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(500);
/// The memory, in kB, by which the last rest may exceed the second. Only caches move the heap.
/// Resident memory includes up to 8 MB of fragments, and each of SQLite's 8 connections fills a
/// cache of 2 MB (<https://www.sqlite.org/pragma.html#pragma_cache_size>).
const HEAP_MARGIN: f64 = 512.0;
const RESIDENT_MARGIN: f64 = 24.0 * 1024.0;

/// The columns of a line, after the time.
const COLUMNS: [&str; 12] = [
    "clients",
    "rooms",
    "tasks",
    "files",
    "heap/kB",
    "RSS/kB",
    "sent",
    "received",
    "cuts",
    "reconnects",
    "overflows",
    "errors",
];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if arguments.iter().any(|argument| argument == server::SERVE) {
        server::serve().unwrap();
        return ExitCode::SUCCESS;
    }
    let number = |place: usize, default| {
        arguments
            .get(place)
            .map_or(default, |text: &String| text.parse().unwrap())
    };
    let faults = soak(LINE.mul_f64(number(0, 10.0)), number(1, 200.0) as usize);
    for fault in &faults {
        println!("NOT GIVEN BACK: {fault}");
    }
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs the soak, and returns the list of leaks.
#[tokio::main]
async fn soak(time: Duration, clients: usize) -> Vec<String> {
    let mut soak = Soak::start(clients).await;
    soak.load(WARM_UP).await;
    let first = soak.first_rest().await;
    let mut rests = vec![];
    for _ in 0..CYCLES {
        soak.load(time / CYCLES).await;
        rests.push(soak.rest(&first).await);
        if rests.iter().any(|rest| rest.counted != first.counted) {
            break;
        }
    }
    soak.print_errors();
    faults(&first, &rests)
}

/// A server and its clients.
struct Soak {
    parlor: Parlor,
    _database: TempDir,
    server: SocketAddr,
    clients: usize,
    /// Workers so far.
    workers: u64,
    counts: Arc<Counts>,
    begun: Instant,
}

impl Soak {
    async fn start(clients: usize) -> Self {
        let database = tempfile::tempdir().unwrap();
        let parlor = Parlor::start(database.path()).await;
        let server = parlor.address();
        life::fill_long_room(server).await.unwrap();
        println!("{:>6}{}", "time", row(COLUMNS));
        Self {
            parlor,
            _database: database,
            server,
            clients,
            workers: 0,
            counts: Arc::default(),
            begun: Instant::now(),
        }
    }

    /// Runs clients for some time, then drops all of them at once.
    async fn load(&mut self, time: Duration) {
        let mut workers = JoinSet::new();
        for _ in 0..self.clients {
            self.workers += 1;
            let random = Rng::with_seed(self.workers);
            workers.spawn(
                Worker {
                    server: self.server,
                    random,
                    counts: self.counts.clone(),
                }
                .run(),
            );
        }
        let end = Instant::now() + time;
        while Instant::now() < end {
            sleep_until(end.min(Instant::now() + LINE)).await;
            self.print("").await;
        }
        workers.shutdown().await;
    }

    /// Waits until nothing changes any more.
    async fn first_rest(&mut self) -> Holdings {
        let end = Instant::now() + MAX_REST;
        let (mut last, mut since) = (self.holdings().await, Instant::now());
        while since.elapsed() < QUIET && Instant::now() < end {
            sleep(POLL).await;
            let now = self.holdings().await;
            if now.counted != last.counted {
                since = Instant::now();
            }
            last = now;
        }
        self.print("first rest").await;
        last
    }

    /// Waits until the server holds no more than at the first rest, or for [`MAX_REST`].
    async fn rest(&mut self, first: &Holdings) -> Holdings {
        self.settle(first).await;
        // The server sweeps its rate limiters only when, after a while, somebody uses them again.
        sleep(SWEEP_INTERVAL).await;
        life::visit(self.server).await.unwrap();
        self.settle(first).await;
        self.print("rest").await
    }

    async fn settle(&mut self, first: &Holdings) {
        let end = Instant::now() + MAX_REST;
        while self.holdings().await.counted != first.counted && Instant::now() < end {
            sleep(POLL).await;
        }
    }

    async fn holdings(&mut self) -> Holdings {
        Holdings::measure(&mut self.parlor).await
    }

    async fn print(&mut self, what: &str) -> Holdings {
        let held = self.holdings().await;
        let Counted {
            rooms,
            tasks,
            descriptors,
        } = held.counted;
        let [clients, sent, received, cuts, reconnects, overflows] = self.counts.numbers();
        let [rooms, tasks, descriptors] = [rooms, tasks, descriptors].map(|count| count as u64);
        let [heap, resident] = [held.heap, held.resident].map(|kilobytes| kilobytes.round() as u64);
        let errors = self.counts.errors.lock().unwrap().values().sum();
        let cells = [
            clients,
            rooms,
            tasks,
            descriptors,
            heap,
            resident,
            sent,
            received,
            cuts,
            reconnects,
            overflows,
            errors,
        ];
        println!(
            "{:>5}s{} {what}",
            self.begun.elapsed().as_secs(),
            row(cells)
        );
        held
    }

    fn print_errors(&self) {
        for (error, times) in &*self.counts.errors.lock().unwrap() {
            println!("{times} times: {error}");
        }
    }
}

fn row(cells: [impl Display; COLUMNS.len()]) -> String {
    cells.iter().map(|cell| format!("{cell:>11}")).collect()
}

/// Lists all that was not given back.
fn faults(first: &Holdings, rests: &[Holdings]) -> Vec<String> {
    let mut faults = vec![];
    if first.counted.rooms > 0 {
        faults.push(format!("{} rooms at the first rest", first.counted.rooms));
    }
    for rest in rests.iter().filter(|rest| rest.counted != first.counted) {
        faults.push(format!("{:?} instead of {:?}", rest.counted, first.counted));
    }
    if let [_, second, .., last] = rests {
        for (what, grown, margin) in [
            ("heap", last.heap - second.heap, HEAP_MARGIN),
            ("resident", last.resident - second.resident, RESIDENT_MARGIN),
        ] {
            println!(
                "{what} memory grew by {grown:.0} kB from the second rest to the last; {margin:.0} are allowed"
            );
            if grown > margin {
                faults.push(format!("{what} memory: {grown:.0} kB"));
            }
        }
    }
    faults
}
