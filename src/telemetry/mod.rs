//! The log, on standard error, and, with the feature `otel`, the export of spans.

#[cfg(feature = "otel")]
mod otel;

use std::io::{IsTerminal, stderr};

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    prelude::*,
};

/// The finest levels of crates whose finer lines hold data of clients, even tokens.
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

/// Starts the log with a filter and a format, and the export of spans.
///
/// # Errors
///
/// The log has been started before, or a variable of the export is unusable.
pub fn start(filter: Targets, format: LogFormat) -> anyhow::Result<()> {
    let lines = fmt::layer()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(capped(&filter));
    #[cfg(feature = "otel")]
    let registry = registry.with(otel::layer()?);
    match format {
        LogFormat::Text => registry.with(lines).try_init()?,
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}

/// Ends the export of spans, and waits a moment for the last ones.
pub async fn stop() {
    #[cfg(feature = "otel")]
    otel::stop().await;
}

/// Returns the filter with the levels of [`CAPPED`] as upper bounds.
///
/// One filter, not two: with layered filters an event is recorded if any of them wants it, and
/// dropped afterwards. `tungstenite` traces every frame, at a cost of 2% of the server's time
/// (`bench/`, workload `persist`).
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

/// Returns the finest level that a filter allows a crate.
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
    fn crates_that_log_data_of_clients_are_capped_and_the_rest_of_the_filter_stays() {
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
