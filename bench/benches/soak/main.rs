//! Checks that the server gives back all that it takes. Clients of all kinds come, join, leave,
//! send, break off, stall and come again, with rests in between. At every rest, tasks, file
//! descriptors and active rooms must be as many as at the first one, and memory must not grow from
//! rest to rest.
//!
//! `cargo bench --package parlor-bench --bench soak` runs 200 clients at once for 10 minutes of
//! load; `-- 2 50` runs 50 for 2 minutes. `-- 10 200 3` runs them on three servers of one Postgres,
//! each of which is restarted once under load. Linux only, as it reads the servers' resources from
//! `/proc`.

mod client;
mod cluster;
mod counts;
mod life;
mod server;

use std::{env, fmt::Display, process::ExitCode, sync::Arc, time::Duration};

use parlor::testing::rates::SWEEP_INTERVAL;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use self::{
    cluster::Cluster,
    counts::Counts,
    life::Worker,
    server::{Counted, Holdings},
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
    let time = LINE.mul_f64(number(0, 10.0));
    let [clients, servers] = [number(1, 200.0), number(2, 1.0)].map(|count| count as usize);
    let faults = soak(time, clients, servers);
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
async fn soak(time: Duration, clients: usize, servers: usize) -> Vec<String> {
    let mut soak = Soak::start(clients, servers).await;
    soak.load(WARM_UP).await;
    let first = soak.first_rest().await;
    let mut rests = vec![];
    for cycle in 0..CYCLES {
        if cycle == 0 && servers > 1 {
            soak.load_and_restart(time / CYCLES).await;
        } else {
            soak.load(time / CYCLES).await;
        }
        rests.push(soak.rest(&first).await);
        if rests.iter().any(|rest| counted(rest) != counted(&first)) {
            break;
        }
    }
    soak.print_errors();
    let mut faults = faults(&first, &rests);
    faults.extend(soak.fault_of_listing().await);
    faults
}

/// Servers and their clients.
struct Soak {
    cluster: Cluster,
    clients: usize,
    /// Workers so far.
    workers: u64,
    counts: Arc<Counts>,
    begun: Instant,
}

impl Soak {
    async fn start(clients: usize, servers: usize) -> Self {
        let cluster = Cluster::start(servers).await;
        life::fill_long_room(cluster.addresses()[0]).await.unwrap();
        println!("{:>6}{}", "time", row(COLUMNS));
        Self {
            cluster,
            clients,
            workers: 0,
            counts: Arc::default(),
            begun: Instant::now(),
        }
    }

    /// Runs clients for some time, then drops all of them at once.
    async fn load(&mut self, time: Duration) {
        let mut workers = self.spawn_workers();
        self.pass(time).await;
        workers.shutdown().await;
    }

    /// The same, with a restart of one server after another.
    async fn load_and_restart(&mut self, time: Duration) {
        let mut workers = self.spawn_workers();
        let servers = self.cluster.addresses().len();
        for place in 0..servers {
            self.pass(time / (servers + 1) as u32).await;
            self.cluster.restart(place).await;
        }
        self.pass(time / (servers + 1) as u32).await;
        workers.shutdown().await;
    }

    fn spawn_workers(&mut self) -> JoinSet<()> {
        let mut workers = JoinSet::new();
        for _ in 0..self.clients {
            self.workers += 1;
            let servers = self.cluster.published.clone();
            workers.spawn(Worker::new(servers, self.workers, self.counts.clone()).run());
        }
        workers
    }

    /// Lets time pass, with lines of output.
    async fn pass(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            sleep_until(end.min(Instant::now() + LINE)).await;
            self.print("").await;
        }
    }

    /// Waits until nothing changes any more.
    async fn first_rest(&mut self) -> Vec<Holdings> {
        let end = Instant::now() + MAX_REST;
        let (mut last, mut since) = (self.cluster.holdings().await, Instant::now());
        while since.elapsed() < QUIET && Instant::now() < end {
            sleep(POLL).await;
            let now = self.cluster.holdings().await;
            if counted(&now) != counted(&last) {
                since = Instant::now();
            }
            last = now;
        }
        self.print("first rest").await;
        last
    }

    /// Waits until the servers hold no more than at the first rest, or for [`MAX_REST`].
    async fn rest(&mut self, first: &[Holdings]) -> Vec<Holdings> {
        self.settle(first).await;
        // A server sweeps its rate limiters only when, after a while, somebody uses them again.
        sleep(SWEEP_INTERVAL).await;
        for server in self.cluster.addresses() {
            life::visit(server).await.unwrap();
        }
        self.settle(first).await;
        self.print("rest").await
    }

    async fn settle(&mut self, first: &[Holdings]) {
        let end = Instant::now() + MAX_REST;
        while counted(&self.cluster.holdings().await) != counted(first) && Instant::now() < end {
            sleep(POLL).await;
        }
    }

    /// Prints a line for each server.
    async fn print(&mut self, what: &str) -> Vec<Holdings> {
        let held = self.cluster.holdings().await;
        for held in &held {
            self.print_line(held, what);
        }
        held
    }

    fn print_line(&self, held: &Holdings, what: &str) {
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
    }

    fn print_errors(&self) {
        for (error, times) in &*self.counts.errors.lock().unwrap() {
            println!("{times} times: {error}");
        }
    }

    /// Compares the servers and rosters in the database with those that there should be. The last
    /// rosters are written a moment after their rooms have ended.
    async fn fault_of_listing(&self) -> Option<String> {
        let expected = (self.cluster.addresses().len() as i64, 0);
        let end = Instant::now() + MAX_REST;
        let mut listed = self.cluster.listed().await?;
        while listed != expected && Instant::now() < end {
            sleep(POLL).await;
            listed = self.cluster.listed().await?;
        }
        (listed != expected).then(|| {
            format!("{listed:?} servers and rosters in the database instead of {expected:?}")
        })
    }
}

fn row(cells: [impl Display; COLUMNS.len()]) -> String {
    cells.iter().map(|cell| format!("{cell:>11}")).collect()
}

fn counted(holdings: &[Holdings]) -> Vec<Counted> {
    holdings.iter().map(|held| held.counted).collect()
}

/// Lists all that was not given back.
fn faults(first: &[Holdings], rests: &[Vec<Holdings>]) -> Vec<String> {
    let mut faults = vec![];
    for (place, first) in first.iter().enumerate() {
        let rests: Vec<_> = rests.iter().map(|rest| rest[place]).collect();
        let of_server = server_faults(first, &rests);
        faults.extend(of_server.map(|fault| format!("server {place}: {fault}")));
    }
    faults
}

/// Lists all that one server has not given back. A restarted one is at its second rest as the
/// others are.
fn server_faults(first: &Holdings, rests: &[Holdings]) -> impl Iterator<Item = String> + use<> {
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
    faults.into_iter()
}
