//! Parts of a room's log.

use crate::model::{Message, Revision, RoomSettings, Seq};

/// The end of a range kept by a limited read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The smallest `seq`s.
    Oldest,
    /// The largest `seq`s.
    Newest,
}

/// A part of a room's log: the messages between `after` and `before`, both excluded.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Only messages with a larger `seq`.
    pub after: Seq,
    /// Only messages with a smaller `seq`.
    pub before: Seq,
    /// The most messages.
    pub limit: usize,
    /// The end to keep when there are more.
    pub keep: Keep,
}

/// The end of a room's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// The newest message.
    pub seq: Seq,
    /// The newest change; [`Revision::ZERO`] when there is none.
    pub revision: Revision,
}

/// A room's newest messages.
#[derive(Debug)]
pub struct Loaded {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// The room's newest change before they were read.
    pub revision: Revision,
    /// The settings; none when nobody created the room.
    pub settings: Option<RoomSettings>,
}

/// Returns a limit as a parameter of a statement.
pub(super) fn saturated(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
