//! The log on Postgres: one statement per batch.

mod append;
mod migrate;
mod session;

use std::{future::Future, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{
    AssertSqlSafe, Connection, Decode, PgConnection, Postgres, Type,
    error::BoxDynError,
    postgres::{PgConnectOptions, PgRow, PgSslMode, PgTypeInfo, PgValueRef},
};
use tokio::time::timeout;

pub use self::session::{LOCK_TIMEOUT, Schema};
use self::{
    append::{ByRoom, Query},
    session::{Sessions, Work},
};
use super::{
    ACQUIRE_TIMEOUT, Encryption, Keep, MessageStore, MigrateError, PROBE, Page, STATEMENT_TIMEOUT,
    StoreError, batch::Distinct, fault, reading::Reading, row,
};
use crate::model::{Body, Draft, Message, RoomId, Stored};

const READ_OLDEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages
WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4"#;

const READ_NEWEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages
WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4"#;

/// The log on a Postgres server.
#[derive(Debug)]
pub struct PostgresStore {
    sessions: Sessions,
    schema: Option<Schema>,
    /// The host and the database, for whoever has to look after them.
    place: String,
}

impl PostgresStore {
    /// Takes a `postgres://` URL; connects when first used, with at most `max_connections`.
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
        let options = encrypted(url.parse()?, encryption);
        let place = place(&options);
        Ok(Self {
            sessions: Sessions::new(options, max_connections.max(1), schema.as_ref()),
            schema,
            place,
        })
    }

    /// Stores drafts that the log does not hold.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when it does hold one, [`StoreError::Locked`] when another session
    /// holds up some rooms.
    async fn store(&self, drafts: &[&Draft]) -> Result<Vec<Message>, StoreError> {
        if drafts.is_empty() {
            return Ok(vec![]);
        }
        let batch = ByRoom::new(drafts);
        match self
            .ask(Work::Write, || append::append(drafts, &batch))
            .await
        {
            Ok(rows) => batch.numbered(drafts, &rows),
            Err(cause) if fault::is_lock_timeout(&cause) => Err(self.locked(drafts, cause).await),
            Err(cause) => Err(fault::classify(cause)),
        }
    }

    /// Names the rooms that are in the way, unless a whole table is.
    async fn locked(&self, drafts: &[&Draft], cause: sqlx::Error) -> StoreError {
        let rows = self.ask(Work::Inspect, || append::locked(drafts)).await;
        match rows
            .map_err(fault::classify)
            .and_then(|rows| append::rooms(&rows))
        {
            Ok(rooms) => StoreError::Locked {
                rooms,
                cause: cause.into(),
            },
            Err(_) => StoreError::Unavailable(cause.into()),
        }
    }

    /// Stores those drafts that the log does not hold, after a look for the others.
    async fn look_and_store(&self, drafts: &[&Draft]) -> Result<Vec<Message>, StoreError> {
        let rows = self
            .ask(Work::Write, || append::held(drafts))
            .await
            .map_err(fault::classify)?;
        let mut answers = vec![None; drafts.len()];
        for row in &rows {
            let place: i64 = row::value(row, "place")?;
            let slot = usize::try_from(place - 1)
                .ok()
                .and_then(|place| answers.get_mut(place));
            *slot.ok_or_else(|| row::unreadable("place", place))? = Some(message(row)?);
        }
        let fresh = drafts
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_none());
        let fresh: Vec<_> = fresh.map(|(draft, _)| *draft).collect();
        let mut stored = self.store(&fresh).await?.into_iter();
        let answers = answers
            .into_iter()
            .map(|held| held.or_else(|| stored.next()));
        answers
            .collect::<Option<_>>()
            .ok_or_else(|| StoreError::Unreadable("not every draft was answered".into()))
    }

    /// Asks the database, once more when the answer tells that a pooler stands between.
    async fn ask<'q>(
        &self,
        work: Work,
        query: impl Fn() -> Query<'q>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let direct = !self.sessions.are_pooled();
        match self.try_to_ask(work, query()).await {
            Err(error) if direct && self.sessions.learn_from(&error) => {
                self.try_to_ask(work, query()).await
            }
            answer => answer,
        }
    }

    /// Asks the database on a connection of the work's pool.
    ///
    /// One that does not serve, or not in time, is thrown away: it may lead to a server that is not
    /// the primary any more, or be read-only for as long as it lives, as with
    /// `default_transaction_read_only`. A new one may serve.
    async fn try_to_ask(&self, work: Work, query: Query<'_>) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut connection = self.sessions.pool(work).acquire().await?;
        let answer = in_time(STATEMENT_TIMEOUT, self.ask_on(&mut connection, work, query)).await;
        if answer.as_ref().is_err_and(fault::is_connection_fault) {
            drop(connection.detach());
        }
        answer
    }

    async fn ask_on(
        &self,
        connection: &mut PgConnection,
        work: Work,
        query: Query<'_>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        if work != Work::Probe && !self.sessions.are_pooled() {
            return query.fetch_all(connection).await;
        }
        let begin = AssertSqlSafe(work.begin(self.schema.as_ref()));
        let mut transaction = connection.begin_with(begin).await?;
        let rows = query.persistent(false).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    async fn try_to_migrate(&self) -> Result<(), MigrateError> {
        // A connection of its own, without the settings of the others: making an index may take
        // long.
        let connecting = in_time(
            ACQUIRE_TIMEOUT,
            PgConnection::connect_with(self.sessions.plain()),
        )
        .await;
        let mut connection = connecting
            .map_err(|cause| MigrateError::Unavailable(fault::reason(&cause).to_string()))?;
        let result = migrate::migrate(&mut connection, self.schema.as_ref()).await;
        connection.close().await.ok();
        result
    }
}

/// `prefer`, the mode of a URL that names none, would go on in clear text when it is told that the
/// server has no TLS.
fn encrypted(options: PgConnectOptions, encryption: Encryption) -> PgConnectOptions {
    match (encryption, options.get_ssl_mode()) {
        (Encryption::Required, PgSslMode::Prefer) => options.ssl_mode(PgSslMode::Require),
        _ => options,
    }
}

/// The host and the database, without user and password.
fn place(options: &PgConnectOptions) -> String {
    let database = options
        .get_database()
        .unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(folder) => format!("database {database:?} at {}", folder.display()),
        None => format!(
            "database {database:?} at {}:{}",
            options.get_host(),
            options.get_port()
        ),
    }
}

async fn in_time<T>(
    limit: std::time::Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let timed_out = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    timeout(limit, work).await.unwrap_or_else(timed_out)
}

#[async_trait]
impl MessageStore for PostgresStore {
    async fn migrate(&self) -> Result<(), MigrateError> {
        self.try_to_migrate()
            .await
            .map_err(|error| error.at(&self.place))
    }

    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError> {
        let distinct = Distinct::new(drafts);
        let messages = match self.store(distinct.drafts()).await {
            Err(StoreError::Conflict(_)) => self.look_and_store(distinct.drafts()).await?,
            messages => messages?,
        };
        Ok(distinct.answer(drafts, messages))
    }

    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError> {
        let mut reading = Reading::new(page);
        while let Some(page) = reading.rest() {
            let rows = self
                .ask(Work::Read, || select(room, page))
                .await
                .map_err(fault::classify)?;
            reading.take(&rows, |row| row::seq(row), message)?;
        }
        reading.finish()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ask(Work::Probe, || sqlx::query(PROBE))
            .await
            .map(drop)
            .map_err(fault::classify)
    }

    async fn close(&self) {
        self.sessions.close().await;
    }
}

fn select(room: &RoomId, page: Page) -> Query<'_> {
    let sql = match page.keep {
        Keep::Oldest => READ_OLDEST,
        Keep::Newest => READ_NEWEST,
    };
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    sqlx::query(sql)
        .bind(room.as_str())
        .bind(page.after.get())
        .bind(page.before.get())
        .bind(limit)
}

/// A `timestamptz` as Postgres sends it, in microseconds since 2000. Not every one is a time of
/// `chrono`'s.
struct Micros(i64);

/// 2000-01-01 in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

impl Type<Postgres> for Micros {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Micros {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <i64 as Decode<Postgres>>::decode(value).map(Self)
    }
}

fn message(row: &PgRow) -> Result<Message, StoreError> {
    Ok(Message {
        id: row::value(row, "id")?,
        room_id: row::parsed(row, "room_id")?,
        seq: row::seq(row)?,
        user_id: row::parsed(row, "user_id")?,
        operator_id: row::optional(row, "operator_id")?,
        body: Body::stored(row::value(row, "message")?),
        timestamp: row::time(
            row::value::<_, Micros>(row, "timestamp")?
                .0
                .saturating_add(EPOCH),
        ),
        client_message_id: row::optional(row, "client_message_id")?,
    })
}
