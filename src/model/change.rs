//! Changes of messages that are stored already.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use super::{
    ids::{RoomId, Seq, UserId},
    message::{Body, EncodedMessage, Message},
    state::{Metadata, Reaction, Revision},
};
use crate::error::{Current, Error};

/// A change on its way into the log.
///
/// A change has its id before the first attempt to store it, so that an attempt with an unknown
/// outcome can be retried.
#[derive(Debug, Clone)]
pub struct Change {
    /// UUID version 7.
    pub id: Uuid,
    /// The message's room.
    pub room_id: RoomId,
    /// The message.
    pub seq: Seq,
    /// The user who asks for the change.
    pub user_id: UserId,
    /// True when the user acts as an operator.
    pub is_operator: bool,
    /// The time at which the server accepted it, in whole milliseconds.
    pub timestamp: DateTime<Utc>,
    /// The change itself.
    pub action: Action,
}

/// The kinds of changes. Each names a state, never a toggle, so a repeat is harmless.
#[derive(Debug, Clone)]
pub enum Action {
    /// Replaces the text; by the author only.
    Edit(Edit),
    /// Erases text, metadata and reactions for ever; by the author or an operator.
    Delete,
    /// Sets or takes back the user's reaction.
    React {
        /// The reaction.
        reaction: Reaction,
        /// False to take it back.
        on: bool,
    },
    /// Pins the message to its room, or unpins it.
    Pin {
        /// False to unpin.
        on: bool,
    },
}

/// A new text.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The text.
    pub body: Body,
    /// New metadata; none to keep the present ones, an empty object to remove them.
    pub metadata: Option<Metadata>,
    /// The message's revision as its author knows it; none when the last edit is to win.
    pub if_revision: Option<Revision>,
    /// The earliest time at which a message may have been sent that can still be edited.
    pub sent_since: Option<DateTime<Utc>>,
}

impl Change {
    /// Returns a change with a new id and the present time.
    pub fn new(
        room_id: RoomId,
        seq: Seq,
        user_id: UserId,
        is_operator: bool,
        action: Action,
    ) -> Self {
        Self {
            id: Uuid::now_v7(),
            room_id,
            seq,
            user_id,
            is_operator,
            timestamp: Utc::now().trunc_subsecs(3),
            action,
        }
    }

    /// Moves the time of acceptance to the present.
    #[must_use]
    pub fn accepted_now(mut self) -> Self {
        self.timestamp = Utc::now().trunc_subsecs(3);
        self
    }

    /// Returns the change's size in bytes of text.
    pub fn size(&self) -> usize {
        match &self.action {
            Action::Edit(edit) => {
                edit.body.as_str().len()
                    + edit.metadata.as_ref().map_or(0, |json| json.as_str().len())
            }
            Action::Delete | Action::React { .. } | Action::Pin { .. } => 0,
        }
    }
}

/// The reason why the log refuses an entry. Nothing of the entry is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such message; the text names the field.
    NotFound(String),
    /// Somebody was faster; the message's present state.
    Conflict(Arc<Message>),
    /// The user may not; the text says why.
    Forbidden(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(what) => Self::NotFound(what),
            Refusal::Conflict(message) => Self::Conflict(Current::new(&*message)),
            Refusal::Forbidden(why) => Self::Forbidden(why),
        }
    }
}

/// The changes of a room in one commit.
#[derive(Debug, Clone)]
pub struct Revised<M> {
    /// The room.
    pub room_id: RoomId,
    /// The room's revision before the commit.
    pub base: Revision,
    /// The changed messages in their present state, by revision.
    pub messages: Vec<M>,
}

impl<M> Revised<M> {
    /// Returns the room's revision after the commit, given that of a message.
    pub fn last(&self, revision: impl Fn(&M) -> Revision) -> Revision {
        self.messages.last().map_or(self.base, revision)
    }
}

impl Revised<Arc<Message>> {
    /// Encodes the messages for clients.
    pub fn encode(&self) -> Revised<EncodedMessage> {
        let messages = self.messages.iter();
        Revised {
            room_id: self.room_id.clone(),
            base: self.base,
            messages: messages
                .map(|message| EncodedMessage::from(&**message))
                .collect(),
        }
    }
}
