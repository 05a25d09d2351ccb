//! Conversations.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;

use super::{
    super::{
        conversation_store::{ConversationQuery, ConversationStore},
        conversing::{Talk, Talks},
        error::StoreError,
        page::saturated,
        row,
    },
    PostgresStore,
    memberships::{fetch, newest},
    pools::Query,
    work::Work,
};
use crate::model::{ListedConversation, RoomId, RoomPattern, Status, UserId};

const TALKS: &str = r#"
SELECT room_id, revision AS talk_revision, status, holder, version, changed, changed_by, waiting
FROM conversations WHERE room_id = ANY($1)"#;

const WRITE: &str = r#"
INSERT INTO conversations (room_id, revision, status, holder, version, changed, changed_by, waiting)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (room_id) DO UPDATE
SET revision = excluded.revision, status = excluded.status, holder = excluded.holder, version = excluded.version,
    changed = excluded.changed, changed_by = excluded.changed_by, waiting = excluded.waiting"#;

/// Returns the statement for a page of the list, in one of its two directions.
macro_rules! list {
    ($after:literal, $order:literal) => {
        concat!(
            r#"
SELECT page.*, coalesce(r.last_seq, 0) AS last_seq, newest.*,
    (SELECT state FROM message_states s WHERE s.room_id = newest.room_id AND s.seq = newest.seq) AS state
FROM (
    SELECT c.room_id AS listed, c.revision AS talk_revision, status, holder, version, c.changed, changed_by, waiting,
        coalesce(waiting, c.changed) AS queued, g.title
    FROM conversations c LEFT JOIN room_settings g ON g.room_id = c.room_id
    LEFT JOIN room_members w ON w.room_id = g.room_id AND w.user_id = $3
    WHERE status = $1 AND ($2::text IS NULL OR holder = $2)
        AND ($3::text IS NULL OR g.room_id IS NULL OR coalesce(w.role <> 'removed', g.access = 'open'))
        AND ($7::text[] IS NULL OR EXISTS (
            SELECT FROM unnest($7) AS pattern WHERE pattern = c.room_id
                OR right(pattern, 1) = '*' AND starts_with(c.room_id, left(pattern, -1))
        ))
        AND ($4::timestamptz IS NULL OR (coalesce(waiting, c.changed), c.room_id) "#,
            $after,
            r#" ($4, $5 COLLATE "C"))
    ORDER BY coalesce(waiting, c.changed) "#,
            $order,
            ", c.room_id ",
            $order,
            r#" LIMIT $6
) AS page
LEFT JOIN rooms r ON r.room_id = page.listed
LEFT JOIN LATERAL (SELECT * FROM messages m WHERE m.room_id = page.listed ORDER BY seq DESC LIMIT 1) AS newest ON true
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
SELECT DISTINCT holder FROM conversations
WHERE status = 'claimed' AND ($1::text IS NULL OR holder > $1 COLLATE "C") ORDER BY holder LIMIT $2"#;

/// In the order of the names, so that two servers cannot deadlock.
const SEE: &str = r#"
INSERT INTO holders (user_id, seen) SELECT user_id, now() FROM unnest($1::text[]) AS here (user_id) ORDER BY user_id COLLATE "C"
ON CONFLICT (user_id) DO UPDATE SET seen = excluded.seen"#;

const LAPSED: &str = r#"
SELECT room_id, holder, version FROM conversations c LEFT JOIN holders h ON h.user_id = c.holder
WHERE status = 'claimed' AND greatest(h.seen, c.changed) < now() - make_interval(secs => $1) ORDER BY room_id LIMIT $2"#;

/// Reads a time.
pub(super) fn time(row: &PgRow, column: &'static str) -> Result<Option<DateTime<Utc>>, StoreError> {
    row::value(row, column)
}

/// Returns the statement that reads the conversations of rooms.
pub(super) fn select(rooms: Vec<&str>) -> Query<'_> {
    sqlx::query(TALKS).bind(rooms)
}

/// Reads the conversations out of the rows of [`select`].
pub(super) fn talks(rows: &[PgRow]) -> Result<Talks, StoreError> {
    let talks = rows.iter().map(|row| {
        let talk = row::talk(row, time)?;
        Ok(talk.map(|talk| (row::parsed(row, "room_id"), talk)))
    });
    let talks: Result<Vec<_>, StoreError> = talks.collect();
    let talks = talks?.into_iter().flatten();
    talks.map(|(room, talk)| Ok((room?, talk))).collect()
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
        .bind(conversation.changed_at)
        .bind(user(&conversation.changed_by))
        .bind(talk.waiting)
}

#[async_trait]
impl ConversationStore for PostgresStore {
    async fn list(
        &self,
        query: &ConversationQuery,
        limit: usize,
    ) -> Result<Vec<ListedConversation>, StoreError> {
        let sql = match query.state {
            Status::Closed => LAST_CLOSED,
            Status::Open | Status::Claimed => LONGEST_WAITING,
        };
        let (after, limit) = (query.after.as_ref(), saturated(limit));
        let rooms = query.rooms.as_ref();
        let patterns = rooms.map(|rooms| Vec::from_iter(rooms.iter().map(RoomPattern::as_str)));
        let asking = || {
            sqlx::query(sql)
                .bind(query.state.name())
                .bind(query.operator_id.as_ref().map(UserId::as_str))
                .bind(query.reader.as_ref().map(UserId::as_str))
                .bind(after.map(|place| place.active_at))
                .bind(after.map(|place| place.room_id.as_str()))
                .bind(limit)
                .bind(patterns.clone())
        };
        let rows = fetch(&self.pools, Work::Read, asking).await?;
        let listed = rows.iter().map(|row| row::listed(row, time, newest(row)?));
        listed.collect()
    }

    async fn holders(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let (after, limit) = (after.map(UserId::as_str), saturated(limit));
        let asking = || sqlx::query(HOLDERS).bind(after).bind(limit);
        let rows = fetch(&self.pools, Work::Read, asking).await?;
        rows.iter().map(|row| row::parsed(row, "holder")).collect()
    }

    async fn see(&self, operators: &[UserId]) -> Result<(), StoreError> {
        let names: Vec<_> = operators.iter().map(UserId::as_str).collect();
        let seeing = || sqlx::query(SEE).bind(names.clone());
        fetch(&self.pools, Work::Write, seeing).await.map(drop)
    }

    async fn lapsed(
        &self,
        away: Duration,
        limit: usize,
    ) -> Result<Vec<(RoomId, UserId, i64)>, StoreError> {
        let (away, limit) = (away.as_secs_f64(), saturated(limit));
        let asking = || sqlx::query(LAPSED).bind(away).bind(limit);
        let rows = fetch(&self.pools, Work::Read, asking).await?;
        let lapsed = rows.iter().map(|row| {
            let place = (row::parsed(row, "room_id")?, row::parsed(row, "holder")?);
            Ok((place.0, place.1, row::value(row, "version")?))
        });
        lapsed.collect()
    }
}
