//! Reads for the archive.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;

use super::{
    super::{
        archive_store::{ArchiveStore, MembershipOf, ReactionBy},
        error::StoreError,
        page::saturated,
        row,
    },
    PostgresStore,
    memberships::fetch,
    read::message,
    work::Work,
};
use crate::model::{Message, RoomId, Seq, UserId};

const ROOMS: &str = r#"
SELECT room_id FROM rooms WHERE $1::text IS NULL OR room_id > $1 ORDER BY room_id LIMIT $2"#;

const SAID: &str = r#"
SELECT m.*, (SELECT state FROM message_states s WHERE s.room_id = m.room_id AND s.seq = m.seq) AS state
FROM messages m WHERE room_id = $1 AND user_id = $2 AND seq > $3 ORDER BY seq LIMIT $4"#;

const REACTED: &str = r#"
SELECT room_id, seq, user_id, reaction FROM reactions WHERE room_id = $1 AND user_id = $2 ORDER BY seq LIMIT $3"#;

const MEMBERS: &str = r#"
SELECT k.room_id, k.user_id, coalesce(m.read_seq, 0) AS seq, coalesce(m.follows, false) AS follows,
    coalesce(m.muted, false) AS muted, w.role
FROM (
    SELECT room_id, user_id FROM memberships WHERE room_id = $1
    UNION SELECT room_id, user_id FROM room_members WHERE room_id = $1
) AS k
LEFT JOIN memberships m ON m.room_id = k.room_id AND m.user_id = k.user_id
LEFT JOIN room_members w ON w.room_id = k.room_id AND w.user_id = k.user_id
ORDER BY k.user_id"#;

const MEMBERSHIPS: &str = r#"
SELECT k.room_id, k.user_id, coalesce(m.read_seq, 0) AS seq, coalesce(m.follows, false) AS follows,
    coalesce(m.muted, false) AS muted, w.role
FROM (
    SELECT room_id, user_id FROM memberships WHERE user_id = $1
    UNION SELECT room_id, user_id FROM room_members WHERE user_id = $1
) AS k
LEFT JOIN memberships m ON m.room_id = k.room_id AND m.user_id = k.user_id
LEFT JOIN room_members w ON w.room_id = k.room_id AND w.user_id = k.user_id
ORDER BY k.room_id"#;

/// Looks at the oldest message of each room, and only then at others. A room's messages are nearly in
/// the order of their times.
const EXPIRE: &str = r#"
WITH old AS (
    SELECT m.room_id, m.seq FROM unnest($1::text[]) AS asked (room_id)
    CROSS JOIN LATERAL (
        SELECT "timestamp" FROM messages f WHERE f.room_id = asked.room_id COLLATE "C" ORDER BY f.seq LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (
        SELECT * FROM messages n WHERE n.room_id = asked.room_id COLLATE "C" AND first."timestamp" < $2
        ORDER BY n.seq LIMIT $3
    ) AS m
    WHERE m."timestamp" < $2 LIMIT $3
), states AS (
    DELETE FROM message_states s USING old WHERE s.room_id = old.room_id AND s.seq = old.seq
), reacted AS (
    DELETE FROM reactions r USING old WHERE r.room_id = old.room_id AND r.seq = old.seq
), words AS (
    DELETE FROM search_documents d USING old WHERE d.room_id = old.room_id AND d.seq = old.seq
), gone AS (
    DELETE FROM messages m USING old WHERE m.room_id = old.room_id AND m.seq = old.seq RETURNING 1
)
SELECT count(*) AS count FROM gone"#;

const OLDEST: &str = r#"
SELECT first.room_id, first.seq FROM unnest($1::text[]) AS asked (room_id)
CROSS JOIN LATERAL (
    SELECT room_id, seq FROM messages m WHERE m.room_id = asked.room_id COLLATE "C" ORDER BY seq LIMIT 1
) AS first"#;

const FORGET: &str = r#"
WITH gone AS (DELETE FROM room_members WHERE user_id = $1 AND role <> 'removed'),
    unseen AS (DELETE FROM holders WHERE user_id = $1),
    uncalled AS (UPDATE calls SET call = NULL, started_by = '' WHERE started_by = $1 AND NOT live)
DELETE FROM memberships WHERE user_id = $1"#;

#[async_trait]
impl ArchiveStore for PostgresStore {
    async fn rooms(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<RoomId>, StoreError> {
        let (after, limit) = (after.map(RoomId::as_str), saturated(limit));
        let query = || sqlx::query(ROOMS).bind(after).bind(limit);
        let rows = fetch(&self.pools, Work::Read, query).await?;
        rows.iter().map(|row| row::parsed(row, "room_id")).collect()
    }

    async fn said(
        &self,
        user: &UserId,
        room: &RoomId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let query = || {
            sqlx::query(SAID)
                .bind(room.as_str())
                .bind(user.as_str())
                .bind(after.get())
                .bind(saturated(limit))
        };
        let rows = fetch(&self.pools, Work::Read, query).await?;
        rows.iter().map(message).collect()
    }

    async fn reacted(
        &self,
        user: &UserId,
        room: &RoomId,
        limit: usize,
    ) -> Result<Vec<ReactionBy>, StoreError> {
        let query = || {
            sqlx::query(REACTED)
                .bind(room.as_str())
                .bind(user.as_str())
                .bind(saturated(limit))
        };
        let rows = fetch(&self.pools, Work::Read, query).await?;
        rows.iter().map(row::reaction_by).collect()
    }

    async fn members(&self, room: &RoomId) -> Result<Vec<MembershipOf>, StoreError> {
        let query = || sqlx::query(MEMBERS).bind(room.as_str());
        members(&fetch(&self.pools, Work::Read, query).await?)
    }

    async fn memberships(&self, user: &UserId) -> Result<Vec<MembershipOf>, StoreError> {
        let query = || sqlx::query(MEMBERSHIPS).bind(user.as_str());
        members(&fetch(&self.pools, Work::Read, query).await?)
    }

    async fn expire(
        &self,
        rooms: &[RoomId],
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let rooms: Vec<_> = rooms.iter().map(RoomId::as_str).collect();
        let query = || {
            sqlx::query(EXPIRE)
                .bind(rooms.clone())
                .bind(before)
                .bind(saturated(limit))
        };
        let rows = fetch(&self.pools, Work::Write, query).await?;
        let count = rows.first().map(|row| row::value::<_, i64>(row, "count"));
        Ok(usize::try_from(count.transpose()?.unwrap_or_default()).unwrap_or_default())
    }

    async fn oldest(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, Seq>, StoreError> {
        let rooms: Vec<_> = rooms.iter().map(RoomId::as_str).collect();
        let query = || sqlx::query(OLDEST).bind(rooms.clone());
        let rows = fetch(&self.pools, Work::Read, query).await?;
        rows.iter()
            .map(|row| Ok((row::parsed(row, "room_id")?, row::seq(row)?)))
            .collect()
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        let query = || sqlx::query(FORGET).bind(user.as_str());
        fetch(&self.pools, Work::Write, query).await.map(drop)
    }
}

fn members(rows: &[PgRow]) -> Result<Vec<MembershipOf>, StoreError> {
    rows.iter().map(row::membership_of).collect()
}
