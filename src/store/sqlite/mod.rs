//! The log on SQLite: the embedded default, one file beside the program.

mod place;

use std::{
    fs::{self, TryLockError},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use serde::Serialize;
use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    migrate::{MigrateError as MigrationError, Migrator},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use uuid::Uuid;

use self::place::Place;
use super::{
    ACQUIRE_TIMEOUT, Keep, MessageStore, MigrateError, PROBE, Page, StoreError, batch::Distinct,
    fault, migration, reading::Reading, row,
};
use crate::model::{Body, ClientMessageId, Draft, Message, RoomId, Seq, Stored, UserId};

/// How long a writer waits for another process that is writing to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a probe waits for another process that is writing to the same file.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The pause before the lock of another process that migrates is tried again.
const LOCK_DELAY: Duration = Duration::from_millis(50);

/// The drafts of a batch that are in the log already. A batch goes to the database as one JSON
/// array, so that it costs a few statements however long it is:
/// <https://www.sqlite.org/json1.html#jeach>.
const HELD: &str = r#"
SELECT input.key AS place, m.seq, m.room_id, m.id, m.user_id, m.operator_id, m.message, m.client_message_id, m."timestamp"
FROM jsonb_each(?1) AS input CROSS JOIN messages AS m
WHERE m.rowid = coalesce(
    (SELECT rowid FROM messages WHERE id = input.value ->> 'id' AND client_message_id IS NULL),
    (SELECT rowid FROM messages WHERE room_id = input.value ->> 'room_id'
        AND user_id = input.value ->> 'user_id' AND client_message_id = input.value ->> 'client_message_id'))"#;

/// Counts the rooms up, each by its number of new messages.
const COUNT: &str = r#"
INSERT INTO rooms (room_id, last_seq)
SELECT value ->> 'room_id', count(*) FROM jsonb_each(?1) WHERE true GROUP BY 1
ON CONFLICT (room_id) DO UPDATE SET last_seq = last_seq + excluded.last_seq"#;

/// Stores the new messages, numbered up to their room's count.
const INSERT: &str = r#"
INSERT INTO messages (room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp")
SELECT input.room_id,
    rooms.last_seq - count(*) OVER (PARTITION BY input.room_id)
        + row_number() OVER (PARTITION BY input.room_id ORDER BY input.place),
    input.id, input.user_id, input.operator_id, input.message, input.client_message_id, input."timestamp"
FROM (
    SELECT key AS place, value ->> 'room_id' AS room_id, value ->> 'id' AS id, value ->> 'user_id' AS user_id,
        value ->> 'operator_id' AS operator_id, value ->> 'message' AS message,
        value ->> 'client_message_id' AS client_message_id, value ->> 'timestamp' AS "timestamp"
    FROM jsonb_each(?1)
) AS input JOIN rooms USING (room_id)
RETURNING id, seq"#;

const READ_OLDEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages
WHERE room_id = ?1 AND seq > ?2 AND seq < ?3 ORDER BY seq LIMIT ?4"#;

const READ_NEWEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages
WHERE room_id = ?1 AND seq > ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4"#;

/// The log in an SQLite file, in WAL mode with `synchronous=FULL`: a commit survives a power cut.
#[derive(Debug)]
pub struct SqliteStore {
    options: SqliteConnectOptions,
    place: Arc<Place>,
    /// One connection: SQLite has one writer at a time, and waiting for it here is fair.
    writer: SqlitePool,
    readers: SqlitePool,
    /// One connection for probes, which wait as writers do.
    prober: SqlitePool,
}

impl SqliteStore {
    /// Takes a `sqlite:` URL that names a file; its folder and it are created by
    /// [`MessageStore::migrate`].
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
                "must name a file: a database in memory would be another one on each connection"
                    .into(),
            ));
        }
        let place = Arc::new(Place::new(options.get_filename()));
        let existing = options.clone().create_if_missing(false);
        let probing = existing.clone().busy_timeout(PROBE_TIMEOUT);
        Ok(Self {
            // As long as it lives, its write-ahead log is in its place.
            writer: pool(1, &place, true)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_lazy_with(existing.clone()),
            readers: pool(max_connections.saturating_sub(2), &place, false)
                .connect_lazy_with(existing),
            prober: pool(1, &place, false).connect_lazy_with(probing),
            options: options.create_if_missing(true),
            place,
        })
    }

    /// Holds a file beside the database locked while it lives, after waiting for whoever holds it
    /// now.
    async fn migration_lock(&self) -> std::io::Result<fs::File> {
        let mut path = PathBuf::from(self.options.get_filename());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        path.as_mut_os_string().push("-migrate.lock");
        let file = fs::File::create(path)?;
        // To wait in the operating system would keep the process from ending.
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_DELAY).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    async fn bring_up_to_date(&self) -> Result<(), MigrateError> {
        let _lock = self
            .migration_lock()
            .await
            .map_err(|cause| MigrateError::Failed(cause.to_string()))?;
        let connecting = SqliteConnection::connect_with(&self.options).await;
        let mut connection = connecting.map_err(|cause| fault::classify_migration(cause.into()))?;
        let result = migrate(&mut connection).await;
        let noted = self.place.note();
        connection.close().await.ok();
        result.map_err(fault::classify_migration)?;
        noted.map_err(|error| MigrateError::Unavailable(error.to_string()))
    }

    /// Stores a batch, and makes sure that it went where it can be found again.
    async fn store(&self, drafts: &[&Draft]) -> Result<Vec<Message>, StoreError> {
        self.place.check()?;
        let mut connection = self.writer.acquire().await.map_err(fault::classify)?;
        let outcome = commit(&mut connection, drafts).await;
        if let Err(StoreError::Unavailable(_)) = outcome {
            // SQLite ends a transaction whose write fails by itself. The pool takes it for open,
            // and would begin no other.
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
        self.bring_up_to_date()
            .await
            .map_err(|error| error.at(&place))
    }

    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError> {
        let distinct = Distinct::new(drafts);
        Ok(distinct.answer(drafts, self.store(distinct.drafts()).await?))
    }

    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError> {
        self.place.check()?;
        let mut reading = Reading::new(page);
        while let Some(page) = reading.rest() {
            let rows = select(room, page)
                .fetch_all(&self.readers)
                .await
                .map_err(fault::classify)?;
            reading.take(&rows, |row| row::seq(row), message)?;
        }
        reading.finish()
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

fn select(
    room: &RoomId,
    page: Page,
) -> sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
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

fn is_in_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), MigrationError> {
    migrator().run_direct(None, connection, false).await?;
    sqlx::query(PROBE).execute(connection).await?;
    Ok(())
}

fn migrator() -> Migrator {
    Migrator::with_migrations(vec![
        migration(
            1,
            "messages",
            include_str!("../../../migrations/sqlite/0001_messages.sql"),
        ),
        migration(
            2,
            "one index for a repeat",
            include_str!("../../../migrations/sqlite/0002_one_index_for_a_repeat.sql"),
        ),
    ])
}

/// A draft as the statements read it.
#[derive(Serialize)]
struct Input<'a> {
    id: Uuid,
    room_id: &'a RoomId,
    user_id: &'a UserId,
    operator_id: Option<&'a UserId>,
    message: &'a Body,
    client_message_id: Option<&'a ClientMessageId>,
    timestamp: i64,
}

fn json(drafts: &[&Draft]) -> Result<String, StoreError> {
    let input = drafts.iter().map(|draft| Input {
        id: draft.id,
        room_id: &draft.room_id,
        user_id: &draft.user_id,
        operator_id: draft.operator_id.as_ref(),
        message: &draft.body,
        client_message_id: draft.client_message_id.as_ref(),
        timestamp: draft.timestamp.timestamp_millis(),
    });
    let input: Vec<_> = input.collect();
    serde_json::to_string(&input)
        .map_err(|error| StoreError::Rejected(sqlx::Error::Encode(error.into()).into()))
}

async fn commit(
    connection: &mut SqliteConnection,
    drafts: &[&Draft],
) -> Result<Vec<Message>, StoreError> {
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(fault::classify)?;
    let messages = append(&mut transaction, drafts).await?;
    transaction.commit().await.map_err(fault::classify)?;
    Ok(messages)
}

/// Stores those drafts that the log does not hold, and answers each with its message.
async fn append(
    connection: &mut SqliteConnection,
    drafts: &[&Draft],
) -> Result<Vec<Message>, StoreError> {
    let mut answers = held(connection, drafts).await?;
    let vacant = |place: &usize| answers[*place].is_none();
    let places: Vec<usize> = (0..drafts.len()).filter(vacant).collect();
    let fresh: Vec<&Draft> = places.iter().map(|&place| drafts[place]).collect();
    if !fresh.is_empty() {
        let seqs = insert(connection, &fresh).await?;
        for (place, message) in places.into_iter().zip(numbered(&fresh, &seqs)) {
            answers[place] = message;
        }
    }
    let answers: Option<Vec<Message>> = answers.into_iter().collect();
    answers.ok_or_else(|| StoreError::Unreadable("not every draft was answered".into()))
}

/// For each draft, the message that the log holds already.
async fn held(
    connection: &mut SqliteConnection,
    drafts: &[&Draft],
) -> Result<Vec<Option<Message>>, StoreError> {
    let rows = sqlx::query(HELD)
        .bind(json(drafts)?)
        .fetch_all(connection)
        .await
        .map_err(fault::classify)?;
    let mut found = vec![None; drafts.len()];
    for row in &rows {
        let place: i64 = row::value(row, "place")?;
        let slot = usize::try_from(place)
            .ok()
            .and_then(|place| found.get_mut(place));
        *slot.ok_or_else(|| row::unreadable("place", place))? = Some(message(row)?);
    }
    Ok(found)
}

type Numbers = std::collections::HashMap<String, Seq>;

async fn insert(
    connection: &mut SqliteConnection,
    drafts: &[&Draft],
) -> Result<Numbers, StoreError> {
    let input = json(drafts)?;
    let counting = sqlx::query(COUNT).bind(input.as_str());
    counting
        .execute(&mut *connection)
        .await
        .map_err(fault::classify)?;
    let inserting = sqlx::query(INSERT).bind(input.as_str());
    let rows = inserting
        .fetch_all(connection)
        .await
        .map_err(fault::classify)?;
    rows.iter()
        .map(|row| Ok((row::value(row, "id")?, row::seq(row)?)))
        .collect()
}

fn numbered(drafts: &[&Draft], seqs: &Numbers) -> Vec<Option<Message>> {
    let seq = |draft: &Draft| seqs.get(&draft.id.to_string()).copied();
    let messages = drafts
        .iter()
        .map(|draft| seq(draft).map(|seq| draft.at(seq)));
    messages.collect()
}

fn message(row: &SqliteRow) -> Result<Message, StoreError> {
    let id: String = row::value(row, "id")?;
    let millis: i64 = row::value(row, "timestamp")?;
    Ok(Message {
        id: id.parse().map_err(|error| row::unreadable("id", error))?,
        room_id: row::parsed(row, "room_id")?,
        seq: row::seq(row)?,
        user_id: row::parsed(row, "user_id")?,
        operator_id: row::optional(row, "operator_id")?,
        body: Body::stored(row::value(row, "message")?),
        timestamp: row::time(millis.saturating_mul(1000)),
        client_message_id: row::optional(row, "client_message_id")?,
    })
}
