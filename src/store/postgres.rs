//! The log on Postgres: one statement per batch.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    Connection, PgConnection, PgPool,
    migrate::{MigrateError as MigrationError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode},
};
use tokio::time::timeout;

use super::{
    ACQUIRE_TIMEOUT, Encryption, Keep, MessageStore, MigrateError, PROBE, Page, STATEMENT_TIMEOUT, StoreError,
    TRUSTED_REST, batch::Distinct, fault, migration, row,
};
use crate::model::{Body, ClientMessageId, Draft, Message, RoomId, Seq, Stored, UserId};

/// Stores a batch in one statement, so that it costs one round trip and one commit.
///
/// Rooms are counted up in the order of their names, in which they come, so that two writers cannot wait for each other in a
/// circle. A row counted up stays locked until the commit, which is what makes a room's messages visible in `seq` order.
///
/// It does not look for messages that the log holds already. A repeated send breaks a unique index; so does one that another
/// writer commits meanwhile. [`HELD`] then finds the message. Looking costs nearly as much as storing (`benches/writer.rs`:
/// 24 thousand messages a second with it and 37 thousand without), and repeated sends are rare.
///
/// The planner, which takes every array for ten rows, joins drafts and rooms by hashing.
///
/// What can be worked out here is not asked of the database: with window functions that numbered the messages, and a row of
/// answer for each, the statement took half as long again for a batch of 512 and twice as long for a single message.
const APPEND: &str = r#"
WITH counted AS (
    INSERT INTO rooms (room_id, last_seq)
    SELECT room_id, new FROM unnest($1::text[], $2::bigint[]) AS batch (room_id, new)
    ON CONFLICT (room_id) DO UPDATE SET last_seq = rooms.last_seq + excluded.last_seq
    RETURNING room_id, last_seq
), stored AS (
    INSERT INTO messages (room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp")
    SELECT room_id, last_seq - later, id, user_id, operator_id, message, client_message_id, "timestamp"
    FROM unnest($3::text[], $4::bigint[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[])
        AS draft (room_id, later, id, user_id, operator_id, message, client_message_id, "timestamp")
    JOIN counted USING (room_id)
)
SELECT room_id, last_seq AS seq FROM counted"#;

/// The drafts of a batch that are in the log already, by their place in the batch, from 1.
const HELD: &str = r#"
SELECT place, held.*
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY
    AS draft (room_id, id, user_id, client_message_id, place)
CROSS JOIN LATERAL (
    SELECT m.* FROM messages m WHERE m.id = draft.id AND m.client_message_id IS NULL
    UNION ALL
    SELECT m.* FROM messages m
    WHERE m.room_id = draft.room_id COLLATE "C" AND m.user_id = draft.user_id COLLATE "C"
        AND m.client_message_id = draft.client_message_id COLLATE "C"
) AS held"#;

const READ_OLDEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages
WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4"#;

const READ_NEWEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages
WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4"#;

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
            .test_before_acquire(false)
            .before_acquire(|connection, rest| Box::pin(async move { test(connection, rest.idle_for).await }))
            .connect_lazy_with(options.clone());
        Ok(Self { options, pool })
    }

    /// Stores drafts that the log does not hold.
    ///
    /// Errors: [`StoreError::Conflict`] when it does hold one.
    async fn store(&self, drafts: &[&Draft]) -> Result<Vec<Message>, StoreError> {
        if drafts.is_empty() {
            return Ok(vec![]);
        }
        let batch = ByRoom::of(drafts);
        let rows = self.run(async |connection| append(drafts, &batch).fetch_all(connection).await).await?;
        let counted = rows.iter().map(|row| Ok((row::value(row, "room_id")?, row::seq(row)?)));
        let counted: HashMap<&str, Seq> = counted.collect::<Result<_, StoreError>>()?;
        let numbered = drafts.iter().zip(&batch.later).map(|(draft, &later)| {
            let last = counted.get(draft.room_id.as_str()).ok_or_else(|| row::unreadable("room_id", "not answered"))?;
            let seq = (last.get() - later).try_into().map_err(|error| row::unreadable("seq", error))?;
            Ok(draft.at(seq))
        });
        numbered.collect()
    }

    /// Stores those drafts that the log does not hold, after a look for the others.
    async fn look_and_store(&self, drafts: &[&Draft]) -> Result<Vec<Message>, StoreError> {
        let rows = self.run(async |connection| held(drafts).fetch_all(connection).await).await?;
        let mut answers = vec![None; drafts.len()];
        for row in &rows {
            let place: i64 = row::value(row, "place")?;
            let slot = usize::try_from(place - 1).ok().and_then(|place| answers.get_mut(place));
            *slot.ok_or_else(|| row::unreadable("place", place))? = Some(message(row)?);
        }
        let fresh = drafts.iter().zip(&answers).filter(|(_, answer)| answer.is_none());
        let fresh: Vec<_> = fresh.map(|(draft, _)| *draft).collect();
        let mut stored = self.store(&fresh).await?.into_iter();
        let answers = answers.into_iter().map(|held| held.or_else(|| stored.next()));
        answers.collect::<Option<_>>().ok_or_else(|| StoreError::Unreadable("not every draft was answered".into()))
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

/// Whether a connection that has rested so long serves.
async fn test(connection: &mut PgConnection, rest: Duration) -> Result<bool, sqlx::Error> {
    if rest >= TRUSTED_REST {
        connection.ping().await?;
    }
    Ok(true)
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
        let messages = match self.store(distinct.drafts()).await {
            Err(StoreError::Conflict(_)) => self.look_and_store(distinct.drafts()).await?,
            messages => messages?,
        };
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
    Migrator::with_migrations(vec![
        migration(1, "messages", include_str!("../../migrations/postgres/0001_messages.sql")),
        migration(
            2,
            "one index for a repeat",
            include_str!("../../migrations/postgres/0002_one_index_for_a_repeat.sql"),
        ),
    ])
}

/// How a batch's drafts are spread over rooms.
struct ByRoom<'a> {
    /// How many messages each room gets, in the order of the rooms' names.
    new: BTreeMap<&'a str, i64>,
    /// For each draft, how many later ones are for the same room.
    later: Vec<i64>,
}

impl<'a> ByRoom<'a> {
    fn of(drafts: &[&'a Draft]) -> Self {
        let mut new = BTreeMap::new();
        let mut later: Vec<_> = drafts
            .iter()
            .rev()
            .map(|draft| {
                let count = new.entry(draft.room_id.as_str()).or_default();
                *count += 1;
                *count - 1
            })
            .collect();
        later.reverse();
        Self { new, later }
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn column<'a, T>(drafts: &[&'a Draft], field: impl Fn(&'a Draft) -> T) -> Vec<T> {
    drafts.iter().map(|draft| field(draft)).collect()
}

fn append(drafts: &[&Draft], batch: &ByRoom<'_>) -> Query<'static> {
    sqlx::query(APPEND)
        .bind(batch.new.keys().copied().collect::<Vec<_>>())
        .bind(batch.new.values().copied().collect::<Vec<_>>())
        .bind(column(drafts, |draft| draft.room_id.as_str()))
        .bind(&batch.later)
        .bind(column(drafts, |draft| draft.id))
        .bind(column(drafts, |draft| draft.user_id.as_str()))
        .bind(column(drafts, |draft| draft.operator_id.as_ref().map(UserId::as_str)))
        .bind(column(drafts, |draft| draft.body.as_str()))
        .bind(column(drafts, |draft| draft.client_message_id.as_ref().map(ClientMessageId::as_str)))
        .bind(column(drafts, |draft| draft.timestamp))
}

fn held(drafts: &[&Draft]) -> Query<'static> {
    sqlx::query(HELD)
        .bind(column(drafts, |draft| draft.room_id.as_str()))
        .bind(column(drafts, |draft| draft.id))
        .bind(column(drafts, |draft| draft.user_id.as_str()))
        .bind(column(drafts, |draft| draft.client_message_id.as_ref().map(ClientMessageId::as_str)))
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
