//! Conversations between customers and operators.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ids::{RoomId, Seq, UserId},
    message::{EncodedMessage, iso8601_millis},
    room::Title,
    state::{Revision, optional_time},
};

/// The state of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No operator has it.
    Open,
    /// An operator has it.
    Claimed,
    /// It has ended; the next message of a customer opens it again.
    Closed,
}

impl Status {
    /// Returns the name in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Claimed => "claimed",
            Self::Closed => "closed",
        }
    }

    /// Reads a name out of the database.
    pub(crate) fn from_store(name: &str) -> Option<Self> {
        let all = [Self::Open, Self::Claimed, Self::Closed];
        all.into_iter().find(|status| status.name() == name)
    }
}

/// A conversation, as everybody in its room sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// The state.
    pub state: Status,
    /// The operator who has claimed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_id: Option<UserId>,
    /// Counts the changes, from 1 on.
    pub version: i64,
    /// The time of the last change.
    #[serde(serialize_with = "iso8601_millis")]
    pub changed_at: DateTime<Utc>,
    /// The user who made the last change; none for the server itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<UserId>,
}

impl Conversation {
    /// Returns the conversation that a customer begins.
    pub fn begun_by(customer: &UserId) -> Self {
        Self {
            state: Status::Open,
            operator_id: None,
            version: 1,
            changed_at: now(),
            changed_by: Some(customer.clone()),
        }
    }

    /// Returns the conversation after a change.
    pub fn changed(
        &self,
        state: Status,
        operator_id: Option<UserId>,
        changed_by: Option<UserId>,
    ) -> Self {
        Self {
            state,
            operator_id,
            version: self.version.saturating_add(1),
            changed_at: now(),
            changed_by,
        }
    }

    /// Returns true when an operator has claimed it.
    pub fn is_held_by(&self, operator: &UserId) -> bool {
        self.operator_id.as_ref() == Some(operator)
    }
}

fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

/// A change of a conversation that somebody asks for. Each names a state, so a repeat is harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The change itself.
    pub step: Step,
    /// The version as its asker knows it; none when the present one does not matter.
    pub if_version: Option<i64>,
}

/// The kinds of changes of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The asker takes it.
    Claim {
        /// True to take it from another operator; for supervisors.
        force: bool,
    },
    /// Its operator gives it back to the queue.
    Release,
    /// Its operator gives it to another one.
    Transfer {
        /// The other one.
        to: UserId,
    },
    /// It ends.
    Close,
    /// The server takes it from an operator who is away.
    Lapse,
}

impl Step {
    /// Returns the name, for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "claim",
            Self::Release => "release",
            Self::Transfer { .. } => "transfer",
            Self::Close => "close",
            Self::Lapse => "lapse",
        }
    }
}

/// The part of a message's author in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// Asks for an answer.
    Customer,
    /// Answers, in a conversation that no other operator has.
    Operator,
    /// Answers anywhere.
    Supervisor,
}

/// A conversation as of a commit, with its place in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queued {
    /// The conversation.
    pub conversation: Conversation,
    /// The time of the oldest message of a customer without an answer.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_time"
    )]
    pub waiting_since: Option<DateTime<Utc>>,
    /// The room's newest `seq`. Of two states, the later one has a larger `version` or a larger `last_seq`.
    pub last_seq: Seq,
}

/// A room's conversation that has changed, or has moved in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationChanged {
    /// The room.
    pub room_id: RoomId,
    /// The room's revision with the change; none when it has only moved in the queue.
    pub revision: Option<Revision>,
    /// The present state.
    pub queued: Queued,
}

/// A conversation in the operators' list.
#[derive(Debug, Clone)]
pub struct ListedConversation {
    /// The room.
    pub room_id: RoomId,
    /// The room's title, if it has one.
    pub title: Option<Title>,
    /// The newest message.
    pub last_message: Option<EncodedMessage>,
    /// The conversation.
    pub queued: Queued,
}

impl ListedConversation {
    /// Returns the time by which the list is ordered.
    pub fn queued_at(&self) -> DateTime<Utc> {
        let changed_at = self.queued.conversation.changed_at;
        self.queued.waiting_since.unwrap_or(changed_at)
    }
}
