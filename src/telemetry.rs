//! Log lines, to standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    prelude::*,
    util::TryInitError,
};

use crate::config::LogFormat;

/// Crates that log what clients send, tokens too, at finer levels than this.
const CAPPED: [(&str, LevelFilter); 3] =
    [("engineioxide", LevelFilter::INFO), ("socketioxide", LevelFilter::INFO), ("tungstenite", LevelFilter::INFO)];

/// Starts logging what `filter` lets through.
///
/// Errors when logging has been started before.
pub fn start(filter: Targets, format: LogFormat) -> Result<(), TryInitError> {
    let lines = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let capped = Targets::new().with_default(LevelFilter::TRACE).with_targets(CAPPED);
    let registry = tracing_subscriber::registry().with(filter).with(capped);
    match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
}
