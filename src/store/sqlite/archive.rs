//! Reads for the archive.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{
    Connection, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    super::{
        archive_store::{ArchiveStore, MembershipOf, ReactionBy},
        error::StoreError,
        fault,
        page::saturated,
        row,
    },
    SqliteStore,
    read::message,
};
use crate::model::{Message, RoomId, Seq, UserId};

const ROOMS: &str =
    "SELECT room_id FROM rooms WHERE ?1 IS NULL OR room_id > ?1 ORDER BY room_id LIMIT ?2";

const SAID: &str = r#"
SELECT m.*, (SELECT state FROM message_states AS s WHERE s.room_id = m.room_id AND s.seq = m.seq) AS state
FROM messages AS m WHERE room_id = ?1 AND user_id = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4"#;

const REACTED: &str = r#"
SELECT room_id, seq, user_id, reaction FROM reactions WHERE room_id = ?1 AND user_id = ?2 ORDER BY seq LIMIT ?3"#;

const MEMBERS: &str = r#"
SELECT k.room_id, k.user_id, coalesce(m.read_seq, 0) AS seq, coalesce(m.follows, false) AS follows,
    coalesce(m.muted, false) AS muted, w.role
FROM (
    SELECT room_id, user_id FROM memberships WHERE room_id = ?1
    UNION SELECT room_id, user_id FROM room_members WHERE room_id = ?1
) AS k
LEFT JOIN memberships AS m ON m.room_id = k.room_id AND m.user_id = k.user_id
LEFT JOIN room_members AS w ON w.room_id = k.room_id AND w.user_id = k.user_id
ORDER BY k.user_id"#;

const MEMBERSHIPS: &str = r#"
SELECT k.room_id, k.user_id, coalesce(m.read_seq, 0) AS seq, coalesce(m.follows, false) AS follows,
    coalesce(m.muted, false) AS muted, w.role
FROM (
    SELECT room_id, user_id FROM memberships WHERE user_id = ?1
    UNION SELECT room_id, user_id FROM room_members WHERE user_id = ?1
) AS k
LEFT JOIN memberships AS m ON m.room_id = k.room_id AND m.user_id = k.user_id
LEFT JOIN room_members AS w ON w.room_id = k.room_id AND w.user_id = k.user_id
ORDER BY k.room_id"#;

/// Erases the words of what [`EXPIRE`] removes.
const EXPIRE_WORDS: &str = r#"
DELETE FROM search_documents WHERE rowid IN (
    SELECT document FROM (
        SELECT rowid AS document, "timestamp" FROM messages WHERE room_id = ?1 ORDER BY seq LIMIT ?3
    ) WHERE "timestamp" < ?2
)"#;

/// A room's messages are nearly in the order of their times.
const EXPIRE: &str = r#"
DELETE FROM messages WHERE room_id = ?1 AND seq IN (
    SELECT seq FROM (SELECT seq, "timestamp" FROM messages WHERE room_id = ?1 ORDER BY seq LIMIT ?3) WHERE "timestamp" < ?2
)"#;

/// Clears up after [`EXPIRE`].
const EXPIRE_STATES: &str = r#"
DELETE FROM message_states WHERE room_id = ?1 AND seq < (SELECT coalesce(min(seq), 9223372036854775807) FROM messages WHERE room_id = ?1)"#;

const EXPIRE_REACTIONS: &str = r#"
DELETE FROM reactions WHERE room_id = ?1 AND seq < (SELECT coalesce(min(seq), 9223372036854775807) FROM messages WHERE room_id = ?1)"#;

const OLDEST: &str = r#"
SELECT seq, "timestamp" FROM messages WHERE room_id = ?1 ORDER BY seq LIMIT 1"#;

const FORGET: [&str; 4] = [
    "DELETE FROM room_members WHERE user_id = ?1 AND role <> 'removed'",
    "DELETE FROM memberships WHERE user_id = ?1",
    "DELETE FROM holders WHERE user_id = ?1",
    "UPDATE calls SET call = NULL, started_by = '' WHERE started_by = ?1 AND NOT live",
];

impl SqliteStore {
    pub(super) async fn rows(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        self.place.check()?;
        query
            .fetch_all(&self.readers)
            .await
            .map_err(fault::classify)
    }
}

#[async_trait]
impl ArchiveStore for SqliteStore {
    async fn rooms(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<RoomId>, StoreError> {
        let query = sqlx::query(ROOMS)
            .bind(after.map(RoomId::as_str))
            .bind(saturated(limit));
        let rows = self.rows(query).await?;
        rows.iter().map(|row| row::parsed(row, "room_id")).collect()
    }

    async fn said(
        &self,
        user: &UserId,
        room: &RoomId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let query = sqlx::query(SAID)
            .bind(room.as_str())
            .bind(user.as_str())
            .bind(after.get())
            .bind(saturated(limit));
        self.rows(query).await?.iter().map(message).collect()
    }

    async fn reacted(
        &self,
        user: &UserId,
        room: &RoomId,
        limit: usize,
    ) -> Result<Vec<ReactionBy>, StoreError> {
        let query = sqlx::query(REACTED)
            .bind(room.as_str())
            .bind(user.as_str())
            .bind(saturated(limit));
        self.rows(query)
            .await?
            .iter()
            .map(row::reaction_by)
            .collect()
    }

    async fn members(&self, room: &RoomId) -> Result<Vec<MembershipOf>, StoreError> {
        let rows = self.rows(sqlx::query(MEMBERS).bind(room.as_str())).await?;
        rows.iter().map(row::membership_of).collect()
    }

    async fn memberships(&self, user: &UserId) -> Result<Vec<MembershipOf>, StoreError> {
        let rows = self
            .rows(sqlx::query(MEMBERSHIPS).bind(user.as_str()))
            .await?;
        rows.iter().map(row::membership_of).collect()
    }

    async fn expire(
        &self,
        rooms: &[RoomId],
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let before = before.timestamp_millis();
        for room in rooms {
            let oldest = self.rows(sqlx::query(OLDEST).bind(room.as_str())).await?;
            let oldest = oldest
                .first()
                .map(|row| row::value::<_, i64>(row, "timestamp"));
            if oldest.transpose()?.is_none_or(|oldest| oldest >= before) {
                continue;
            }
            let mut connection = self.writer().await?;
            let outcome = expire(&mut connection, room, before, saturated(limit)).await;
            return self.wrote(connection, outcome).await;
        }
        Ok(0)
    }

    async fn oldest(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, Seq>, StoreError> {
        let mut oldest = HashMap::new();
        for room in rooms {
            let rows = self.rows(sqlx::query(OLDEST).bind(room.as_str())).await?;
            if let Some(row) = rows.first() {
                oldest.insert(room.clone(), row::seq(row)?);
            }
        }
        Ok(oldest)
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        let mut connection = self.writer().await?;
        let forgetting = async {
            for forget in FORGET {
                let query = sqlx::query(forget).bind(user.as_str());
                query.execute(&mut *connection).await?;
            }
            Ok(())
        };
        let done = forgetting.await.map_err(fault::classify);
        self.wrote(connection, done).await
    }
}

/// Removes the oldest messages of a room in one transaction, and returns their number.
async fn expire(
    connection: &mut SqliteConnection,
    room: &RoomId,
    before: i64,
    limit: i64,
) -> Result<usize, StoreError> {
    let transaction = connection.begin_with("BEGIN IMMEDIATE").await;
    let mut transaction = transaction.map_err(fault::classify)?;
    let mut removed = 0;
    for expire in [EXPIRE_WORDS, EXPIRE] {
        let removing = sqlx::query(expire)
            .bind(room.as_str())
            .bind(before)
            .bind(limit);
        let done = removing.execute(&mut *transaction).await;
        removed = done.map_err(fault::classify)?.rows_affected();
    }
    for clear in [EXPIRE_STATES, EXPIRE_REACTIONS] {
        let clearing = sqlx::query(clear).bind(room.as_str());
        let cleared = clearing.execute(&mut *transaction).await;
        cleared.map_err(fault::classify)?;
    }
    transaction.commit().await.map_err(fault::classify)?;
    Ok(usize::try_from(removed).unwrap_or_default())
}
