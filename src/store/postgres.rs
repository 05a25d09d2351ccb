//! The log on Postgres: one statement per batch.

use std::borrow::Cow;

use async_trait::async_trait;
use sqlx::{
    Connection, PgConnection, PgPool, SqlSafeStr,
    migrate::{MigrateError as MigrationError, Migration, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode},
};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    ACQUIRE_TIMEOUT, Encryption, Keep, MessageStore, MigrateError, PROBE, Page, STATEMENT_TIMEOUT, StoreError,
    batch::Distinct, fault, row,
};
use crate::model::{Body, ClientMessageId, Draft, Message, RoomId, Stored, UserId};

/// Stores a batch in one statement, so that it costs one round trip and one commit.
///
/// Rooms are counted up in the order of their names, so that two writers cannot wait for each other in a circle.
/// A row counted up stays locked until the commit, which is what makes a room's messages visible in `seq` order.
///
/// The `FULL JOIN`, although every row has its partner, is there because it cannot be done by a nested loop: the planner, which
/// guesses that a batch has few rows, would choose one, and with 512 messages to 100 rooms spend half of the time in it.
///
/// Whether it first looks for messages that the log holds already is its last argument. Without looking, a repeated send
/// breaks a unique index; so does one that looks, when another writer commits the same send while it waits for the room.
/// The next attempt that looks finds the message.
const APPEND: &str = r#"
WITH input AS (
    SELECT id, room_id COLLATE "C" AS room_id, user_id COLLATE "C" AS user_id, operator_id, message,
        client_message_id COLLATE "C" AS client_message_id, "timestamp", place
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
        WITH ORDINALITY
        AS input (id, room_id, user_id, operator_id, message, client_message_id, "timestamp", place)
), held AS (
    SELECT input.place, held.*
    FROM input CROSS JOIN LATERAL (
        SELECT m.seq, m.id, m.operator_id, m.message, m."timestamp"
        FROM messages m WHERE m.id = input.id
        UNION ALL
        SELECT m.seq, m.id, m.operator_id, m.message, m."timestamp"
        FROM messages m
        WHERE m.room_id = input.room_id AND m.user_id = input.user_id
            AND m.client_message_id = input.client_message_id
        LIMIT 1
    ) AS held
    WHERE $8
), fresh AS (
    SELECT input.*,
        row_number() OVER (PARTITION BY room_id ORDER BY place) AS nth,
        count(*) OVER (PARTITION BY room_id) AS of
    FROM input
    WHERE NOT EXISTS (SELECT FROM held WHERE held.place = input.place)
), counted AS (
    INSERT INTO rooms (room_id, last_seq)
    SELECT DISTINCT room_id, of FROM fresh ORDER BY room_id
    ON CONFLICT (room_id) DO UPDATE SET last_seq = rooms.last_seq + excluded.last_seq
    RETURNING room_id, last_seq
), numbered AS (
    SELECT fresh.*, counted.last_seq - fresh.of + fresh.nth AS seq
    FROM fresh FULL JOIN counted USING (room_id)
), stored AS (
    INSERT INTO messages (room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp")
    SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp"
    FROM numbered
)
SELECT place, seq, NULL::uuid AS id, NULL AS operator_id, NULL AS message, NULL::timestamptz AS "timestamp"
FROM numbered
UNION ALL
SELECT place, seq, id, operator_id, message, "timestamp" FROM held
ORDER BY place"#;

const READ_OLDEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages
WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4"#;

const READ_NEWEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages
WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4"#;

/// Whether to look for messages that the log holds already before storing a batch.
///
/// Looking costs nearly as much as storing (`benches/writer.rs`: 24 thousand messages a second with it and
/// 37 thousand without, medians of alternating runs), and repeated sends are rare. So a batch is first stored without looking;
/// if a unique index refuses it, it is stored again after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    No,
    Yes,
}

/// The log on a Postgres server.
#[derive(Debug)]
pub struct PostgresStore {
    options: PgConnectOptions,
    pool: PgPool,
}

impl PostgresStore {
    /// Takes a `postgres://` URL; connects when first used, with at most `max_connections`.
    pub fn open(url: &str, max_connections: u32, encryption: Encryption) -> Result<Self, sqlx::Error> {
        // Every query here has an index to go by. On a new table, before it has statistics, the planner may think
        // that reading all of it is cheaper, and a prepared statement would keep that plan while the table grows.
        //
        // A plan is made once. Postgres plans small batches anew each time, as they look cheaper than those that it guesses for
        // a plan in common; that took a third of its time (`bench/`, workload `growth`, 1,000 rooms: 640 to 710 µs a message
        // with it, 470 to 490 without; large batches take as long as before).
        let options = encrypted(url.parse()?, encryption)
            .application_name("parlor")
            .options([("enable_seqscan", "off"), ("plan_cache_mode", "force_generic_plan")]);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options.clone());
        Ok(Self { options, pool })
    }

    async fn try_append(&self, drafts: &[&Draft], look: Look) -> Result<Vec<PgRow>, StoreError> {
        self.run(async |connection| append(drafts, look).fetch_all(connection).await).await
    }

    /// Runs `work` on a connection of the pool.
    ///
    /// One that does not serve, or not in time, is thrown away: it may lead to a server that is not the primary any more, or
    /// be read-only for as long as it lives, as with `default_transaction_read_only`. A new one may serve.
    async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(fault::classify)?;
        let outcome = timeout(STATEMENT_TIMEOUT, work(&mut connection)).await.unwrap_or_else(|_| Err(timed_out()));
        let outcome = outcome.map_err(fault::classify);
        if let Err(StoreError::Unavailable(_)) = outcome {
            drop(connection.detach());
        }
        outcome
    }
}

/// `prefer`, the mode of a URL that names none, would go on in clear text when it is told that the server has no TLS.
fn encrypted(options: PgConnectOptions, encryption: Encryption) -> PgConnectOptions {
    match (encryption, options.get_ssl_mode()) {
        (Encryption::Required, PgSslMode::Prefer) => options.ssl_mode(PgSslMode::Require),
        _ => options,
    }
}

#[async_trait]
impl MessageStore for PostgresStore {
    async fn migrate(&self) -> Result<(), MigrateError> {
        // A connection of its own: the migrator's lock belongs to it and must not outlive a failure.
        let connecting = timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&self.options)).await;
        let mut connection = connecting.unwrap_or_else(|_| Err(timed_out())).map_err(MigrateError::Unavailable)?;
        let result = migrate(&mut connection).await;
        connection.close().await.ok();
        result.map_err(fault::classify_migration)
    }

    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored>, StoreError> {
        let distinct = Distinct::of(drafts);
        let rows = match self.try_append(distinct.drafts(), Look::No).await {
            Err(StoreError::Conflict(_)) => self.try_append(distinct.drafts(), Look::Yes).await?,
            rows => rows?,
        };
        if rows.len() != distinct.drafts().len() {
            return Err(StoreError::Unreadable("not every draft was answered".into()));
        }
        let messages = distinct.drafts().iter().zip(&rows);
        let messages = messages.map(|(draft, row)| appended(draft, row)).collect::<Result<_, _>>()?;
        Ok(distinct.answer(drafts, messages))
    }

    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError> {
        let sql = match page.keep {
            Keep::Oldest => READ_OLDEST,
            Keep::Newest => READ_NEWEST,
        };
        let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
        let query = sqlx::query(sql).bind(room.as_str()).bind(page.after.get()).bind(page.before.get()).bind(limit);
        let mut rows = self.run(async |connection| query.fetch_all(connection).await).await?;
        if page.keep == Keep::Newest {
            rows.reverse();
        }
        rows.iter().map(message).collect()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run(async |connection| sqlx::query(PROBE).execute(connection).await.map(drop)).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

async fn migrate(connection: &mut PgConnection) -> Result<(), MigrationError> {
    migrator().run_direct(None, connection, false).await?;
    sqlx::query(PROBE).execute(connection).await?;
    Ok(())
}

fn migrator() -> Migrator {
    Migrator::with_migrations(vec![Migration::new(
        1,
        Cow::Borrowed("messages"),
        MigrationType::Simple,
        include_str!("../../migrations/postgres/0001_messages.sql").into_sql_str(),
        false,
    )])
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn append(drafts: &[&Draft], look: Look) -> Query<'static> {
    fn column<'a, T>(drafts: &[&'a Draft], field: impl Fn(&'a Draft) -> T) -> Vec<T> {
        drafts.iter().map(|draft| field(draft)).collect()
    }
    sqlx::query(APPEND)
        .bind(column(drafts, |draft| draft.id))
        .bind(column(drafts, |draft| draft.room_id.as_str()))
        .bind(column(drafts, |draft| draft.user_id.as_str()))
        .bind(column(drafts, |draft| draft.operator_id.as_ref().map(UserId::as_str)))
        .bind(column(drafts, |draft| draft.body.as_str()))
        .bind(column(drafts, |draft| draft.client_message_id.as_ref().map(ClientMessageId::as_str)))
        .bind(column(drafts, |draft| draft.timestamp))
        .bind(look == Look::Yes)
}

/// The message that a row of [`APPEND`]'s answer stands for: `draft` itself, or the one that the log held already.
fn appended(draft: &Draft, row: &PgRow) -> Result<Message, StoreError> {
    let mut message = draft.at(row::seq(row)?);
    if let Some(id) = row::value::<_, Option<Uuid>>(row, "id")? {
        message.id = id;
        message.operator_id = row::optional(row, "operator_id")?;
        message.body = Body::stored(row::value(row, "message")?);
        message.timestamp = row::value(row, "timestamp")?;
    }
    Ok(message)
}

fn message(row: &PgRow) -> Result<Message, StoreError> {
    Ok(Message {
        id: row::value(row, "id")?,
        room_id: row::parsed(row, "room_id")?,
        seq: row::seq(row)?,
        user_id: row::parsed(row, "user_id")?,
        operator_id: row::optional(row, "operator_id")?,
        body: Body::stored(row::value(row, "message")?),
        timestamp: row::value(row, "timestamp")?,
        client_message_id: row::optional(row, "client_message_id")?,
    })
}

fn timed_out() -> sqlx::Error {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
