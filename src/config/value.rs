//! Parsers of settings' values.

use std::{num::ParseIntError, time::Duration};

use clap::builder::RangedU64ValueParser;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// The crates of the server with log lines of their own.
const LOGGING_CRATES: [&str; 14] = [
    "axum",
    "engineioxide",
    "hyper",
    "hyper_util",
    "mio",
    "parlor",
    "rustls",
    "socketioxide",
    "sqlx",
    "tokio",
    "tokio_tungstenite",
    "tower",
    "tower_http",
    "tungstenite",
];

/// Parses a number from `least` to `most`, both included.
pub(super) fn count(least: usize, most: usize) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least as u64..=most as u64)
}

pub(super) fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off"),
    }
}

pub(super) fn millis(text: &str) -> Result<Duration, ParseIntError> {
    Ok(Duration::from_millis(text.parse::<u32>()?.into()))
}

/// The least rate of a connection's events: below it a client's heartbeats would be late, too.
const MIN_EVENTS_PER_SECOND: u32 = 50;

pub(super) fn events_per_second(text: &str) -> Result<u32, String> {
    match text
        .parse()
        .map_err(|error: ParseIntError| error.to_string())?
    {
        1..MIN_EVENTS_PER_SECOND => Err(format!("must be 0, or at least {MIN_EVENTS_PER_SECOND}")),
        rate => Ok(rate),
    }
}

pub(super) fn positive_millis(text: &str) -> Result<Duration, String> {
    match millis(text) {
        Ok(Duration::ZERO) => Err("must be more than 0".into()),
        other => other.map_err(|error| error.to_string()),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, ParseIntError> {
    Ok(Duration::from_secs(text.parse::<u32>()?.into()))
}

/// Parses a log filter. Rejects a word other than a level or a crate: the library would take it for
/// a target without log lines, and nothing would be logged any more.
pub(super) fn targets(text: &str) -> Result<Targets, String> {
    let directives = text
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty());
    directives.clone().try_for_each(known)?;
    let trimmed = directives.collect::<Vec<_>>().join(",");
    trimmed
        .parse()
        .map_err(|error: tracing_subscriber::filter::ParseError| error.to_string())
}

fn known(directive: &str) -> Result<(), String> {
    let name = directive
        .split("::")
        .next()
        .unwrap_or_default()
        .split(['=', '['])
        .next()
        .unwrap_or_default()
        .trim();
    let is_level = !directive.contains('=') && directive.parse::<LevelFilter>().is_ok();
    if is_level || LOGGING_CRATES.contains(&name) {
        return Ok(());
    }
    let crates = LOGGING_CRATES.join(", ");
    Err(format!(
        "{name:?} is neither a level (off, error, warn, info, debug, trace) nor a crate with log lines ({crates})"
    ))
}
