//! The reasons and purposes of a room's reads.

use uuid::Uuid;

use crate::model::{Message, Seq};

/// The reason to read the log; later ones count more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// None: everything up to the cursor was delivered, and nothing is known to follow.
    None,
    /// There may be messages after the cursor.
    Behind,
    /// A message was stored before the cursor, and the room does not keep what it had there.
    Suspect,
    /// The log went back.
    Anew,
}

/// The newest message that the room had at some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) seq: Seq,
    /// None in an empty room.
    pub(super) id: Option<Uuid>,
}

/// The purpose of a read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The newest messages, in place of those that the room had before.
    Load,
    /// The messages after the mark.
    CatchUp(Mark, Need),
}

/// Returns true when the log goes on from the mark, by the first of its messages from there on. The
/// one at the mark may have been removed by hand.
pub(super) fn goes_on(first: Option<&Message>, mark: Mark, need: Need) -> bool {
    match first {
        Some(first) if first.seq == mark.seq => mark.id == Some(first.id),
        Some(_) => true,
        None => need < Need::Suspect,
    }
}
