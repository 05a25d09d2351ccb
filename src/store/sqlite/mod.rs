//! The log on SQLite: the embedded default, one file beside the program.

mod append;
mod archive;
mod calls;
mod change;
mod conversations;
mod memberships;
mod migrate;
mod place;
mod read;
mod rooms;
mod search;
mod webhooks;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{
    Sqlite, SqlitePool,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::place::Place;
use super::{
    archive_store::ArchiveStore,
    batch::Distinct,
    call_store::CallStore,
    conversation_store::ConversationStore,
    error::{MigrateError, StoreError},
    fault,
    limits::ACQUIRE_TIMEOUT,
    membership_store::{ListPlace, MembershipStore},
    message_store::MessageStore,
    page::{Head, Page, saturated},
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

/// The lock timeout of a writer while another process writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The lock timeout of a probe while another process writes to the same file.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The log in an SQLite file, in WAL mode with `synchronous=FULL`: a commit survives a power cut.
#[derive(Debug)]
pub struct SqliteStore {
    options: SqliteConnectOptions,
    place: Arc<Place>,
    /// One connection: SQLite has one writer at a time, and waiting for it here is fair.
    writer: SqlitePool,
    readers: SqlitePool,
    /// One connection for probes: a probe waits for the write lock like a writer.
    prober: SqlitePool,
    metrics: metrics::Store,
}

impl SqliteStore {
    /// Takes the `sqlite:` URL of a file. [`MessageStore::migrate`] creates it and its folder.
    ///
    /// One connection writes, one probes, the rest of `max_connections` (at least one more) read.
    ///
    /// # Errors
    ///
    /// When the URL is malformed, or names a database in memory.
    pub fn open(url: &str, max_connections: u32) -> Result<Self, sqlx::Error> {
        let options = url
            .parse::<SqliteConnectOptions>()?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        if is_in_memory(url) {
            return Err(sqlx::Error::Configuration(
                "must name a file: each connection would have a database in memory of its own"
                    .into(),
            ));
        }
        let place = Arc::new(Place::new(options.get_filename()));
        let existing = options.clone().create_if_missing(false);
        let probing = existing.clone().busy_timeout(PROBE_TIMEOUT);
        Ok(Self {
            // The write-ahead log stays in its place as long as this connection lives.
            writer: pool(1, &place, true)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_lazy_with(existing.clone()),
            readers: pool(max_connections.saturating_sub(2), &place, false)
                .connect_lazy_with(existing),
            prober: pool(1, &place, false).connect_lazy_with(probing),
            options: options.create_if_missing(true),
            place,
            metrics: metrics::Store::default(),
        })
    }

    /// Takes the writing connection, and checks the file's place.
    async fn writer(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.place.check()?;
        let acquired = self.metrics.wait(self.writer.acquire()).await;
        acquired.map_err(fault::classify)
    }

    /// Notes the outcome of a write, and checks the file's place again.
    async fn wrote<T>(
        &self,
        connection: PoolConnection<Sqlite>,
        outcome: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Err(StoreError::Unavailable(_)) = outcome {
            // SQLite itself ends a transaction after a failed write. The pool takes it for open,
            // and would begin no other one.
            self.place.forget_log();
            connection.close().await.ok();
            return outcome;
        }
        self.place.note_log();
        self.place.check()?;
        outcome
    }
}

fn pool(max_connections: u32, place: &Arc<Place>, writes: bool) -> SqlitePoolOptions {
    let place = place.clone();
    SqlitePoolOptions::new()
        .max_connections(max_connections.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |_, _| {
            let place = place.clone();
            Box::pin(async move {
                if writes {
                    place.forget_log();
                }
                Ok(place.look()?)
            })
        })
}

#[async_trait]
impl MessageStore for SqliteStore {
    async fn migrate(&self) -> Result<(), MigrateError> {
        let place = self.options.get_filename().display().to_string();
        migrate::migrate(&self.options, &self.place)
            .await
            .map_err(|error| error.at(&place))
    }

    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError> {
        let distinct = Distinct::new(drafts);
        let mut connection = self.writer().await?;
        let outcome = append::commit(&mut connection, distinct.drafts()).await;
        let messages = self.wrote(connection, outcome).await?;
        Ok(distinct.answer(drafts, messages))
    }

    async fn commit(&self, drafts: &[Draft], changes: &[Change]) -> Result<Committed, StoreError> {
        let mut connection = self.writer().await?;
        let outcome = change::commit(&mut connection, drafts, changes).await;
        self.wrote(connection, outcome).await
    }

    async fn read_replies(
        &self,
        room: &RoomId,
        to: Seq,
        page: Page,
    ) -> Result<Vec<Message>, StoreError> {
        self.place.check()?;
        let reading = change::read_replies(&self.readers, room, to, page);
        self.metrics.read(reading).await
    }

    async fn read_changes(
        &self,
        room: &RoomId,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.place.check()?;
        let reading = change::read(&self.readers, room, after, limit);
        self.metrics.read(reading).await
    }

    async fn find_sent(
        &self,
        room: &RoomId,
        user: &UserId,
        id: &ClientMessageId,
    ) -> Result<Option<Message>, StoreError> {
        self.place.check()?;
        let reading = read::find_sent(&self.readers, room, user, id);
        self.metrics.read(reading).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, Head>, StoreError> {
        self.place.check()?;
        read::heads(&self.readers, rooms).await
    }

    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError> {
        self.place.check()?;
        let reading = read::read(&self.readers, room, page);
        self.metrics.read(reading).await
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
        self.metrics.clone()
    }

    fn connections(&self) -> Connections {
        let pools = [&self.writer, &self.readers, &self.prober];
        let pools = pools.into_iter();
        pools
            .map(|pool| Connections {
                max: pool.options().get_max_connections() as usize,
                open: pool.size() as usize,
                idle: pool.num_idle(),
            })
            .sum()
    }

    fn webhooks(&self) -> Option<&dyn WebhookStore> {
        Some(self)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.place.check()?;
        let answer = sqlx::query(PROBE).execute(&self.prober).await;
        answer.map(drop).map_err(fault::classify)
    }

    async fn close(&self) {
        self.place.forget_log();
        self.prober.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[async_trait]
impl MembershipStore for SqliteStore {
    async fn mark(&self, marks: &[Mark]) -> Result<Vec<Marked>, StoreError> {
        let mut connection = self.writer().await?;
        let outcome = memberships::mark(&mut connection, marks).await;
        self.wrote(connection, outcome).await
    }

    async fn positions(
        &self,
        readers: &[(RoomId, UserId)],
    ) -> Result<HashMap<(RoomId, UserId), Seq>, StoreError> {
        self.place.check()?;
        memberships::positions(&self.readers, readers).await
    }

    async fn readers(&self, room: &RoomId, limit: usize) -> Result<Vec<Read>, StoreError> {
        self.place.check()?;
        memberships::readers(&self.readers, room, saturated(limit)).await
    }

    async fn follow(
        &self,
        user: &UserId,
        room: &RoomId,
        muted: Option<bool>,
    ) -> Result<bool, StoreError> {
        let mut connection = self.writer().await?;
        let outcome = memberships::follow(&mut connection, user, room, muted).await;
        self.wrote(connection, outcome).await
    }

    async fn unfollow(&self, user: &UserId, room: &RoomId) -> Result<(), StoreError> {
        let mut connection = self.writer().await?;
        let outcome = memberships::unfollow(&mut connection, user, room).await;
        self.wrote(connection, outcome).await
    }

    async fn followed(&self, users: &[UserId]) -> Result<Vec<Followed>, StoreError> {
        self.place.check()?;
        memberships::followed(&self.readers, users).await
    }

    async fn list(
        &self,
        user: &UserId,
        after: Option<&ListPlace>,
        limit: usize,
    ) -> Result<Vec<ListedRoom>, StoreError> {
        self.place.check()?;
        memberships::list(&self.readers, user, after, saturated(limit)).await
    }

    async fn latest(&self, places: &[(RoomId, Seq)]) -> Result<Vec<Latest>, StoreError> {
        self.place.check()?;
        memberships::latest(&self.readers, places).await
    }
}

#[async_trait]
impl RoomStore for SqliteStore {
    async fn change(
        &self,
        change: &RoomChange,
    ) -> Result<Result<RoomChanged, RoomRefusal>, StoreError> {
        let mut connection = self.writer().await?;
        let outcome = rooms::change(&mut connection, change).await;
        self.wrote(connection, outcome).await
    }

    async fn settings(&self, room: &RoomId) -> Result<Option<RoomSettings>, StoreError> {
        self.place.check()?;
        rooms::settings(&self.readers, room).await
    }

    async fn standings(
        &self,
        places: &[(RoomId, UserId)],
    ) -> Result<HashMap<(RoomId, UserId), Standing>, StoreError> {
        self.place.check()?;
        rooms::standings(&self.readers, places).await
    }

    async fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<RoomMember>, StoreError> {
        self.place.check()?;
        rooms::members(&self.readers, room, after, saturated(limit)).await
    }
}

fn is_in_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}
