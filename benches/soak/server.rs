//! The server, in a process that also tells what it holds.

use std::{env, io, path::Path};

use clap::Parser;
use parlor::{
    app::{self, App},
    config::Config,
    room::Rooms,
    telemetry,
};
use peak_alloc::PeakAlloc;
use tokio::{
    runtime::{Handle, RuntimeMetrics},
    sync::oneshot,
};

use crate::support::Parlor;

/// The system's allocator, with a count of what it has given out.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The flag by which this program knows that it is to be the server.
pub const SERVE: &str = "--serve";

/// Time is short here, so that what ends by a timeout does so often.
const FLAGS: [&str; 7] = [
    SERVE,
    "--rust-log=error,parlor::app=info,parlor::soak=info",
    "--ping-interval-ms=4000",
    "--ping-timeout-ms=4000",
    "--tcp-user-timeout-ms=4000",
    "--presence-grace-ms=2000",
    "--send-queue-packets=64",
];

/// Starts this program again, as the server, with its database in a folder.
pub fn start(database: &Path) -> Parlor {
    let program = env::current_exe().unwrap();
    Parlor::start(
        program.to_str().unwrap(),
        &format!("sqlite://{}/bench.db", database.display()),
        &FLAGS,
    )
}

/// What a server holds.
#[derive(Debug, Clone, Copy)]
pub struct Holdings {
    pub counted: Counted,
    /// What has been allocated and not been given back, in kB; SQLite's own is not in it.
    pub heap: f64,
    /// Resident memory, in kB.
    pub resident: f64,
}

/// What must be as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub tasks: usize,
    pub rooms: usize,
    pub descriptors: usize,
}

impl Holdings {
    pub fn of(parlor: &mut Parlor, database: &Path) -> Self {
        let answer = parlor.ask();
        let mut numbers = answer
            .split_whitespace()
            .map(|number| number.parse::<usize>().unwrap());
        let [tasks, rooms, heap] = [(); 3].map(|()| numbers.next().unwrap());
        let counted = Counted {
            tasks,
            rooms,
            descriptors: parlor.descriptors(database),
        };
        Self {
            counted,
            heap: heap as f64 / 1024.0,
            resident: parlor.resident_kilobytes(),
        }
    }
}

/// Serves as the server's own program does, until standard input ends.
#[tokio::main]
pub async fn serve() -> anyhow::Result<()> {
    let config = Config::try_parse_from(env::args().filter(|argument| argument != SERVE))?;
    telemetry::start(config.rust_log.clone(), config.log_format)?;
    let app = App::bind(&config, app::store(&config)?)?;
    tracing::info!(target: "parlor::soak", address = %app.local_addr()?, "listening");
    let ended = answer(app.rooms().clone(), Handle::current().metrics());
    app.serve_until(async { drop(ended.await) }).await
}

/// Answers every line of standard input with what this process holds; gives word of its end.
fn answer(rooms: Rooms, runtime: RuntimeMetrics) -> oneshot::Receiver<()> {
    let (end, ended) = oneshot::channel();
    std::thread::spawn(move || {
        for _ in io::stdin().lines() {
            println!(
                "{} {} {}",
                runtime.num_alive_tasks(),
                rooms.count(),
                HEAP.current_usage()
            );
        }
        drop(end);
    });
    ended
}
