//! Reading of event packets.

use serde_json::value::RawValue;

use crate::error::Error;

/// Returns the name of an event packet, `["name", …]`. The library rejects names with escapes.
pub fn event_name(packet: &str) -> &str {
    packet.split('"').nth(1).unwrap_or_default()
}

/// Returns the first argument of an event packet, `["name", first, …]`.
///
/// # Errors
///
/// [`Error::InvalidPayload`] when there is none.
pub fn first_argument(packet: &str) -> Result<&RawValue, Error> {
    let arguments: Result<Vec<&RawValue>, _> = serde_json::from_str(packet);
    let first = arguments
        .ok()
        .and_then(|arguments| arguments.get(1).copied());
    first.ok_or_else(|| Error::InvalidPayload("a payload is required".into()))
}
