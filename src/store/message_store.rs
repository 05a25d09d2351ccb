//! The log's interface, common to all databases.

use std::{collections::HashMap, slice, sync::Arc};

use async_trait::async_trait;

use super::{
    archive_store::ArchiveStore,
    call_store::CallStore,
    conversation_store::ConversationStore,
    error::{MigrateError, StoreError},
    membership_store::MembershipStore,
    page::{Head, Keep, Loaded, Page},
    room_store::RoomStore,
    search_store::SearchStore,
    webhook_store::WebhookStore,
};
use crate::{
    metrics::{self, Connections},
    model::{
        Change, ClientMessageId, Committed, Draft, Message, Revision, RoomId, Seq, Stored, UserId,
    },
};

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

    /// Stores a batch of plain drafts, all of it or nothing, and answers in the batch's order.
    ///
    /// A repeated draft is answered with the first message of its id or its `(room, user,
    /// clientMessageId)`, in the log or earlier in the batch.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError>;

    /// Stores a batch of drafts of all kinds, then changes, all of it or nothing but for refused
    /// ones.
    ///
    /// A change sees the drafts of its batch and the changes before it, and is answered with the
    /// message's state at the end.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn commit(&self, drafts: &[Draft], changes: &[Change]) -> Result<Committed, StoreError>;

    /// Reads a part of a room's log, oldest first. Unreadable rows, not written by this program,
    /// are skipped unless there are no others.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError>;

    /// Reads the newest messages of a room, oldest first, the room's newest change before them, and
    /// its settings after it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn load(&self, room: &RoomId, limit: usize) -> Result<Loaded, StoreError> {
        let heads = self.heads(slice::from_ref(room)).await?;
        let revision = heads.get(room).map(|head| head.revision);
        let newest = Page {
            after: Seq::ZERO,
            before: Seq::END,
            limit,
            keep: Keep::Newest,
        };
        Ok(Loaded {
            messages: self.read(room, newest).await?,
            revision: revision.unwrap_or_default(),
            settings: self.rooms().settings(room).await?,
        })
    }

    /// Reads a part of the replies to a message, oldest first. Unreadable rows are skipped.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn read_replies(
        &self,
        room: &RoomId,
        to: Seq,
        page: Page,
    ) -> Result<Vec<Message>, StoreError>;

    /// Reads the messages of a room with changes after a revision, in the order of their newest
    /// ones, and at most `limit` of them.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn read_changes(
        &self,
        room: &RoomId,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError>;

    /// Returns a user's message by the user's own identifier of it, if it is stored.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn find_sent(
        &self,
        room: &RoomId,
        user: &UserId,
        id: &ClientMessageId,
    ) -> Result<Option<Message>, StoreError>;

    /// Returns the ends of the logs of these rooms; rooms that nobody used or created are left out.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn heads(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, Head>, StoreError>;

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

    /// Returns the memberships, kept beside the log.
    fn memberships(&self) -> &dyn MembershipStore;

    /// Returns the settings and members of rooms, kept beside the log.
    fn rooms(&self) -> &dyn RoomStore;

    /// Returns the conversations, if the store has any.
    fn conversations(&self) -> Option<&dyn ConversationStore> {
        None
    }

    /// Returns the calls, if the store has any.
    fn calls(&self) -> Option<&dyn CallStore> {
        None
    }

    /// Returns the archive, if the store has one.
    fn archive(&self) -> Option<&dyn ArchiveStore> {
        None
    }

    /// Returns the index of words, if the store has one.
    fn search(&self) -> Option<&dyn SearchStore> {
        None
    }

    /// Returns the figures of the reads.
    fn metrics(&self) -> metrics::Store {
        metrics::Store::default()
    }

    /// Returns the use of the connections.
    fn connections(&self) -> Connections {
        Connections::default()
    }

    /// Returns the state of webhooks, if the store keeps it.
    fn webhooks(&self) -> Option<&dyn WebhookStore> {
        None
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
