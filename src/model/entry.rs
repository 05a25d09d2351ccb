//! Entries: the changes of a room's log, and the outcomes of storing them.

use super::{
    ids::RoomId,
    message::{Draft, EncodedMessage, Stored},
};

/// An entry on its way into a room's log.
///
/// All kinds share the writer's queue, so a sender's entries keep their order and share a commit.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A new message.
    Message(Draft),
}

impl Entry {
    /// Returns the room whose log the entry goes to.
    pub fn room_id(&self) -> &RoomId {
        match self {
            Self::Message(draft) => &draft.room_id,
        }
    }

    /// Returns the entry's size in bytes of text.
    pub fn size(&self) -> usize {
        match self {
            Self::Message(draft) => draft.body.as_str().len(),
        }
    }
}

impl From<Draft> for Entry {
    fn from(draft: Draft) -> Self {
        Self::Message(draft)
    }
}

/// The outcome of a commit, for the rooms concerned.
#[derive(Debug)]
pub enum Outcome {
    /// These entries were committed, in this order.
    Stored(Vec<Stored<EncodedMessage>>),
    /// Entries may have been committed to these rooms, or may be yet; their senders wait no longer.
    /// Reported again once no such commit is possible any more.
    Unknown(Vec<RoomId>),
}
