//! The results, as tables.

use std::{
    fmt::{self, Display, Formatter, Write},
    fs,
    path::Path,
    process::Command,
};

use anyhow::Context;
use chrono::Local;
use procfs::{CpuInfo, Current, LoadAverage, Meminfo};

use crate::{
    lab::Lab,
    plot,
    server::Contestant,
    workload::{Better, Figure},
};

/// The figures of one workload, by contestant and run.
#[derive(Debug)]
pub struct Outcome {
    key: &'static str,
    title: String,
    contestants: Vec<Contestant>,
    runs: Vec<(Contestant, Vec<Figure>)>,
}

impl Outcome {
    /// Returns an outcome without any figures yet.
    pub fn new(key: &'static str, title: String, contestants: &[Contestant]) -> Self {
        Self {
            key,
            title,
            contestants: contestants.to_vec(),
            runs: Vec::new(),
        }
    }

    /// Adds the figures of a run.
    pub fn push(&mut self, contestant: Contestant, figures: Vec<Figure>) {
        self.runs.push((contestant, figures));
    }

    /// Returns the workload's first ratio, by which this project's server is better than the peer.
    pub fn headline(&self) -> Option<(String, f64)> {
        let figure = &self.runs.first()?.1.first()?;
        Some((
            format!("{}: {}", self.key, figure.name),
            self.ratio(figure)?,
        ))
    }

    /// Returns the factor by which Parlor's figure is better than the best peer's.
    fn ratio(&self, figure: &Figure) -> Option<f64> {
        let ours = self.median(Contestant::Parlor, &figure.name)?;
        let peers = self.contestants.iter().filter(|one| one.is_peer());
        let theirs = peers.filter_map(|one| self.median(*one, &figure.name));
        match figure.better? {
            Better::Higher => Some(ours / theirs.max_by(f64::total_cmp)?),
            Better::Lower => Some(theirs.min_by(f64::total_cmp)? / ours),
        }
    }

    /// Returns the median of a contestant's runs.
    fn median(&self, contestant: Contestant, name: &str) -> Option<f64> {
        let of_contestant = self.runs.iter().filter(|(one, _)| *one == contestant);
        let named = of_contestant
            .flat_map(|(_, figures)| figures)
            .filter(|figure| figure.name == name);
        let mut values: Vec<_> = named.map(|figure| figure.value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// Formats a part of the results, with a remark above the table.
    fn part(&self, remark: &str) -> String {
        let Self { key, title, .. } = self;
        format!("\n## {key}\n\n{title}.\n\n{remark}{}", self.table())
    }

    /// Formats a table in Markdown.
    pub fn table(&self) -> String {
        let names: Vec<_> = self
            .contestants
            .iter()
            .map(|contestant| contestant.name())
            .collect();
        let mut table = format!("| {} | {} | better by |\n", self.key, names.join(" | "));
        table += &format!("| --- |{} ---: |\n", " ---: |".repeat(names.len()));
        for figure in self
            .runs
            .first()
            .into_iter()
            .flat_map(|(_, figures)| figures)
        {
            let values = self
                .contestants
                .iter()
                .map(|contestant| self.median(*contestant, &figure.name));
            let values: Vec<_> = values
                .map(|value| value.map_or_else(String::new, number))
                .collect();
            let ratio = self
                .ratio(figure)
                .map_or_else(String::new, |ratio| format!("{ratio:.2}×"));
            writeln!(
                table,
                "| {} | {} | {ratio} |",
                figure.name,
                values.join(" | ")
            )
            .expect("a String takes every write");
        }
        table
    }
}

/// Writes `RESULTS.md` and `results.svg` into a folder.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(folder: &Path, about: &About, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let mut text =
        format!("{INTRODUCTION}\n{about}\n![The factors between Parlor and Node](results.svg)\n");
    for outcome in outcomes {
        text += &outcome.part("");
    }
    fs::write(folder.join("RESULTS.md"), text)?;
    let headlines: Vec<_> = outcomes.iter().filter_map(Outcome::headline).collect();
    plot::bars(&folder.join("results.svg"), &headlines)
}

/// Replaces the parts of some workloads in a folder's `RESULTS.md`. Each says when and how it was
/// measured. The chart stays as it is.
///
/// # Errors
///
/// When the file cannot be read or written.
pub fn replace(folder: &Path, about: &About, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let file = folder.join("RESULTS.md");
    let mut text = fs::read_to_string(&file).unwrap_or_else(|_| INTRODUCTION.to_owned());
    for outcome in outcomes {
        let part = outcome.part(&format!("Measured by itself:\n\n{about}\n"));
        let heading = format!("\n## {}\n", outcome.key);
        let start = text.find(&heading).unwrap_or(text.len());
        let next = text[start..].char_indices().skip(1);
        let mut ends = next.filter(|(place, _)| text[start + place..].starts_with("\n## "));
        let end = ends.next().map_or(text.len(), |(place, _)| start + place);
        text.replace_range(start..end, &part);
    }
    Ok(fs::write(file, text)?)
}

const INTRODUCTION: &str = "# Results

Written by `make bench`; [README.md](README.md) explains the workloads. Figures are medians. \"Better by\" is the factor between
Parlor and Node, the better one where there are several, above 1 where Parlor is better.
";

/// The machine and the programs of a benchmark.
#[derive(Debug)]
pub struct About(Vec<(&'static str, String)>);

impl About {
    /// Asks the machine and the programs for their versions.
    ///
    /// # Errors
    ///
    /// When one of them does not answer.
    pub async fn ask(lab: &Lab, runs: usize) -> anyhow::Result<Self> {
        let socket_io = fs::read(
            lab.programs
                .peer
                .join("node_modules/socket.io/package.json"),
        )?;
        let socket_io: serde_json::Value = serde_json::from_slice(&socket_io)?;
        let socket_io = socket_io["version"].as_str().unwrap_or("unknown");
        let seconds = lab.size.time.as_secs_f64();
        Ok(Self(vec![
            ("date", Local::now().format("%Y-%m-%d").to_string()),
            ("machine", machine()?),
            ("Parlor", said("git", &["describe", "--always", "--dirty"])?),
            ("Rust", said("rustc", &["--version"])?),
            (
                "Node",
                format!("{}, socket.io {socket_io}", said("node", &["--version"])?),
            ),
            ("load average before", load_average()?),
            ("Postgres", lab.postgres_version().await?),
            (
                "runs",
                format!(
                    "{runs} of each server in turn, {seconds} s each, scale {}",
                    lab.size.scale
                ),
            ),
        ]))
    }
}

impl Display for About {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(name, value)| writeln!(f, "- {name}: {value}"))
    }
}

/// Returns the system's load average over a minute: other programs disturb the figures.
fn load_average() -> anyhow::Result<String> {
    Ok(LoadAverage::current()?.one.to_string())
}

fn machine() -> anyhow::Result<String> {
    let processors = CpuInfo::current()?;
    let model = processors.model_name(0).unwrap_or("unknown processor");
    let gibibytes = Meminfo::current()?.mem_total as f64 / f64::from(1 << 30);
    let system = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{} x {model}, {gibibytes:.0} GiB, Linux {}",
        processors.num_cores(),
        system.trim()
    ))
}

/// Returns the first line of a command's output.
fn said(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| program.to_owned())?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .next()
        .unwrap_or("unknown")
        .to_owned())
}

/// Formats a number with three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => thousands(value.round() as u64),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(value: u64) -> String {
    match (value / 1000, value % 1000) {
        (0, rest) => rest.to_string(),
        (more, rest) => format!("{},{rest:03}", thousands(more)),
    }
}
