//! The interface of rooms' settings and members, common to all databases.

use std::collections::HashMap;

use async_trait::async_trait;

use super::error::StoreError;
use crate::model::{
    RoomChange, RoomChanged, RoomId, RoomMember, RoomRefusal, RoomSettings, Standing, UserId,
};

/// The rooms that somebody created, as the rest of the program sees them.
#[async_trait]
pub trait RoomStore: Send + Sync {
    /// Changes a room's settings or members, in one transaction. The change has a revision of the
    /// room, like a change of a message; without an effect it has none.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn change(
        &self,
        change: &RoomChange,
    ) -> Result<Result<RoomChanged, RoomRefusal>, StoreError>;

    /// Returns a room's settings; none when nobody created it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn settings(&self, room: &RoomId) -> Result<Option<RoomSettings>, StoreError>;

    /// Returns the standing of users in rooms; those in rooms that nobody created are left out.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn standings(
        &self,
        places: &[(RoomId, UserId)],
    ) -> Result<HashMap<(RoomId, UserId), Standing>, StoreError>;

    /// Reads a room's members after one, by their names, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<RoomMember>, StoreError>;
}
