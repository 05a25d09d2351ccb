//! Entries: what the log stores, and the outcomes of storing it.

use super::{
    ids::RoomId,
    message::{EncodedMessage, Stored},
};

/// The outcome of a commit, for the rooms that it concerns.
#[derive(Debug)]
pub enum Outcome {
    /// These sends were committed, in this order.
    Stored(Vec<Stored<EncodedMessage>>),
    /// Messages may have been committed to these rooms, or may be yet; their senders wait no longer.
    /// Reported again when no such commit is possible any more.
    Unknown(Vec<RoomId>),
}
