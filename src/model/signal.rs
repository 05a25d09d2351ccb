//! Signals: told to the members that are there at the time, and neither stored, numbered nor
//! resumed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ids::{Seq, UserId},
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
}
