//! Signals: told to the members that are there at the time, and neither stored, numbered nor
//! resumed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    conversation::Queued,
    ids::{RoomId, Seq, UserId},
    node::NodeReport,
    relayed::Relayed,
    state::Revision,
};

/// An event that passes through a room without a place in its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Signal {
    /// A client's own event for others in the room.
    #[serde(skip_deserializing)]
    Relayed(Box<Relayed>),
    /// A user started or stopped typing.
    Typing {
        /// The user; none of its own clients is told.
        user_id: UserId,
        /// False when the user stopped.
        is_typing: bool,
    },
    /// A user has read the room up to a message.
    Read {
        /// The reader.
        user_id: UserId,
        /// The newest message read.
        seq: Seq,
    },
    /// A user follows the room now, or no longer, or has muted it: only the user's own clients are
    /// told.
    Followed {
        /// The user.
        user_id: UserId,
    },
    /// The room's conversation has changed, or has moved in the queue: the watching operators are told.
    Conversation(Queued),
    /// A server asks the others to confirm that nobody is in the room there who may not be.
    Confirm {
        /// The question.
        id: Uuid,
        /// The room's revision that the answer has to know.
        revision: Revision,
    },
    /// A server's answer to such a question.
    Confirmed {
        /// The question.
        id: Uuid,
        /// The server.
        server: Uuid,
    },
    /// A server asks the others for the clients of a user. It travels under the user's name instead of a
    /// room's.
    Find {
        /// The question.
        id: Uuid,
        /// The user.
        user_id: UserId,
        /// True to end the connections of these clients.
        disconnect: bool,
    },
    /// A server's answer to such a question.
    Found {
        /// The question.
        id: Uuid,
        /// The server.
        server: Uuid,
        /// The user's clients on it.
        #[serde(flatten)]
        clients: Clients,
    },
    /// A server asks the others for their figures. It travels under a name that is no room's.
    Survey {
        /// The question.
        id: Uuid,
    },
    /// A server's answer to such a question.
    Surveyed {
        /// The question.
        id: Uuid,
        /// The server.
        server: Uuid,
        /// Its figures.
        report: Box<NodeReport>,
    },
}

/// The kind of a signal.
#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

impl Signal {
    /// The kind of [`Signal::Relayed`] in JSON.
    const RELAYED: &str = "relayed";

    /// Reads a signal from its JSON; none of a kind that only a later version knows.
    pub fn from_json(json: &str) -> Option<Self> {
        let kind: Kind = serde_json::from_str(json).ok()?;
        // The derived reading holds the fields of a kind in between, which JSON kept as it is cannot pass.
        if kind.r#type == Self::RELAYED {
            return serde_json::from_str(json).ok().map(Self::Relayed);
        }
        serde_json::from_str(json).ok()
    }

    /// Returns the bytes that a client has put into the signal.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Relayed(relayed) => relayed.bytes(),
            _ => 0,
        }
    }
}

/// The clients of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// The number of clients.
    pub connections: usize,
    /// The rooms that they are in, at most [`MAX_ROOMS_NAMED`].
    pub rooms: BTreeSet<RoomId>,
}

/// The most rooms named with the clients of a user: they have to fit a signal.
pub const MAX_ROOMS_NAMED: usize = 20;

impl Clients {
    /// Adds a client.
    pub fn add(&mut self, rooms: impl IntoIterator<Item = RoomId>) {
        self.connections += 1;
        self.rooms.extend(rooms);
        self.shorten();
    }

    /// Adds the clients on another server.
    pub fn merge(&mut self, other: Self) {
        self.connections += other.connections;
        self.rooms.extend(other.rooms);
        self.shorten();
    }

    fn shorten(&mut self) {
        while self.rooms.len() > MAX_ROOMS_NAMED {
            self.rooms.pop_last();
        }
    }
}
