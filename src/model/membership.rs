//! Memberships: what a room is to one of its users, beyond the connection.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ids::{RoomId, Seq, UserId},
    message::Message,
    room::Title,
};

/// The most rooms that a user follows.
pub const MAX_FOLLOWED: usize = 1_000;

/// A user's report to have read a room up to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The room.
    pub room_id: RoomId,
    /// The reader.
    pub user_id: UserId,
    /// The newest message read.
    pub seq: Seq,
}

/// A stored read mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The reader's position, which never goes back.
    pub mark: Mark,
    /// True when the position is a new one.
    pub moved: bool,
    /// True when the room is new among the user's rooms.
    pub is_new: bool,
}

/// A user's position in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Read {
    /// The reader.
    pub user_id: UserId,
    /// The newest message read.
    pub seq: Seq,
}

/// A room followed by a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The room.
    pub room_id: RoomId,
    /// The user.
    pub user_id: UserId,
    /// The newest message read.
    pub read_seq: Seq,
    /// The room's newest `seq`.
    pub last_seq: Seq,
    /// True when the user wants no notice of new messages.
    pub muted: bool,
}

/// A room in a user's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRoom {
    /// The room.
    pub room_id: RoomId,
    /// The room's newest `seq`.
    pub last_seq: Seq,
    /// The newest message; none in a room without messages.
    pub last_message: Option<Message>,
    /// The title, if it has one.
    pub title: Option<Title>,
    /// The newest message read or written by the user.
    pub read_seq: Seq,
    /// True when the user wants no notice of new messages.
    pub muted: bool,
    /// The time of the newest message or, without messages, of the follow: the list's order.
    pub active_at: DateTime<Utc>,
}

/// The end of a room's log, and the newest messages of its authors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// The room.
    pub room_id: RoomId,
    /// The room's newest `seq`.
    pub last_seq: Seq,
    /// The newest message.
    pub last_message: Option<Message>,
    /// The title, if it has one.
    pub title: Option<Title>,
    /// True when somebody created the room.
    pub is_created: bool,
    /// The newest message of each author, among the newest ones of the room.
    pub authors: Vec<Read>,
}

impl Latest {
    /// Returns the end of the log of a room without messages.
    pub fn without_messages(room_id: RoomId) -> Self {
        Self {
            room_id,
            last_seq: Seq::ZERO,
            last_message: None,
            title: None,
            is_created: false,
            authors: vec![],
        }
    }
}
