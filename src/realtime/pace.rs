//! How fast events are taken from one connection, whatever they are: also what is refused costs something, and who goes on
//! all the same is to cost the others nothing.

use std::num::NonZeroU32;

use socketioxide::socket::Socket;

use super::{Connection, MAX_WAITING, transport};
use crate::error::Error;

/// How many events a connection may bring at once after a pause.
pub const EVENT_BURST: NonZeroU32 = NonZeroU32::new(MAX_WAITING as u32).expect("some events may wait");

/// An event of more bytes counts as several.
pub const EVENT_BYTES: usize = 4096;

/// What a connection that has brought too much may bring again after its rest: at least as many events as come by one read.
const EVENTS_AFTER_REST: u32 = 50;

/// Counts an event. From a WebSocket that brings too many nothing is read for a while, so that the others wait with the
/// client.
///
/// Errors: [`Error::RateLimited`] by long-polling, whose requests may come by connections that others use as well.
pub(super) fn count(connection: &Connection, socket: &Socket, bytes: usize) -> Result<(), Error> {
    let events = NonZeroU32::MIN.saturating_add(u32::try_from(bytes / EVENT_BYTES).unwrap_or(u32::MAX));
    let Err(error) = connection.chat.count_events(&connection.session, events) else { return Ok(()) };
    let rest = connection.chat.limits().events.time_for(EVENTS_AFTER_REST.max(events.get()));
    match transport(socket) {
        Some(transport) if transport.rest(rest) => Ok(()),
        _ => Err(error),
    }
}
