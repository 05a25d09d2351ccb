//! The index of words: an FTS5 table.

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteRow};

use super::{
    super::{
        error::StoreError, fault, page::saturated, row, search_store::SearchStore, words::Words,
    },
    SqliteStore,
    read::message,
};
use crate::model::{Message, RoomId, Seq};

const CURSOR: &str = "SELECT seq, revision FROM search_cursors WHERE room_id = ?1";

const NEXT: &str = r#"
SELECT rowid AS document, seq AS place, message FROM messages WHERE room_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"#;

const CHANGED: &str = r#"
SELECT m.rowid AS document, s.revision AS place, message FROM message_states AS s JOIN messages AS m USING (room_id, seq)
WHERE s.room_id = ?1 AND s.revision > ?2 ORDER BY s.revision LIMIT ?3"#;

const WRITE: &str = "INSERT OR REPLACE INTO search_documents (rowid, words) VALUES (?1, ?2)";

const ERASE: &str = "DELETE FROM search_documents WHERE rowid = ?1";

const MOVE: &str = r#"
INSERT INTO search_cursors (room_id, seq, revision) VALUES (?1, ?2, ?3)
ON CONFLICT (room_id) DO UPDATE SET seq = excluded.seq, revision = excluded.revision"#;

const UNINDEXED: &str = r#"
SELECT r.room_id FROM rooms AS r LEFT JOIN search_cursors AS c USING (room_id) LEFT JOIN revisions AS v USING (room_id)
WHERE (?1 IS NULL OR r.room_id > ?1)
    AND (
        r.last_seq > coalesce(c.seq, 0)
            AND EXISTS (SELECT 1 FROM messages AS m WHERE m.room_id = r.room_id AND m.seq > coalesce(c.seq, 0))
        OR coalesce(v.last_revision, 0) > coalesce(c.revision, 0)
            AND EXISTS (SELECT 1 FROM message_states AS s WHERE s.room_id = r.room_id AND s.revision > coalesce(c.revision, 0))
    )
ORDER BY r.room_id LIMIT ?2"#;

/// Reads the messages themselves: a word may be of an earlier text.
const SEARCH: &str = r#"
SELECT m.*, (SELECT state FROM message_states AS s WHERE s.room_id = m.room_id AND s.seq = m.seq) AS state
FROM search_documents AS d JOIN messages AS m ON m.rowid = d.rowid
WHERE search_documents MATCH ?1 AND m.room_id IN (SELECT value FROM json_each(?2)) AND m.seq < ?3 AND m.message <> ''
ORDER BY m."timestamp" DESC, m.seq DESC LIMIT ?4"#;

#[async_trait]
impl SearchStore for SqliteStore {
    async fn index(&self, rooms: &[RoomId], limit: usize) -> Result<usize, StoreError> {
        let mut connection = self.writer().await?;
        let outcome = index(&mut connection, rooms, saturated(limit)).await;
        self.wrote(connection, outcome.map_err(fault::classify))
            .await
    }

    async fn unindexed(
        &self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError> {
        let query = sqlx::query(UNINDEXED)
            .bind(after.map(RoomId::as_str))
            .bind(saturated(limit));
        let rows = self.rows(query).await?;
        rows.iter().map(|row| row::parsed(row, "room_id")).collect()
    }

    async fn search(
        &self,
        words: &Words,
        rooms: &[RoomId],
        before: Seq,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let prefixes = words.iter().map(|word| format!("\"{word}\"*"));
        let rooms: Vec<_> = rooms.iter().map(RoomId::as_str).collect();
        let query = sqlx::query(SEARCH)
            .bind(Vec::from_iter(prefixes).join(" "))
            .bind(serde_json::json!(rooms).to_string())
            .bind(before.get())
            .bind(saturated(limit));
        let rows = self.rows(query).await?;
        Ok(rows.iter().filter_map(|row| message(row).ok()).collect())
    }
}

/// Indexes some rooms in one transaction, and returns the number of messages and changes.
async fn index(
    connection: &mut SqliteConnection,
    rooms: &[RoomId],
    limit: i64,
) -> Result<usize, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut indexed = 0;
    for room in rooms {
        indexed += index_room(&mut transaction, room, limit).await?;
        if indexed as i64 >= limit {
            break;
        }
    }
    transaction.commit().await?;
    Ok(indexed)
}

async fn index_room(
    connection: &mut SqliteConnection,
    room: &RoomId,
    limit: i64,
) -> Result<usize, sqlx::Error> {
    let cursor = sqlx::query(CURSOR).bind(room.as_str());
    let cursor = cursor.fetch_optional(&mut *connection).await?;
    let mut places: [i64; 2] = match &cursor {
        Some(row) => [column(row, "seq")?, column(row, "revision")?],
        None => [0, 0],
    };
    let mut indexed = 0;
    for (sql, place) in [NEXT, CHANGED].into_iter().zip(&mut places) {
        let next = sqlx::query(sql)
            .bind(room.as_str())
            .bind(*place)
            .bind(limit);
        for row in next.fetch_all(&mut *connection).await? {
            write(connection, &row).await?;
            *place = column(&row, "place")?;
            indexed += 1;
        }
    }
    if indexed > 0 {
        let [seq, revision] = places;
        let moving = sqlx::query(MOVE)
            .bind(room.as_str())
            .bind(seq)
            .bind(revision);
        moving.execute(connection).await?;
    }
    Ok(indexed)
}

/// Writes the words of a message, or erases them if it has none.
async fn write(connection: &mut SqliteConnection, row: &SqliteRow) -> Result<(), sqlx::Error> {
    let document: i64 = column(row, "document")?;
    let words = Words::of(column(row, "message")?).joined();
    let query = if words.is_empty() {
        sqlx::query(ERASE).bind(document)
    } else {
        sqlx::query(WRITE).bind(document).bind(words)
    };
    query.execute(connection).await.map(drop)
}

fn column<'r, T>(row: &'r SqliteRow, name: &'static str) -> Result<T, sqlx::Error>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    sqlx::Row::try_get(row, name)
}
