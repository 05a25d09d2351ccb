//! The server, as a process that also reports its resources.

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use clap::Parser;
use parlor::{
    App, Config,
    testing::{room::Rooms, telemetry},
};
use peak_alloc::PeakAlloc;
use testkit::process::{Announcement, Log, Process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    runtime::{Handle, RuntimeMetrics},
    sync::oneshot,
};

use crate::cluster::Database;

/// The system's allocator, with a count of the bytes in use.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The flag that makes this program the server.
pub const SERVE: &str = "--serve";

/// Short timeouts, so that they end something often.
const FLAGS: [&str; 8] = [
    SERVE,
    "--rust-log=error,parlor::app=info,parlor::soak=info",
    "--ping-interval-ms=4000",
    "--ping-timeout-ms=4000",
    "--tcp-user-timeout-ms=4000",
    "--presence-grace-ms=2000",
    "--send-queue-packets=64",
    // Few enough that all of a Postgres's connections are open from the first load on.
    "--database-max-connections=2",
];

/// This program once more, as the server.
pub struct Parlor {
    process: Process,
    /// The folder of its database, whose files do not count.
    folder: Option<PathBuf>,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Parlor {
    /// Starts the server on a database, and waits until it is ready.
    pub async fn start(database: &Database) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--port=0", "--host=127.0.0.1", "--log-format=json"])
            .args(FLAGS)
            .env("DATABASE_URL", database.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let spawning = Process::spawn(command, Announcement::Ready, Log::PassOn);
        let mut process = spawning.await.unwrap();
        let (questions, answers) = process.take_pipes().unwrap();
        Self {
            process,
            folder: database.folder().map(Path::to_owned),
            questions,
            answers: BufReader::new(answers).lines(),
        }
    }

    /// Stops the server as SIGTERM does, and waits for its end.
    pub async fn stop(self) {
        drop(self.questions);
        let (status, _) = self.process.ended().await;
        assert!(status.success(), "{status}");
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// Writes a line to the process, and reads its answer.
    async fn ask(&mut self) -> String {
        self.questions.write_all(b"\n").await.unwrap();
        self.answers.next_line().await.unwrap().unwrap()
    }

    /// Returns the resident memory, in kB.
    fn resident_kilobytes(&self) -> f64 {
        let process = procfs::process::Process::new(self.process.id() as i32).unwrap();
        process.status().unwrap().vmrss.unwrap() as f64
    }

    /// Counts the open files and connections, without those of SQLite, whose pool closes and opens
    /// them again.
    fn descriptors(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap();
        // A descriptor closed meanwhile has no target.
        let targets = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let of_database = |target: &PathBuf| {
            self.folder
                .as_ref()
                .is_some_and(|folder| target.starts_with(folder))
        };
        targets.filter(|target| !of_database(target)).count()
    }
}

/// A server's resources.
#[derive(Debug, Clone, Copy)]
pub struct Holdings {
    pub counted: Counted,
    /// Allocated memory, in kB, without SQLite's own.
    pub heap: f64,
    /// Resident memory, in kB.
    pub resident: f64,
}

/// The resources that must return to their first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub tasks: usize,
    pub rooms: usize,
    pub descriptors: usize,
}

impl Holdings {
    pub async fn measure(parlor: &mut Parlor) -> Self {
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
    let app = App::bind(&config, App::open_store(&config)?)?;
    tracing::info!(target: "parlor::soak", address = %app.local_addr()?, "listening");
    let ended = answer(app.rooms().clone(), Handle::current().metrics());
    app.serve_until(async { drop(ended.await) }).await
}

/// Answers every line of standard input with this process's resources, and signals its end.
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
