//! The memberships' interface, common to all databases.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::error::StoreError;
use crate::model::{
    Followed, Latest, ListedConversation, ListedRoom, Mark, Marked, Read, RoomId, Seq, UserId,
};

/// The newest messages of a room among which the user's own is looked for: it counts as read, and
/// so do the messages before it. A user with more unread messages has too many to count exactly.
pub const OWN_AMONG: i64 = 200;

/// A place in a list of rooms by a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPlace {
    /// The time of the room before it.
    pub active_at: DateTime<Utc>,
    /// The room before it.
    pub room_id: RoomId,
}

impl From<&ListedRoom> for ListPlace {
    fn from(room: &ListedRoom) -> Self {
        Self {
            active_at: room.active_at,
            room_id: room.room_id.clone(),
        }
    }
}

impl From<&ListedConversation> for ListPlace {
    fn from(listed: &ListedConversation) -> Self {
        Self {
            active_at: listed.queued_at(),
            room_id: listed.room_id.clone(),
        }
    }
}

/// The memberships, as the rest of the program sees them.
#[async_trait]
pub trait MembershipStore: Send + Sync {
    /// Moves readers' positions, each `(room, user)` at most once, and answers in any order. A
    /// position never goes back, and never passes the room's newest message. A user's first position
    /// in a room follows it, unless the user follows too many. Rooms without messages are left out.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn mark(&self, marks: &[Mark]) -> Result<Vec<Marked>, StoreError>;

    /// Returns the positions of some readers; those without one are left out.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn positions(
        &self,
        readers: &[(RoomId, UserId)],
    ) -> Result<HashMap<(RoomId, UserId), Seq>, StoreError>;

    /// Returns a room's readers with their positions, at most `limit`, by their names.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn readers(&self, room: &RoomId, limit: usize) -> Result<Vec<Read>, StoreError>;

    /// Lets a user follow a room; `muted` is kept as it is when not given. Returns false, and
    /// changes nothing, when the user follows [`MAX_FOLLOWED`](crate::model::MAX_FOLLOWED) others.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn follow(
        &self,
        user: &UserId,
        room: &RoomId,
        muted: Option<bool>,
    ) -> Result<bool, StoreError>;

    /// Lets a user follow a room no longer; the position stays.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn unfollow(&self, user: &UserId, room: &RoomId) -> Result<(), StoreError>;

    /// Returns all rooms followed by some users.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn followed(&self, users: &[UserId]) -> Result<Vec<Followed>, StoreError>;

    /// Reads a page of a user's list of rooms, the latest activity first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn list(
        &self,
        user: &UserId,
        after: Option<&ListPlace>,
        limit: usize,
    ) -> Result<Vec<ListedRoom>, StoreError>;

    /// Returns the ends of the logs of some rooms, with the authors of messages after the given
    /// places. Rooms without messages are left out.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn latest(&self, places: &[(RoomId, Seq)]) -> Result<Vec<Latest>, StoreError>;
}
