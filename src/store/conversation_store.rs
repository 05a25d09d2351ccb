//! The interface of the conversations between customers and operators, common to all databases.

use std::time::Duration;

use async_trait::async_trait;

use super::{error::StoreError, membership_store::ListPlace};
use crate::model::{ListedConversation, RoomId, RoomPattern, Status, UserId};

/// A question for conversations.
#[derive(Debug)]
pub struct ConversationQuery {
    /// The state of those in question.
    pub state: Status,
    /// Their operator; none for any.
    pub operator_id: Option<UserId>,
    /// The reader, who sees no rooms that it may not enter; none to see all.
    pub reader: Option<UserId>,
    /// The only rooms in question; none for all.
    pub rooms: Option<Vec<RoomPattern>>,
    /// The place of the last one before; none from the beginning.
    pub after: Option<ListPlace>,
}

/// The conversations, as the rest of the program sees them.
#[async_trait]
pub trait ConversationStore: Send + Sync {
    /// Reads a page of conversations, at most `limit`: the longest waiting first, but the last closed
    /// first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn list(
        &self,
        query: &ConversationQuery,
        limit: usize,
    ) -> Result<Vec<ListedConversation>, StoreError>;

    /// Returns the operators of claimed conversations, at most `limit`, by their names.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn holders(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError>;

    /// Notes that operators have clients now.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn see(&self, operators: &[UserId]) -> Result<(), StoreError>;

    /// Returns claimed conversations with their versions, at most `limit`, whose operators were not seen
    /// for some time, nor was the conversation changed.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn lapsed(
        &self,
        away: Duration,
        limit: usize,
    ) -> Result<Vec<(RoomId, UserId, i64)>, StoreError>;
}
