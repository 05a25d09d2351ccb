//! The index of words, common to all databases.

use async_trait::async_trait;

use super::{error::StoreError, words::Words};
use crate::model::{Message, RoomId, Seq};

/// The index of the messages' words.
#[async_trait]
pub trait SearchStore: Send + Sync {
    /// Writes the words of the next messages and changes of some rooms, each once, at most `limit` of
    /// each. Returns the number of them, and of the rooms in the hands of another server: 0 when all
    /// is done.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn index(&self, rooms: &[RoomId], limit: usize) -> Result<usize, StoreError>;

    /// Returns the rooms after one with messages or changes whose words are not written yet, by
    /// their names, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn unindexed(
        &self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError>;

    /// Finds messages in some rooms before a place with all of these words, or with words that begin
    /// with them: the newest first, at most `limit`, and no deleted ones.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn search(
        &self,
        words: &Words,
        rooms: &[RoomId],
        before: Seq,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError>;
}
