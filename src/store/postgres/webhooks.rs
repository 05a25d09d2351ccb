//! The state of webhooks.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{
    super::{
        error::StoreError,
        page::{Head, saturated},
        row,
        webhook_store::{
            Cursor, EndpointId, EndpointStatus, Lease, Results, RoomEvent, WebhookStore,
            first_change_at,
        },
    },
    PostgresStore,
    conversations::time,
    memberships::fetch,
    pools::Query,
    work::Work,
};
use crate::model::{Revision, RoomId, Seq};

const REGISTER: &str = r#"
INSERT INTO webhook_endpoints (endpoint, url, epoch) VALUES ($1, $2, 0)
ON CONFLICT (endpoint) DO UPDATE SET url = excluded.url RETURNING registered IS NOT NULL AS done"#;

const START: &str = r#"
WITH page AS (
    SELECT room_id, last_seq, (SELECT last_revision FROM revisions v WHERE v.room_id = r.room_id) AS last_revision
    FROM rooms r WHERE $2::text IS NULL OR room_id > $2 ORDER BY room_id LIMIT $3
), started AS (
    INSERT INTO webhook_cursors (room_id, endpoint, seq, revision)
    SELECT room_id, $1, last_seq, coalesce(last_revision, 0) FROM page ON CONFLICT (room_id, endpoint) DO NOTHING
)
SELECT max(room_id) AS room_id FROM page"#;

const STARTED: &str =
    "UPDATE webhook_endpoints SET registered = now() WHERE endpoint = $1 AND registered IS NULL";

const LEASE: &str = r#"
WITH taken AS (
    UPDATE webhook_endpoints SET epoch = epoch + 1, leased_until = now() + make_interval(secs => $2)
    WHERE endpoint = $1 AND disabled IS NULL AND (leased_until IS NULL OR leased_until < now()) RETURNING epoch
)
SELECT (SELECT epoch FROM taken) AS epoch, disabled IS NOT NULL AS is_disabled FROM webhook_endpoints WHERE endpoint = $1"#;

const RENEW: &str = r#"
UPDATE webhook_endpoints SET leased_until = now() + make_interval(secs => $3),
    succeeded = coalesce($4, succeeded), failed = coalesce($5, failed), error = coalesce($6, error)
WHERE endpoint = $1 AND epoch = $2 RETURNING epoch"#;

const RELEASE: &str =
    "UPDATE webhook_endpoints SET leased_until = NULL WHERE endpoint = $1 AND epoch = $2";

const DISABLE: &str = r#"
UPDATE webhook_endpoints SET leased_until = NULL, disabled = now(), reason = $3 WHERE endpoint = $1 AND epoch = $2"#;

const BEHIND: &str = r#"
SELECT r.room_id FROM rooms r
LEFT JOIN webhook_cursors c ON c.room_id = r.room_id AND c.endpoint = $1 LEFT JOIN revisions v ON v.room_id = r.room_id
WHERE ($2::text IS NULL OR r.room_id > $2)
    AND (r.last_seq > coalesce(c.seq, 0) OR coalesce(v.last_revision, 0) > coalesce(c.revision, 0) OR c.part IS NOT NULL)
    AND (c.retry_at IS NULL OR c.retry_at <= now())
ORDER BY r.room_id LIMIT $3"#;

const PLACE: &str = r#"
SELECT r.last_seq, (SELECT last_revision FROM revisions v WHERE v.room_id = r.room_id) AS revision,
    c.seq AS own, c.revision AS delivered, c.part, c.attempts, c.retry_at
FROM rooms r LEFT JOIN webhook_cursors c ON c.room_id = r.room_id AND c.endpoint = $1 WHERE r.room_id = $2"#;

/// The lock on the endpoint keeps a new epoch from beginning before the places are moved.
const ADVANCE: &str = r#"
WITH held AS MATERIALIZED (
    SELECT epoch FROM webhook_endpoints WHERE endpoint = $1 AND epoch = $2 FOR SHARE
), moved AS (
    INSERT INTO webhook_cursors (room_id, endpoint, seq, revision, part, attempts, retry_at)
    SELECT new.room_id, $1, new.seq, new.revision, new.part, new.attempts, new.retry_at
    FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::integer[], $8::timestamptz[])
        AS new (room_id, seq, revision, part, attempts, retry_at)
    WHERE EXISTS (SELECT FROM held)
    ON CONFLICT (room_id, endpoint) DO UPDATE SET seq = excluded.seq, revision = excluded.revision,
        part = excluded.part, attempts = excluded.attempts, retry_at = excluded.retry_at
)
SELECT epoch FROM held"#;

/// Among several changes with the cursor's own revision, those after its part count. Without a part there
/// are none.
const ROOM_EVENTS: &str = r#"
SELECT * FROM (
    SELECT settings_revision AS revision, NULL AS user_id, NULL AS role, title, metadata, access,
        NULL AS status, NULL AS holder, NULL::bigint AS version, NULL::timestamptz AS changed, NULL AS changed_by, NULL AS call
    FROM room_settings WHERE room_id = $1 AND settings_revision > $2
    UNION ALL
    SELECT revision, NULL, NULL, NULL, NULL, '', status, holder, version, changed, changed_by, NULL
    FROM conversations WHERE room_id = $1 AND revision > $2
    UNION ALL
    SELECT revision, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, call FROM calls WHERE room_id = $1 AND revision > $2
    UNION ALL (
        SELECT revision, user_id, role, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL FROM room_members
        WHERE room_id = $1 AND revision >= $2 AND (revision > $2 OR user_id > $3) ORDER BY revision, user_id LIMIT $4
    )
    UNION ALL (
        SELECT revision, user_id, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL FROM room_departures
        WHERE room_id = $1 AND revision >= $2 AND (revision > $2 OR user_id > $3) ORDER BY revision, user_id LIMIT $4
    )
) AS events
ORDER BY revision, user_id COLLATE "C" NULLS FIRST LIMIT $4"#;

const STATUSES: &str = r#"
SELECT e.url, e.disabled, e.reason, e.succeeded, e.failed, e.error, behind.rooms, behind.events, behind.oldest
FROM webhook_endpoints e CROSS JOIN LATERAL (
    SELECT count(*) AS rooms, coalesce(sum(events), 0)::bigint AS events, min(first) AS oldest FROM (
        SELECT r.last_seq - coalesce(c.seq, 0) + coalesce(v.last_revision, 0) - coalesce(c.revision, 0) AS events, (
            SELECT "timestamp" FROM messages m WHERE m.room_id = r.room_id AND m.seq > coalesce(c.seq, 0)
            ORDER BY m.seq LIMIT 1
        ) AS first
        FROM rooms r LEFT JOIN webhook_cursors c ON c.room_id = r.room_id AND c.endpoint = e.endpoint
        LEFT JOIN revisions v ON v.room_id = r.room_id
        WHERE r.last_seq > coalesce(c.seq, 0) OR coalesce(v.last_revision, 0) > coalesce(c.revision, 0) OR c.part IS NOT NULL
    ) AS rooms
) AS behind
ORDER BY e.url"#;

const RESTART: &str = r#"
UPDATE webhook_endpoints SET epoch = epoch + 1, leased_until = NULL, disabled = NULL, reason = NULL
WHERE endpoint = $1 RETURNING epoch"#;

/// Begins a new epoch first: a running sender must not move these places on. Then reads each room from its
/// end back to the time.
const REWIND: &str = r#"
WITH epoch AS MATERIALIZED (
    UPDATE webhook_endpoints SET epoch = epoch + 1, leased_until = NULL WHERE endpoint = $1 RETURNING endpoint
), page AS (
    SELECT c.room_id, CASE WHEN $2::timestamptz IS NOT NULL THEN coalesce((
        SELECT m.seq FROM messages m WHERE m.room_id = c.room_id AND m."timestamp" < $2 ORDER BY m.seq DESC LIMIT 1
    ), 0) END AS seq, CASE WHEN $2 IS NOT NULL THEN greatest(coalesce((
        SELECT s.revision FROM message_states s WHERE s.room_id = c.room_id AND s.revision IS NOT NULL AND s.change_id < $3
        ORDER BY s.revision DESC LIMIT 1
    ), 0), coalesce((
        SELECT t.revision FROM room_settings t WHERE t.room_id = c.room_id AND (t.changed IS NULL OR t.changed < $2)
    ), 0)) END AS revision
    FROM webhook_cursors c WHERE EXISTS (SELECT FROM epoch) AND c.endpoint = $1 AND ($4::text IS NULL OR c.room_id > $4)
    ORDER BY c.room_id LIMIT $5
), moved AS (
    UPDATE webhook_cursors c SET seq = least(c.seq, page.seq), revision = least(c.revision, page.revision),
        part = CASE WHEN page.revision IS NULL THEN c.part END, attempts = 0, retry_at = NULL
    FROM page WHERE c.room_id = page.room_id AND c.endpoint = $1
)
SELECT max(room_id) AS room_id FROM page"#;

#[async_trait]
impl WebhookStore for PostgresStore {
    async fn register(&self, EndpointId(id): EndpointId, url: &str) -> Result<bool, StoreError> {
        let rows = self.write(|| sqlx::query(REGISTER).bind(id).bind(url));
        let rows = rows.await?;
        rows.first()
            .map_or(Ok(false), |row| row::value(row, "done"))
    }

    async fn start_at_end(
        &self,
        EndpointId(id): EndpointId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Option<RoomId>, StoreError> {
        let (after, limit) = (after.map(RoomId::as_str), saturated(limit));
        let query = || sqlx::query(START).bind(id).bind(after).bind(limit);
        let last = last_room(&self.write(query).await?)?;
        if last.is_none() {
            self.write(|| sqlx::query(STARTED).bind(id)).await?;
        }
        Ok(last)
    }

    async fn lease(&self, EndpointId(id): EndpointId, time: Duration) -> Result<Lease, StoreError> {
        let query = || sqlx::query(LEASE).bind(id).bind(time.as_secs_f64());
        row::lease(self.write(query).await?.first())
    }

    async fn renew(
        &self,
        EndpointId(id): EndpointId,
        epoch: i64,
        time: Duration,
        results: &Results,
    ) -> Result<bool, StoreError> {
        let (failed, error) = results.failed.clone().unzip();
        let query = || {
            sqlx::query(RENEW)
                .bind(id)
                .bind(epoch)
                .bind(time.as_secs_f64())
                .bind(results.succeeded)
                .bind(failed)
                .bind(error.clone())
        };
        Ok(!self.write(query).await?.is_empty())
    }

    async fn release(&self, EndpointId(id): EndpointId, epoch: i64) -> Result<(), StoreError> {
        let query = || sqlx::query(RELEASE).bind(id).bind(epoch);
        self.write(query).await.map(drop)
    }

    async fn disable(
        &self,
        EndpointId(id): EndpointId,
        epoch: i64,
        reason: &str,
    ) -> Result<(), StoreError> {
        let query = || sqlx::query(DISABLE).bind(id).bind(epoch).bind(reason);
        self.write(query).await.map(drop)
    }

    async fn behind(
        &self,
        EndpointId(id): EndpointId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError> {
        let (after, limit) = (after.map(RoomId::as_str), saturated(limit));
        let query = || sqlx::query(BEHIND).bind(id).bind(after).bind(limit);
        let rows = fetch(&self.pools, Work::Read, query).await?;
        rows.iter().map(|row| row::parsed(row, "room_id")).collect()
    }

    async fn place(
        &self,
        EndpointId(id): EndpointId,
        room: &RoomId,
    ) -> Result<Option<(Cursor, Head)>, StoreError> {
        let query = || sqlx::query(PLACE).bind(id).bind(room.as_str());
        let rows = fetch(&self.pools, Work::Read, query).await?;
        rows.first().map(|row| place(row, room)).transpose()
    }

    async fn advance(
        &self,
        EndpointId(id): EndpointId,
        epoch: i64,
        cursors: &[Cursor],
    ) -> Result<bool, StoreError> {
        let query = || advancing(id, epoch, cursors);
        Ok(!self.write(query).await?.is_empty())
    }

    async fn room_events(
        &self,
        after: &Cursor,
        limit: usize,
    ) -> Result<Vec<RoomEvent>, StoreError> {
        let query = || {
            sqlx::query(ROOM_EVENTS)
                .bind(after.room_id.as_str())
                .bind(after.revision.get())
                .bind(after.part.as_deref())
                .bind(saturated(limit))
        };
        let rows = fetch(&self.pools, Work::Read, query).await?;
        rows.iter().map(|row| row::room_event(row, time)).collect()
    }

    async fn statuses(&self) -> Result<Vec<EndpointStatus>, StoreError> {
        let rows = fetch(&self.pools, Work::Read, || sqlx::query(STATUSES)).await?;
        rows.iter()
            .map(|row| row::endpoint_status(row, time))
            .collect()
    }

    async fn restart(&self, EndpointId(id): EndpointId) -> Result<bool, StoreError> {
        Ok(!self
            .write(|| sqlx::query(RESTART).bind(id))
            .await?
            .is_empty())
    }

    async fn rewind(
        &self,
        EndpointId(id): EndpointId,
        to: Option<DateTime<Utc>>,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Option<RoomId>, StoreError> {
        let (after, limit) = (after.map(RoomId::as_str), saturated(limit));
        let query = || {
            sqlx::query(REWIND)
                .bind(id)
                .bind(to)
                .bind(to.map(first_change_at))
                .bind(after)
                .bind(limit)
        };
        last_room(&self.write(query).await?)
    }
}

impl PostgresStore {
    async fn write<'q>(&self, query: impl Fn() -> Query<'q>) -> Result<Vec<PgRow>, StoreError> {
        fetch(&self.pools, Work::Write, query).await
    }
}

fn last_room(rows: &[PgRow]) -> Result<Option<RoomId>, StoreError> {
    let last = rows.first().map(|row| row::optional(row, "room_id"));
    Ok(last.transpose()?.flatten())
}

fn place(row: &PgRow, room: &RoomId) -> Result<(Cursor, Head), StoreError> {
    let head = Head {
        seq: row::place(row, "last_seq")?,
        revision: row::revision(row)?,
    };
    let delivered: Option<i64> = row::value(row, "delivered")?;
    let Some(delivered) = delivered else {
        return Ok((Cursor::beginning_of(room.clone()), head));
    };
    let attempts: i32 = row::value(row, "attempts")?;
    let cursor = Cursor {
        room_id: room.clone(),
        seq: row::own(row)?,
        revision: Revision::try_from(delivered)
            .map_err(|error| row::unreadable("delivered", error))?,
        part: row::value(row, "part")?,
        attempts: attempts.unsigned_abs(),
        retry_at: row::value(row, "retry_at")?,
    };
    Ok((cursor, head))
}

fn advancing(id: Uuid, epoch: i64, cursors: &[Cursor]) -> Query<'_> {
    fn column<'c, T>(cursors: &'c [Cursor], of: impl Fn(&'c Cursor) -> T) -> Vec<T> {
        cursors.iter().map(of).collect()
    }
    sqlx::query(ADVANCE)
        .bind(id)
        .bind(epoch)
        .bind(column(cursors, |cursor| cursor.room_id.as_str()))
        .bind(column(cursors, |cursor| Seq::get(cursor.seq)))
        .bind(column(cursors, |cursor| cursor.revision.get()))
        .bind(column(cursors, |cursor| cursor.part.as_deref()))
        .bind(column(cursors, |cursor| cursor.attempts.cast_signed()))
        .bind(column(cursors, |cursor| cursor.retry_at))
}
