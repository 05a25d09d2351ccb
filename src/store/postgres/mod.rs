//! The log on Postgres: one statement per batch.

mod append;
mod archive;
mod calls;
mod change;
mod conversations;
pub(crate) mod direct;
mod index;
mod memberships;
mod migrate;
mod options;
mod pools;
mod read;
mod revised;
mod rooms;
mod schema;
mod search;
mod tails;
mod webhooks;
mod work;

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;

pub use self::{
    options::{Encryption, connect_options},
    pools::IDLE_BEFORE_PING,
    schema::Schema,
    work::LOCK_TIMEOUT,
};
use self::{pools::Pools, work::Work};
use super::{
    archive_store::ArchiveStore,
    batch::Distinct,
    call_store::CallStore,
    conversation_store::ConversationStore,
    error::{MigrateError, StoreError},
    fault,
    membership_store::{ListPlace, MembershipStore},
    message_store::MessageStore,
    page::{Head, Loaded, Page, saturated},
    room_store::RoomStore,
    search_store::SearchStore,
    tables::PROBE,
    webhook_store::WebhookStore,
};
use crate::{
    metrics::{self, Connections},
    model::{
        Change, ClientMessageId, Committed, Draft, Followed, Latest, ListedRoom, Mark, Marked,
        Message, Read, Revision, RoomChange, RoomChanged, RoomId, RoomMember, RoomRefusal,
        RoomSettings, Seq, Standing, Stored, UserId,
    },
};

/// The log on a Postgres server.
#[derive(Debug)]
pub struct PostgresStore {
    pools: Pools,
    /// The host and the database, as error texts name them.
    place: String,
}

impl PostgresStore {
    /// Takes a `postgres://` URL. The store connects when first used, with at most
    /// `max_connections`.
    ///
    /// # Errors
    ///
    /// When the URL is malformed.
    pub fn open(
        url: &str,
        max_connections: u32,
        encryption: Encryption,
        schema: Option<Schema>,
    ) -> Result<Self, sqlx::Error> {
        let options = options::connect_options(url, encryption)?;
        let place = options::place(&options);
        let pools = Pools::new(options, max_connections.max(1), schema);
        Ok(Self { pools, place })
    }
}

#[async_trait]
impl MessageStore for PostgresStore {
    async fn migrate(&self) -> Result<(), MigrateError> {
        migrate::migrate(&self.pools)
            .await
            .map_err(|error| error.at(&self.place))
    }

    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError> {
        let distinct = Distinct::new(drafts);
        let messages = append::append(&self.pools, distinct.drafts()).await?;
        Ok(distinct.answer(drafts, messages))
    }

    async fn commit(&self, drafts: &[Draft], changes: &[Change]) -> Result<Committed, StoreError> {
        change::commit(&self.pools, drafts, changes).await
    }

    async fn read_replies(
        &self,
        room: &RoomId,
        to: Seq,
        page: Page,
    ) -> Result<Vec<Message>, StoreError> {
        let reading = revised::read_replies(&self.pools, room, to, page);
        self.pools.metrics().read(reading).await
    }

    async fn read_changes(
        &self,
        room: &RoomId,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let reading = revised::read_changes(&self.pools, room, after, limit);
        self.pools.metrics().read(reading).await
    }

    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError> {
        let reading = read::read(&self.pools, room, page);
        self.pools.metrics().read(reading).await
    }

    async fn load(&self, room: &RoomId, limit: usize) -> Result<Loaded, StoreError> {
        let reading = read::load(&self.pools, room, limit);
        self.pools.metrics().read(reading).await
    }

    async fn find_sent(
        &self,
        room: &RoomId,
        user: &UserId,
        id: &ClientMessageId,
    ) -> Result<Option<Message>, StoreError> {
        let reading = read::find_sent(&self.pools, room, user, id);
        self.pools.metrics().read(reading).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, Head>, StoreError> {
        tails::heads(&self.pools, rooms).await
    }

    async fn read_tails(
        &self,
        places: &[(RoomId, Seq)],
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let reading = tails::read(&self.pools, places, limit);
        self.pools.metrics().read(reading).await
    }

    fn memberships(&self) -> &dyn MembershipStore {
        self
    }

    fn rooms(&self) -> &dyn RoomStore {
        self
    }

    fn conversations(&self) -> Option<&dyn ConversationStore> {
        Some(self)
    }

    fn calls(&self) -> Option<&dyn CallStore> {
        Some(self)
    }

    fn archive(&self) -> Option<&dyn ArchiveStore> {
        Some(self)
    }

    fn search(&self) -> Option<&dyn SearchStore> {
        Some(self)
    }

    fn metrics(&self) -> metrics::Store {
        self.pools.metrics().clone()
    }

    fn connections(&self) -> Connections {
        self.pools.connections()
    }

    fn webhooks(&self) -> Option<&dyn WebhookStore> {
        Some(self)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let answer = self.pools.fetch(Work::Probe, || sqlx::query(PROBE));
        answer.await.map(drop).map_err(fault::classify)
    }

    async fn close(&self) {
        self.pools.close().await;
    }
}

#[async_trait]
impl MembershipStore for PostgresStore {
    async fn mark(&self, marks: &[Mark]) -> Result<Vec<Marked>, StoreError> {
        memberships::mark(&self.pools, marks).await
    }

    async fn positions(
        &self,
        readers: &[(RoomId, UserId)],
    ) -> Result<HashMap<(RoomId, UserId), Seq>, StoreError> {
        memberships::positions(&self.pools, readers).await
    }

    async fn readers(&self, room: &RoomId, limit: usize) -> Result<Vec<Read>, StoreError> {
        memberships::readers(&self.pools, room, saturated(limit)).await
    }

    async fn follow(
        &self,
        user: &UserId,
        room: &RoomId,
        muted: Option<bool>,
    ) -> Result<bool, StoreError> {
        memberships::follow(&self.pools, user, room, muted).await
    }

    async fn unfollow(&self, user: &UserId, room: &RoomId) -> Result<(), StoreError> {
        memberships::unfollow(&self.pools, user, room).await
    }

    async fn followed(&self, users: &[UserId]) -> Result<Vec<Followed>, StoreError> {
        memberships::followed(&self.pools, users).await
    }

    async fn list(
        &self,
        user: &UserId,
        after: Option<&ListPlace>,
        limit: usize,
    ) -> Result<Vec<ListedRoom>, StoreError> {
        memberships::list(&self.pools, user, after, saturated(limit)).await
    }

    async fn latest(&self, places: &[(RoomId, Seq)]) -> Result<Vec<Latest>, StoreError> {
        memberships::latest(&self.pools, places).await
    }
}

#[async_trait]
impl RoomStore for PostgresStore {
    async fn change(
        &self,
        change: &RoomChange,
    ) -> Result<Result<RoomChanged, RoomRefusal>, StoreError> {
        rooms::change(&self.pools, change).await
    }

    async fn settings(&self, room: &RoomId) -> Result<Option<RoomSettings>, StoreError> {
        rooms::settings(&self.pools, room).await
    }

    async fn standings(
        &self,
        places: &[(RoomId, UserId)],
    ) -> Result<HashMap<(RoomId, UserId), Standing>, StoreError> {
        rooms::standings(&self.pools, places).await
    }

    async fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<RoomMember>, StoreError> {
        rooms::members(&self.pools, room, after, saturated(limit)).await
    }
}
