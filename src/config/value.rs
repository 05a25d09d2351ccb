//! Values of settings, read from text.

use std::{num::ParseIntError, time::Duration};

pub(super) fn millis(text: &str) -> Result<Duration, ParseIntError> {
    Ok(Duration::from_millis(text.parse::<u32>()?.into()))
}

/// Slower than this, a client's heartbeats would come too late as well.
const MIN_EVENTS_PER_SECOND: u32 = 50;

pub(super) fn events_per_second(text: &str) -> Result<u32, String> {
    match text.parse().map_err(|error: ParseIntError| error.to_string())? {
        1..MIN_EVENTS_PER_SECOND => Err(format!("must be 0, or {MIN_EVENTS_PER_SECOND} at least")),
        rate => Ok(rate),
    }
}

pub(super) fn positive_millis(text: &str) -> Result<Duration, String> {
    match millis(text) {
        Ok(Duration::ZERO) => Err("must be more than 0".into()),
        other => other.map_err(|error| error.to_string()),
    }
}
