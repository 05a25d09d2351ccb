//! The log's interface, common to all databases.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;

use super::{
    error::{MigrateError, StoreError},
    page::{Keep, Page},
};
use crate::model::{Draft, Message, RoomId, Seq, Stored};

/// The log, as the rest of the program sees it.
#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Brings the tables up to date, under a lock: processes starting together migrate one after
    /// another.
    ///
    /// # Errors
    ///
    /// See [`MigrateError`].
    async fn migrate(&self) -> Result<(), MigrateError>;

    /// Stores a batch, all of it or nothing, and answers in the batch's order.
    ///
    /// A repeated draft is answered with the first message of its id or its `(room, user,
    /// clientMessageId)`, in the log or earlier in the batch.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError>;

    /// Reads a part of a room's log, oldest first. Unreadable rows, not written by this program,
    /// are skipped unless there are no others.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError>;

    /// Returns the `seq` of the newest message of each of these rooms; rooms without messages are
    /// left out.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn heads(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, Seq>, StoreError> {
        let newest = Page {
            after: Seq::ZERO,
            before: Seq::END,
            limit: 1,
            keep: Keep::Newest,
        };
        let mut heads = HashMap::new();
        for room in rooms {
            if let Some(message) = self.read(room, newest).await?.pop() {
                heads.insert(room.clone(), message.seq);
            }
        }
        Ok(heads)
    }

    /// Reads the messages of several rooms after the given places, oldest first within a room: at
    /// most `limit` of each room, and perhaps fewer. Unreadable rows are skipped.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn read_tails(
        &self,
        places: &[(RoomId, Seq)],
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let mut tails = vec![];
        for (room, after) in places {
            let page = Page {
                after: *after,
                before: Seq::END,
                limit,
                keep: Keep::Oldest,
            };
            tails.extend(self.read(room, page).await?);
        }
        Ok(tails)
    }

    /// Checks that the database answers and would take a message, as far as possible without
    /// writing one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes all connections once their statements have ended.
    async fn close(&self);
}
