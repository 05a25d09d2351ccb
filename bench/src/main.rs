//! `make bench`: Parlor beside a Node server, workload by workload.

use std::{env, net::Ipv4Addr, path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use parlor::testing::net::BACKLOG;
use parlor_bench::{
    lab::{Lab, Size},
    lower_bound,
    report::{self, About, Outcome},
    server::{Contestant, Programs},
    unpersisted,
    workload::{self, Workload},
};
use tokio::net::TcpSocket;

/// Measures Parlor beside a Node server with the same job
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    server: Option<BuiltIn>,

    /// Runs of each server, in turn
    #[arg(long, default_value_t = 3)]
    runs: usize,

    /// Length of each measurement, in seconds
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,

    /// Factor for the numbers of clients, rooms and stored messages
    #[arg(long, default_value_t = 1.0)]
    scale: f64,

    /// Workloads to run, separated by commas; all by default
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,

    /// Servers to run, separated by commas; all by default
    #[arg(long, value_delimiter = ',')]
    servers: Vec<Contestant>,

    /// Parlor's program; by default the one beside this program
    #[arg(long)]
    parlor: Option<PathBuf>,

    /// Folder for RESULTS.md and results.svg; without it, results are only printed. With --only,
    /// the chosen workloads' parts of RESULTS.md are replaced, and nothing else
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Servers built into this program.
#[derive(Debug, Clone, Copy, Subcommand)]
enum BuiltIn {
    /// Serve as Parlor, and store nothing
    Unpersisted,
    /// Serve with little more than the system calls
    LowerBound,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.server {
        Some(BuiltIn::Unpersisted) => unpersisted::serve().await,
        Some(BuiltIn::LowerBound) => serve_lower_bound().await,
        None => measure(&arguments).await,
    }
}

async fn serve_lower_bound() -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!(
        "{}",
        serde_json::json!({ "address": listener.local_addr()? })
    );
    Ok(lower_bound::serve(listener).await?)
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let size = Size {
        time: Duration::from_secs_f64(arguments.seconds),
        scale: arguments.scale,
    };
    let lab = Lab::open(programs(arguments)?, size);
    let about = About::ask(&lab, arguments.runs).await?;
    println!("{about}");
    let mut outcomes = Vec::new();
    for mut workload in chosen(&arguments.only)? {
        let outcome = run(&lab, workload.as_mut(), arguments).await?;
        println!("{}", outcome.table());
        outcomes.push(outcome);
        if let Some(folder) = &arguments.output {
            if arguments.only.is_empty() {
                report::write(folder, &about, &outcomes)?;
            } else {
                report::replace(folder, &about, &outcomes)?;
            }
        }
    }
    Ok(())
}

/// Runs every server of a workload, in turn.
async fn run(
    lab: &Lab,
    workload: &mut dyn Workload,
    arguments: &Arguments,
) -> anyhow::Result<Outcome> {
    workload.prepare(lab).await?;
    let servers = &arguments.servers;
    let is_chosen = |one: &Contestant| servers.is_empty() || servers.contains(one);
    let contestants: Vec<_> = workload
        .contestants()
        .iter()
        .copied()
        .filter(is_chosen)
        .collect();
    let mut outcome = Outcome::new(workload.key(), workload.title(lab), &contestants);
    println!("{}: {}", workload.key(), workload.title(lab));
    for number in 1..=workload.runs(arguments.runs) {
        for contestant in &contestants {
            let mut run = lab.start(*contestant).await?;
            let figures = workload.run(lab, &mut run).await;
            let figures = figures
                .with_context(|| format!("{} with {}", workload.key(), contestant.name()))?;
            run.end().await?;
            println!(
                "  run {number}, {}: {:.2} {}",
                contestant.name(),
                figures[0].value,
                figures[0].name
            );
            outcome.push(*contestant, figures);
        }
    }
    Ok(outcome)
}

fn chosen(only: &[String]) -> anyhow::Result<Vec<Box<dyn Workload>>> {
    let all = workload::all();
    let unknown = only
        .iter()
        .find(|key| all.iter().all(|workload| workload.key() != **key));
    ensure!(unknown.is_none(), "there is no workload {unknown:?}");
    let is_chosen = |key: &str| only.is_empty() || only.iter().any(|one| one == key);
    Ok(all
        .into_iter()
        .filter(|workload| is_chosen(workload.key()))
        .collect())
}

fn programs(arguments: &Arguments) -> anyhow::Result<Programs> {
    let bench = env::current_exe()?;
    let parlor = arguments
        .parlor
        .clone()
        .unwrap_or_else(|| bench.with_file_name("parlor"));
    ensure!(
        parlor.exists(),
        "{} is missing: build it, or name it by --parlor",
        parlor.display()
    );
    Ok(Programs {
        parlor,
        bench,
        peer: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peer"),
    })
}
