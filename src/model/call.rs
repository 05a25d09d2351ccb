//! Calls: members of a room who see or hear each other, one call in a room at most.
//!
//! The server keeps who is in a call, and when it ends; pictures and sound go from client to client.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ids::{CallId, PartyId, RoomId, UserId},
    message::iso8601_millis,
    state::optional_time,
};

/// The most users whom a call rings. In a room with more users it rings those that its starter names.
pub const MAX_RUNG: usize = 10;

/// The kind of a call, as its starter wishes it. The parties may add pictures, or leave them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Media {
    /// Sound.
    Audio,
    /// Pictures and sound.
    Video,
}

/// The state of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallState {
    /// Nobody but its starter has joined yet.
    Ringing,
    /// Somebody has joined.
    Active,
    /// It is over.
    Ended,
}

/// The reason why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndedReason {
    /// Nobody joined in time.
    Missed,
    /// Its starter left while it rang.
    Cancelled,
    /// All whom it rang have declined.
    Rejected,
    /// Its last party left.
    Left,
    /// One party was alone for too long.
    Alone,
    /// The connection of its last party broke, or that party's server died.
    Lost,
}

impl EndedReason {
    /// Returns the name, for the figures and the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Left => "left",
            Self::Alone => "alone",
            Self::Lost => "lost",
        }
    }
}

/// A client in a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Party {
    /// The client, by its own identifier: the same after a reconnect or a reload.
    pub party_id: PartyId,
    /// The client's user.
    pub user_id: UserId,
}

/// A client's part in a room's call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// The call.
    pub call_id: CallId,
    /// The client, by its own identifier; within a call it is one user's for ever.
    pub party_id: PartyId,
    /// The entry into the call: a client that comes back has a new one, and the one before is a party no longer.
    pub entry: Uuid,
}

impl Part {
    /// Returns a client's part with a new entry.
    pub fn new(call_id: CallId, party_id: PartyId) -> Self {
        Self {
            call_id,
            party_id,
            entry: Uuid::now_v7(),
        }
    }
}

/// A call, as everybody in its room sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The call.
    pub call_id: CallId,
    /// The state.
    pub state: CallState,
    /// The kind.
    pub media: Media,
    /// The user who started it.
    pub started_by: UserId,
    /// The time of the start.
    #[serde(serialize_with = "iso8601_millis")]
    pub started_at: DateTime<Utc>,
    /// The users whom it rings; none for everybody in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<UserId>>,
    /// The users who have declined, while it rings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected_by: Vec<UserId>,
    /// The clients in it, in the order in which they joined.
    pub parties: Vec<Party>,
    /// The time when the second party joined first.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_time"
    )]
    pub answered_at: Option<DateTime<Utc>>,
    /// The time at which it ends by itself, while it rings or has one party.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_time"
    )]
    pub expires_at: Option<DateTime<Utc>>,
    /// The time of the end.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_time"
    )]
    pub ended_at: Option<DateTime<Utc>>,
    /// The reason of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_reason: Option<EndedReason>,
}

impl Call {
    /// Returns true until the call is over.
    pub fn is_live(&self) -> bool {
        self.state != CallState::Ended
    }

    /// Returns a party.
    pub fn party(&self, id: &PartyId) -> Option<&Party> {
        self.parties.iter().find(|party| party.party_id == *id)
    }

    /// Returns the party of a user.
    pub fn party_of(&self, user: &UserId) -> Option<&Party> {
        self.parties.iter().find(|party| party.user_id == *user)
    }

    /// Returns the time from the first answer to the end.
    pub fn duration(&self) -> Option<Duration> {
        let (answered_at, ended_at) = self.answered_at.zip(self.ended_at)?;
        Some((ended_at - answered_at).to_std().unwrap_or_default())
    }

    /// Returns the approximate size as JSON, in bytes.
    pub fn size(&self) -> usize {
        let names = self.to.iter().flatten().chain(&self.rejected_by);
        let names: usize = names.map(|name| name.as_str().len() + 3).sum();
        let parties = self.parties.iter();
        let parties: usize = parties
            .map(|party| party.party_id.as_str().len() + party.user_id.as_str().len() + 32)
            .sum();
        names + parties + 512
    }
}

/// A change of a call that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallStep {
    /// A call begins, with its starter as the first party.
    Start {
        /// The call, not used before.
        call_id: CallId,
        /// The starter's client.
        party_id: PartyId,
        /// Its entry.
        entry: Uuid,
        /// The kind.
        media: Media,
        /// The users whom it rings; none for everybody in the room.
        to: Option<Vec<UserId>>,
    },
    /// A client joins, or comes back.
    Join {
        /// The call.
        call_id: CallId,
        /// The client.
        party_id: PartyId,
        /// Its entry.
        entry: Uuid,
        /// The most parties.
        max_parties: usize,
    },
    /// A user declines.
    Reject {
        /// The call.
        call_id: CallId,
        /// The users in the room, whom a call to everybody rings.
        present: Vec<UserId>,
    },
    /// A client leaves.
    Leave {
        /// The call.
        call_id: CallId,
        /// The client.
        party_id: PartyId,
        /// The entry that ends; none for whichever there is.
        entry: Option<Uuid>,
    },
    /// The server puts out parties whose connections are gone, and ends what nobody ends.
    Expire {
        /// The time since a party's last heartbeat after which it is out; none to put nobody out.
        lease: Option<Duration>,
    },
}

/// A call that ends, or loses a party, at some time unless something happens before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueCall {
    /// The room.
    pub room_id: RoomId,
    /// The user who started it.
    pub started_by: UserId,
    /// The time until then.
    pub due_in: Duration,
}
