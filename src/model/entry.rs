//! Entries: the changes of a room's log, and the outcomes of storing them.

use std::sync::Arc;

use super::{
    change::{Change, Refusal, Revised},
    conversation::ConversationChanged,
    ids::{RoomId, UserId},
    message::{Changed, Draft, EncodedMessage, Message, Stored},
};

/// An entry on its way into a room's log.
///
/// All kinds share the writer's queue, so a sender's entries keep their order and share a commit.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A new message.
    Message(Draft),
    /// A change of a message.
    Change(Change),
}

impl Entry {
    /// Returns the room whose log the entry goes to.
    pub fn room_id(&self) -> &RoomId {
        match self {
            Self::Message(draft) => &draft.room_id,
            Self::Change(change) => &change.room_id,
        }
    }

    /// Returns the entry's size in bytes of text.
    pub fn size(&self) -> usize {
        match self {
            Self::Message(draft) => draft.size(),
            Self::Change(change) => change.size(),
        }
    }
}

impl From<Draft> for Entry {
    fn from(draft: Draft) -> Self {
        Self::Message(draft)
    }
}

impl From<Change> for Entry {
    fn from(change: Change) -> Self {
        Self::Change(change)
    }
}

/// The log's answers to a batch.
#[derive(Debug, Default)]
pub struct Committed {
    /// The answer to each draft.
    pub messages: Vec<Result<Stored<Arc<Message>>, Refusal>>,
    /// The answer to each change.
    pub changes: Vec<Result<Changed<Arc<Message>>, Refusal>>,
    /// The rooms with changes in the batch.
    pub rooms: Vec<Revised<Arc<Message>>>,
    /// The conversations that the messages have changed.
    pub conversations: Vec<ConversationChanged>,
}

/// An entry's outcome.
#[derive(Debug, Clone)]
pub enum Settled {
    /// A message is stored.
    Stored(Stored<EncodedMessage>),
    /// A message is in the wanted state.
    Changed(Changed<EncodedMessage>),
}

/// The outcome of a commit, for the rooms concerned.
#[derive(Debug)]
pub enum Outcome {
    /// These entries were committed, the messages in this order, then the changes.
    Stored {
        /// The messages.
        messages: Vec<Stored<EncodedMessage>>,
        /// The authors of the messages, one for each.
        authors: Vec<UserId>,
        /// The rooms with changes.
        changes: Vec<Revised<EncodedMessage>>,
        /// The conversations that the messages have changed.
        conversations: Vec<ConversationChanged>,
    },
    /// Entries may have been committed to these rooms, or may be yet; their senders wait no longer.
    /// Reported again once no such commit is possible any more.
    Unknown(Vec<RoomId>),
}

/// A commit of messages alone, without their authors.
impl From<Vec<Stored<EncodedMessage>>> for Outcome {
    fn from(messages: Vec<Stored<EncodedMessage>>) -> Self {
        Self::Stored {
            messages,
            authors: vec![],
            changes: vec![],
            conversations: vec![],
        }
    }
}
