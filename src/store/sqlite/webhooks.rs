//! The state of webhooks. One server uses the file, so a lease is taken at once, and costs no write
//! while it is kept.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Connection, Sqlite, SqliteConnection, sqlite::SqliteArguments, sqlite::SqliteRow};

use super::{
    super::{
        error::StoreError,
        fault,
        page::{Head, saturated},
        row,
        webhook_store::{
            Cursor, EndpointId, EndpointStatus, Lease, Results, RoomEvent, WebhookStore,
            first_change_at,
        },
    },
    SqliteStore,
    conversations::time,
};
use crate::model::{Revision, RoomId};

const REGISTER: &str = r#"
INSERT INTO webhook_endpoints (endpoint, url, epoch) VALUES (?1, ?2, 0)
ON CONFLICT (endpoint) DO UPDATE SET url = excluded.url RETURNING registered IS NOT NULL AS done"#;

const PAGE: &str = r#"
SELECT max(room_id) AS room_id FROM (SELECT room_id FROM rooms WHERE ?1 IS NULL OR room_id > ?1 ORDER BY room_id LIMIT ?2)"#;

const START: &str = r#"
INSERT INTO webhook_cursors (room_id, endpoint, seq, revision)
SELECT room_id, ?1, last_seq, coalesce((SELECT last_revision FROM revisions AS v WHERE v.room_id = r.room_id), 0)
FROM rooms AS r WHERE (?2 IS NULL OR room_id > ?2) AND room_id <= ?3 ON CONFLICT (room_id, endpoint) DO NOTHING"#;

const STARTED: &str =
    "UPDATE webhook_endpoints SET registered = ?2 WHERE endpoint = ?1 AND registered IS NULL";

const LEASE: &str = r#"
UPDATE webhook_endpoints SET epoch = epoch + (disabled IS NULL) WHERE endpoint = ?1
RETURNING epoch, disabled IS NOT NULL AS is_disabled"#;

const HELD: &str = r#"
SELECT succeeded, failed FROM webhook_endpoints WHERE endpoint = ?1 AND epoch = ?2"#;

const NOTE: &str = r#"
UPDATE webhook_endpoints SET succeeded = coalesce(?3, succeeded), failed = coalesce(?4, failed), error = coalesce(?5, error)
WHERE endpoint = ?1 AND epoch = ?2"#;

const DISABLE: &str =
    "UPDATE webhook_endpoints SET disabled = ?3, reason = ?4 WHERE endpoint = ?1 AND epoch = ?2";

const BEHIND: &str = r#"
SELECT r.room_id FROM rooms AS r
LEFT JOIN webhook_cursors AS c ON c.room_id = r.room_id AND c.endpoint = ?1
LEFT JOIN revisions AS v ON v.room_id = r.room_id
WHERE (?2 IS NULL OR r.room_id > ?2)
    AND (r.last_seq > coalesce(c.seq, 0) OR coalesce(v.last_revision, 0) > coalesce(c.revision, 0) OR c.part IS NOT NULL)
    AND (c.retry_at IS NULL OR c.retry_at <= ?4)
ORDER BY r.room_id LIMIT ?3"#;

const PLACE: &str = r#"
SELECT r.last_seq, (SELECT last_revision FROM revisions AS v WHERE v.room_id = r.room_id) AS revision,
    c.seq AS own, c.revision AS delivered, c.part, c.attempts, c.retry_at
FROM rooms AS r LEFT JOIN webhook_cursors AS c ON c.room_id = r.room_id AND c.endpoint = ?1 WHERE r.room_id = ?2"#;

const MOVE: &str = r#"
INSERT INTO webhook_cursors (room_id, endpoint, seq, revision, part, attempts, retry_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (room_id, endpoint) DO UPDATE SET seq = excluded.seq, revision = excluded.revision, part = excluded.part,
    attempts = excluded.attempts, retry_at = excluded.retry_at"#;

/// Among several changes with the cursor's own revision, those after its part count. Without a part there
/// are none.
const ROOM_EVENTS: &str = r#"
SELECT settings_revision AS revision, NULL AS user_id, NULL AS role, title, metadata, access,
    NULL AS status, NULL AS holder, NULL AS version, NULL AS changed, NULL AS changed_by, NULL AS call
FROM room_settings WHERE room_id = ?1 AND settings_revision > ?2
UNION ALL
SELECT revision, NULL, NULL, NULL, NULL, '', status, holder, version, changed, changed_by, NULL
FROM conversations WHERE room_id = ?1 AND revision > ?2
UNION ALL
SELECT revision, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, call FROM calls WHERE room_id = ?1 AND revision > ?2
UNION ALL
SELECT revision, user_id, role, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL FROM room_members
WHERE room_id = ?1 AND revision >= ?2 AND (revision > ?2 OR user_id > ?3)
UNION ALL
SELECT revision, user_id, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL FROM room_departures
WHERE room_id = ?1 AND revision >= ?2 AND (revision > ?2 OR user_id > ?3)
ORDER BY 1, 2 LIMIT ?4"#;

const STATUSES: &str = r#"
SELECT e.url, e.disabled, e.reason, e.succeeded, e.failed, e.error,
    count(b.events) AS rooms, coalesce(sum(b.events), 0) AS events, min(b.first) AS oldest
FROM webhook_endpoints AS e LEFT JOIN (
    SELECT w.endpoint, r.last_seq - coalesce(c.seq, 0) + coalesce(v.last_revision, 0) - coalesce(c.revision, 0) AS events, (
        SELECT "timestamp" FROM messages AS m WHERE m.room_id = r.room_id AND m.seq > coalesce(c.seq, 0)
        ORDER BY m.seq LIMIT 1
    ) AS first
    FROM webhook_endpoints AS w CROSS JOIN rooms AS r
    LEFT JOIN webhook_cursors AS c ON c.room_id = r.room_id AND c.endpoint = w.endpoint
    LEFT JOIN revisions AS v ON v.room_id = r.room_id
    WHERE r.last_seq > coalesce(c.seq, 0) OR coalesce(v.last_revision, 0) > coalesce(c.revision, 0) OR c.part IS NOT NULL
) AS b ON b.endpoint = e.endpoint
GROUP BY e.endpoint ORDER BY e.url"#;

const RESTART: &str = r#"
UPDATE webhook_endpoints SET epoch = epoch + 1, disabled = NULL, reason = NULL WHERE endpoint = ?1 RETURNING epoch"#;

const NEXT_EPOCH: &str = "UPDATE webhook_endpoints SET epoch = epoch + 1 WHERE endpoint = ?1";

const PLACED: &str = r#"
SELECT max(room_id) AS room_id FROM (
    SELECT room_id FROM webhook_cursors WHERE endpoint = ?1 AND (?2 IS NULL OR room_id > ?2) ORDER BY room_id LIMIT ?3
)"#;

/// Reads each room from its end back to the time.
const REWIND: &str = r#"
UPDATE webhook_cursors AS c SET attempts = 0, retry_at = NULL,
    part = CASE WHEN ?2 IS NULL THEN part END,
    seq = CASE WHEN ?2 IS NULL THEN seq ELSE min(seq, coalesce((
        SELECT m.seq FROM messages AS m WHERE m.room_id = c.room_id AND m."timestamp" < ?2 ORDER BY m.seq DESC LIMIT 1
    ), 0)) END,
    revision = CASE WHEN ?2 IS NULL THEN revision ELSE min(revision, max(coalesce((
        SELECT s.revision FROM message_states AS s
        WHERE s.room_id = c.room_id AND s.revision IS NOT NULL AND s.change_id < ?3 ORDER BY s.revision DESC LIMIT 1
    ), 0), coalesce((
        SELECT t.revision FROM room_settings AS t WHERE t.room_id = c.room_id AND (t.changed IS NULL OR t.changed < ?2)
    ), 0))) END
WHERE endpoint = ?1 AND (?4 IS NULL OR room_id > ?4) AND room_id <= ?5"#;

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

#[async_trait]
impl WebhookStore for SqliteStore {
    async fn register(&self, id: EndpointId, url: &str) -> Result<bool, StoreError> {
        let rows = self.write(sqlx::query(REGISTER).bind(key(id)).bind(url));
        let rows = rows.await?;
        rows.first()
            .map_or(Ok(false), |row| row::value(row, "done"))
    }

    async fn start_at_end(
        &self,
        id: EndpointId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Option<RoomId>, StoreError> {
        let after = after.map(RoomId::as_str);
        let paging = sqlx::query(PAGE).bind(after).bind(saturated(limit));
        let last = last_room(&self.rows(paging).await?)?;
        let query = match &last {
            Some(last) => sqlx::query(START)
                .bind(key(id))
                .bind(after)
                .bind(last.as_str()),
            None => sqlx::query(STARTED).bind(key(id)).bind(now()),
        };
        self.write(query).await?;
        Ok(last)
    }

    async fn lease(&self, id: EndpointId, _: Duration) -> Result<Lease, StoreError> {
        let rows = self.write(sqlx::query(LEASE).bind(key(id)));
        row::lease(rows.await?.first())
    }

    async fn renew(
        &self,
        id: EndpointId,
        epoch: i64,
        _: Duration,
        results: &Results,
    ) -> Result<bool, StoreError> {
        let rows = self.rows(sqlx::query(HELD).bind(key(id)).bind(epoch));
        let rows = rows.await?;
        let Some(held) = rows.first() else {
            return Ok(false);
        };
        let (failed, error) = results.failed.clone().unzip();
        let (succeeded, failed) = (results.succeeded.map(millis), failed.map(millis));
        let noted: (Option<i64>, Option<i64>) =
            (row::value(held, "succeeded")?, row::value(held, "failed")?);
        if succeeded > noted.0 || failed > noted.1 {
            let noting = sqlx::query(NOTE)
                .bind(key(id))
                .bind(epoch)
                .bind(succeeded)
                .bind(failed)
                .bind(error);
            self.write(noting).await?;
        }
        Ok(true)
    }

    async fn release(&self, _: EndpointId, _: i64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn disable(&self, id: EndpointId, epoch: i64, reason: &str) -> Result<(), StoreError> {
        let query = sqlx::query(DISABLE)
            .bind(key(id))
            .bind(epoch)
            .bind(now())
            .bind(reason);
        self.write(query).await.map(drop)
    }

    async fn behind(
        &self,
        id: EndpointId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError> {
        let query = sqlx::query(BEHIND)
            .bind(key(id))
            .bind(after.map(RoomId::as_str))
            .bind(saturated(limit))
            .bind(now());
        let rows = self.rows(query).await?;
        rows.iter().map(|row| row::parsed(row, "room_id")).collect()
    }

    async fn place(
        &self,
        id: EndpointId,
        room: &RoomId,
    ) -> Result<Option<(Cursor, Head)>, StoreError> {
        let query = sqlx::query(PLACE).bind(key(id)).bind(room.as_str());
        let rows = self.rows(query).await?;
        rows.first().map(|row| place(row, room)).transpose()
    }

    async fn advance(
        &self,
        id: EndpointId,
        epoch: i64,
        cursors: &[Cursor],
    ) -> Result<bool, StoreError> {
        let mut connection = self.writer().await?;
        let outcome = advance(&mut connection, id, epoch, cursors).await;
        self.wrote(connection, outcome.map_err(fault::classify))
            .await
    }

    async fn room_events(
        &self,
        after: &Cursor,
        limit: usize,
    ) -> Result<Vec<RoomEvent>, StoreError> {
        let query = sqlx::query(ROOM_EVENTS)
            .bind(after.room_id.as_str())
            .bind(after.revision.get())
            .bind(after.part.as_deref())
            .bind(saturated(limit));
        let rows = self.rows(query).await?;
        rows.iter().map(|row| row::room_event(row, time)).collect()
    }

    async fn statuses(&self) -> Result<Vec<EndpointStatus>, StoreError> {
        let rows = self.rows(sqlx::query(STATUSES)).await?;
        rows.iter()
            .map(|row| row::endpoint_status(row, time))
            .collect()
    }

    async fn restart(&self, id: EndpointId) -> Result<bool, StoreError> {
        let rows = self.write(sqlx::query(RESTART).bind(key(id))).await?;
        Ok(!rows.is_empty())
    }

    async fn rewind(
        &self,
        id: EndpointId,
        to: Option<DateTime<Utc>>,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Option<RoomId>, StoreError> {
        let after = after.map(RoomId::as_str);
        let paging = sqlx::query(PLACED)
            .bind(key(id))
            .bind(after)
            .bind(saturated(limit));
        let last = last_room(&self.rows(paging).await?)?;
        if let Some(last) = &last {
            let moving = sqlx::query(REWIND)
                .bind(key(id))
                .bind(to.map(millis))
                .bind(to.map(|to| first_change_at(to).to_string()))
                .bind(after)
                .bind(last.as_str());
            let mut connection = self.writer().await?;
            let outcome = rewind(&mut connection, id, moving).await;
            self.wrote(connection, outcome.map_err(fault::classify))
                .await?;
        }
        Ok(last)
    }
}

impl SqliteStore {
    async fn write(&self, query: Query<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        let mut connection = self.writer().await?;
        let outcome = query.fetch_all(&mut *connection).await;
        self.wrote(connection, outcome.map_err(fault::classify))
            .await
    }
}

/// Moves an endpoint's places in one transaction, unless the epoch is over.
async fn advance(
    connection: &mut SqliteConnection,
    id: EndpointId,
    epoch: i64,
    cursors: &[Cursor],
) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let held = sqlx::query(HELD).bind(key(id)).bind(epoch);
    if held.fetch_optional(&mut *transaction).await?.is_none() {
        transaction.rollback().await?;
        return Ok(false);
    }
    for cursor in cursors {
        let moving = sqlx::query(MOVE)
            .bind(cursor.room_id.as_str())
            .bind(key(id))
            .bind(cursor.seq.get())
            .bind(cursor.revision.get())
            .bind(cursor.part.as_deref())
            .bind(cursor.attempts)
            .bind(cursor.retry_at.map(millis));
        moving.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Moves places back in one transaction with the begin of a new epoch: a running sender must not move
/// them on.
async fn rewind(
    connection: &mut SqliteConnection,
    id: EndpointId,
    moving: Query<'_>,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let beginning = sqlx::query(NEXT_EPOCH).bind(key(id));
    beginning.execute(&mut *transaction).await?;
    moving.execute(&mut *transaction).await?;
    transaction.commit().await
}

fn key(EndpointId(id): EndpointId) -> String {
    id.to_string()
}

fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

fn now() -> i64 {
    millis(Utc::now())
}

fn last_room(rows: &[SqliteRow]) -> Result<Option<RoomId>, StoreError> {
    let last = rows.first().map(|row| row::optional(row, "room_id"));
    Ok(last.transpose()?.flatten())
}

fn place(row: &SqliteRow, room: &RoomId) -> Result<(Cursor, Head), StoreError> {
    let head = Head {
        seq: row::place(row, "last_seq")?,
        revision: row::revision(row)?,
    };
    let delivered: Option<i64> = row::value(row, "delivered")?;
    let Some(delivered) = delivered else {
        return Ok((Cursor::beginning_of(room.clone()), head));
    };
    let cursor = Cursor {
        room_id: room.clone(),
        seq: row::own(row)?,
        revision: Revision::try_from(delivered)
            .map_err(|error| row::unreadable("delivered", error))?,
        part: row::value(row, "part")?,
        attempts: row::value(row, "attempts")?,
        retry_at: time(row, "retry_at")?,
    };
    Ok((cursor, head))
}
