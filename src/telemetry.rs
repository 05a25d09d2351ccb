//! Log lines, to standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{filter::Targets, fmt, prelude::*, util::TryInitError};

use crate::config::LogFormat;

/// Starts logging what `filter` lets through.
///
/// Errors when logging has been started before.
pub fn start(filter: Targets, format: LogFormat) -> Result<(), TryInitError> {
    let lines = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
}
