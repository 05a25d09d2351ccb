//! The reasons and purposes of a room's reads.

use uuid::Uuid;

use crate::model::{Message, Revision, Seq};

/// A reason to read the log, in ascending order of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// None: everything up to the cursor is delivered, and nothing is known to follow.
    None,
    /// The log may have messages after the cursor.
    Behind,
    /// A message was stored before the cursor, at a place the room no longer remembers.
    Suspect,
    /// The log went back.
    Anew,
}

/// The room's newest message at some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) seq: Seq,
    /// None in an empty room.
    pub(super) id: Option<Uuid>,
}

/// The purpose of a read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The newest messages, in place of the room's own.
    Load,
    /// The messages after the mark, for a need.
    CatchUp(Mark, Need),
    /// The changes up to a reported one.
    Changes(Revision),
}

/// Returns true when the log goes on from the mark, given the first of its messages from there on.
/// The message at the mark may have been removed by hand.
pub(super) fn goes_on(first: Option<&Message>, mark: Mark, need: Need) -> bool {
    match first {
        Some(first) if first.seq == mark.seq => mark.id == Some(first.id),
        Some(_) => true,
        None => need < Need::Suspect,
    }
}
