//! The archive's interface: what administrators take out of the database, and erase from it. Reads
//! go through whole rooms, as no index serves them.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::error::StoreError;
use crate::model::{Message, Reaction, RoomId, Seq, UserId};

/// A user's reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReactionBy {
    /// The message's room.
    pub room_id: RoomId,
    /// The message.
    pub seq: Seq,
    /// The user.
    pub user_id: UserId,
    /// The reaction.
    pub reaction: Reaction,
}

/// A user's membership of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MembershipOf {
    /// The room.
    pub room_id: RoomId,
    /// The user.
    pub user_id: UserId,
    /// The newest message read.
    pub read_seq: Seq,
    /// True when the room is in the user's list.
    pub follows: bool,
    /// True when the user wants no notice of new messages.
    pub muted: bool,
    /// The role in a room that somebody created, or `removed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// The archive, as the administrators' commands see it.
#[async_trait]
pub trait ArchiveStore: Send + Sync {
    /// Returns the rooms with messages after one, by their names, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn rooms(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<RoomId>, StoreError>;

    /// Reads a user's messages in a room after a place, oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn said(
        &self,
        user: &UserId,
        room: &RoomId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError>;

    /// Reads a user's reactions to the messages of a room, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn reacted(
        &self,
        user: &UserId,
        room: &RoomId,
        limit: usize,
    ) -> Result<Vec<ReactionBy>, StoreError>;

    /// Reads the memberships of a room.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn members(&self, room: &RoomId) -> Result<Vec<MembershipOf>, StoreError>;

    /// Reads the memberships of a user.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn memberships(&self, user: &UserId) -> Result<Vec<MembershipOf>, StoreError>;

    /// Removes the oldest messages of some rooms that were sent before a time, at most `limit`, and
    /// returns their number.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn expire(
        &self,
        rooms: &[RoomId],
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<usize, StoreError>;

    /// Returns the oldest message of each of these rooms; rooms without messages are left out.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn oldest(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, Seq>, StoreError>;

    /// Removes the memberships of a user.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn forget(&self, user: &UserId) -> Result<(), StoreError>;
}
