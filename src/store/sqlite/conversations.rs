//! Conversations.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;

use super::{
    super::{
        conversation_store::{ConversationQuery, ConversationStore},
        conversing::Talk,
        error::StoreError,
        fault,
        page::saturated,
        row,
    },
    SqliteStore,
    change::Query,
    memberships::newest,
};
use crate::model::{ListedConversation, RoomId, RoomPattern, Status, UserId};

pub(super) const TALK: &str = r#"
SELECT room_id, revision AS talk_revision, status, holder, version, changed, changed_by, waiting
FROM conversations WHERE room_id = ?1"#;

const WRITE: &str = r#"
INSERT INTO conversations (room_id, revision, status, holder, version, changed, changed_by, waiting)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (room_id) DO UPDATE
SET revision = excluded.revision, status = excluded.status, holder = excluded.holder, version = excluded.version,
    changed = excluded.changed, changed_by = excluded.changed_by, waiting = excluded.waiting"#;

/// Returns the statement for a page of the list, in one of its two directions.
macro_rules! list {
    ($after:literal, $order:literal) => {
        concat!(
            r#"
SELECT page.*, coalesce(r.last_seq, 0) AS last_seq, newest.*,
    (SELECT state FROM message_states AS s WHERE s.room_id = newest.room_id AND s.seq = newest.seq) AS state
FROM (
    SELECT c.room_id AS listed, c.revision AS talk_revision, status, holder, version, c.changed, changed_by, waiting,
        coalesce(waiting, c.changed) AS queued, g.title
    FROM conversations AS c LEFT JOIN room_settings AS g ON g.room_id = c.room_id
    LEFT JOIN room_members AS w ON w.room_id = g.room_id AND w.user_id = ?3
    WHERE status = ?1 AND (?2 IS NULL OR holder = ?2)
        AND (?3 IS NULL OR g.room_id IS NULL OR coalesce(w.role <> 'removed', g.access = 'open'))
        AND (?7 IS NULL OR EXISTS (
            SELECT 1 FROM json_each(?7) AS pattern WHERE pattern.value = c.room_id OR substr(pattern.value, -1) = '*'
                AND substr(c.room_id, 1, length(pattern.value) - 1) = substr(pattern.value, 1, length(pattern.value) - 1)
        ))
        AND (?4 IS NULL OR (coalesce(waiting, c.changed), c.room_id) "#,
            $after,
            r#" (?4, ?5))
    ORDER BY coalesce(waiting, c.changed) "#,
            $order,
            ", c.room_id ",
            $order,
            r#" LIMIT ?6
) AS page
LEFT JOIN rooms AS r ON r.room_id = page.listed
LEFT JOIN messages AS newest ON newest.room_id = page.listed
    AND newest.seq = (SELECT max(seq) FROM messages WHERE room_id = page.listed)
ORDER BY page.queued "#,
            $order,
            ", page.listed ",
            $order
        )
    };
}

const LONGEST_WAITING: &str = list!(">", "ASC");
const LAST_CLOSED: &str = list!("<", "DESC");

const HOLDERS: &str = r#"
SELECT DISTINCT holder FROM conversations WHERE status = 'claimed' AND (?1 IS NULL OR holder > ?1) ORDER BY holder LIMIT ?2"#;

const SEE: &str = r#"
INSERT INTO holders (user_id, seen) SELECT value, ?2 FROM json_each(?1) WHERE true
ON CONFLICT (user_id) DO UPDATE SET seen = excluded.seen"#;

const LAPSED: &str = r#"
SELECT room_id, holder, version FROM conversations AS c LEFT JOIN holders AS h ON h.user_id = c.holder
WHERE status = 'claimed' AND max(coalesce(h.seen, 0), c.changed) < ?1 ORDER BY room_id LIMIT ?2"#;

/// Reads a time.
pub(super) fn time(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let millis: Option<i64> = row::value(row, column)?;
    Ok(millis.map(|millis| row::time(millis.saturating_mul(1000))))
}

/// Returns the statement that writes a conversation.
pub(super) fn write(room: &RoomId, talk: &Talk) -> Query<'static> {
    let conversation = &talk.conversation;
    let user = |user: &Option<UserId>| user.as_ref().map(|user| user.as_str().to_owned());
    sqlx::query(WRITE)
        .bind(room.as_str().to_owned())
        .bind(talk.revision.get())
        .bind(conversation.state.name())
        .bind(user(&conversation.operator_id))
        .bind(conversation.version)
        .bind(conversation.changed_at.timestamp_millis())
        .bind(user(&conversation.changed_by))
        .bind(talk.waiting.map(|time| time.timestamp_millis()))
}

#[async_trait]
impl ConversationStore for SqliteStore {
    async fn list(
        &self,
        query: &ConversationQuery,
        limit: usize,
    ) -> Result<Vec<ListedConversation>, StoreError> {
        self.place.check()?;
        let sql = match query.state {
            Status::Closed => LAST_CLOSED,
            Status::Open | Status::Claimed => LONGEST_WAITING,
        };
        let (after, rooms) = (query.after.as_ref(), query.rooms.as_ref());
        let patterns = rooms.map(|rooms| Vec::from_iter(rooms.iter().map(RoomPattern::as_str)));
        let asking = sqlx::query(sql)
            .bind(query.state.name())
            .bind(query.operator_id.as_ref().map(UserId::as_str))
            .bind(query.reader.as_ref().map(UserId::as_str))
            .bind(after.map(|place| place.active_at.timestamp_millis()))
            .bind(after.map(|place| place.room_id.as_str()))
            .bind(saturated(limit))
            .bind(patterns.map(|patterns| serde_json::json!(patterns).to_string()));
        let rows = asking.fetch_all(&self.readers).await;
        let rows = rows.map_err(fault::classify)?;
        let listed = rows.iter().map(|row| row::listed(row, time, newest(row)?));
        listed.collect()
    }

    async fn holders(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        self.place.check()?;
        let asking = sqlx::query(HOLDERS)
            .bind(after.map(UserId::as_str))
            .bind(saturated(limit));
        let rows = asking.fetch_all(&self.readers).await;
        let rows = rows.map_err(fault::classify)?;
        rows.iter().map(|row| row::parsed(row, "holder")).collect()
    }

    async fn see(&self, operators: &[UserId]) -> Result<(), StoreError> {
        let names = Vec::from_iter(operators.iter().map(UserId::as_str));
        let seeing = sqlx::query(SEE)
            .bind(serde_json::json!(names).to_string())
            .bind(Utc::now().timestamp_millis());
        let mut connection = self.writer().await?;
        let seen = seeing.execute(&mut *connection).await;
        let seen = seen.map(drop).map_err(fault::classify);
        self.wrote(connection, seen).await
    }

    async fn lapsed(
        &self,
        away: Duration,
        limit: usize,
    ) -> Result<Vec<(RoomId, UserId, i64)>, StoreError> {
        self.place.check()?;
        let asking = sqlx::query(LAPSED)
            .bind((Utc::now() - away).timestamp_millis())
            .bind(saturated(limit));
        let rows = asking.fetch_all(&self.readers).await;
        let rows = rows.map_err(fault::classify)?;
        let lapsed = rows.iter().map(|row| {
            let place = (row::parsed(row, "room_id")?, row::parsed(row, "holder")?);
            Ok((place.0, place.1, row::value(row, "version")?))
        });
        lapsed.collect()
    }
}
