//! The log's interface, which every database implements.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    error::{MigrateError, StoreError},
    page::Page,
};
use crate::model::{Draft, Message, RoomId, Stored};

/// The log, as the rest of the program sees it.
#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Brings the tables up to date, under a lock: processes that start together migrate one after
    /// another.
    ///
    /// # Errors
    ///
    /// See [`MigrateError`].
    async fn migrate(&self) -> Result<(), MigrateError>;

    /// Stores a batch, all of it or nothing, and answers in the batch's order.
    ///
    /// A draft whose id or `(room, user, clientMessageId)` is in the log already, or earlier in the
    /// batch, is answered with that message.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError>;

    /// Reads a part of a room's log, oldest first. Rows that this program cannot have written are
    /// skipped, unless nothing else is there.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError>;

    /// Checks that the database answers and would take a message, as far as that shows without
    /// writing one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes all connections once their statements have ended.
    async fn close(&self);
}
