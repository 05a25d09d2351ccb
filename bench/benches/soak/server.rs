//! The server, in a process that also tells what it holds.

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use clap::Parser;
use parlor::{
    app::{self, App},
    config::Config,
    room::Rooms,
    telemetry,
};
use peak_alloc::PeakAlloc;
use testkit::process::{Announcement, Log, Process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    runtime::{Handle, RuntimeMetrics},
    sync::oneshot,
};

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

/// This program once more, as the server.
pub struct Parlor {
    process: Process,
    /// Its database's folder.
    database: PathBuf,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Parlor {
    /// Starts it with its database in a folder, and waits until it is ready.
    pub async fn start(database: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--port=0", "--host=127.0.0.1", "--log-format=json"])
            .args(FLAGS)
            .env(
                "DATABASE_URL",
                format!("sqlite://{}/bench.db", database.display()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let spawning = Process::spawn(command, Announcement::Ready, Log::PassOn);
        let mut process = spawning.await.unwrap();
        let (questions, answers) = process.take_pipes().unwrap();
        Self {
            process,
            database: database.to_owned(),
            questions,
            answers: BufReader::new(answers).lines(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// Writes a line to the process, and reads the line that it answers.
    async fn ask(&mut self) -> String {
        self.questions.write_all(b"\n").await.unwrap();
        self.answers.next_line().await.unwrap().unwrap()
    }

    /// Resident memory, in kB.
    fn resident_kilobytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many files it has open, connections among them; without the database's, which its pool
    /// closes and opens again.
    fn descriptors(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap();
        // One that is closed meanwhile leads nowhere.
        let targets = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        targets
            .filter(|target| !target.starts_with(&self.database))
            .count()
    }
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
    pub async fn of(parlor: &mut Parlor) -> Self {
        let answer = parlor.ask().await;
        let mut numbers = answer
            .split_whitespace()
            .map(|number| number.parse::<usize>().unwrap());
        let [tasks, rooms, heap] = [(); 3].map(|()| numbers.next().unwrap());
        let counted = Counted {
            tasks,
            rooms,
            descriptors: parlor.descriptors(),
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
