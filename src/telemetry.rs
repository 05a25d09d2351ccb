//! Log lines, to standard error.

use std::io::{IsTerminal, stderr};

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    prelude::*,
    util::TryInitError,
};

/// Crates that log what clients send, tokens too, at finer levels than this.
const CAPPED: [(&str, LevelFilter); 3] = [
    ("engineioxide", LevelFilter::INFO),
    ("socketioxide", LevelFilter::INFO),
    ("tungstenite", LevelFilter::INFO),
];

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging what `filter` lets through.
///
/// Errors when logging has been started before.
pub fn start(filter: Targets, format: LogFormat) -> Result<(), TryInitError> {
    let lines = fmt::layer()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(capped(&filter));
    match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
}

/// The same filter, but for the crates of [`CAPPED`].
///
/// One filter, as of two the one that lets more through decides what is worked out before it is
/// thrown away: `tungstenite` traces every frame (2% of the server's time in `bench/`, workload
/// `persist`).
fn capped(filter: &Targets) -> Targets {
    let is_capped = |target: &str| CAPPED.iter().any(|(name, _)| target.starts_with(name));
    let others = filter
        .clone()
        .into_iter()
        .filter(|(target, _)| !is_capped(target));
    let caps = CAPPED.map(|(name, cap)| (name.to_owned(), level(filter, name).min(cap)));
    let default = filter.default_level().unwrap_or(LevelFilter::OFF);
    Targets::new()
        .with_default(default)
        .with_targets(others.chain(caps))
}

/// The finest level at which a filter lets a crate log.
fn level(filter: &Targets, name: &str) -> LevelFilter {
    let levels = [
        Level::TRACE,
        Level::DEBUG,
        Level::INFO,
        Level::WARN,
        Level::ERROR,
    ];
    levels
        .into_iter()
        .find(|level| filter.would_enable(name, level))
        .map_or(LevelFilter::OFF, LevelFilter::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_logs_what_clients_send_is_capped_and_nothing_else_is_changed() {
        let filter: Targets = "debug,socketioxide::socket=trace,tungstenite=error,sqlx=off"
            .parse()
            .unwrap();
        let capped = capped(&filter);
        for (target, level) in [
            ("parlor", LevelFilter::DEBUG),
            ("engineioxide::engine", LevelFilter::INFO),
            ("socketioxide::socket", LevelFilter::INFO),
            ("tungstenite::protocol", LevelFilter::ERROR),
            ("sqlx", LevelFilter::OFF),
        ] {
            assert_eq!(super::level(&capped, target), level, "{target}");
        }
    }
}
