//! Calls.

use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{
    super::{call_store::CallStore, error::StoreError, fault, page::saturated, row},
    SqliteStore,
    change::Query,
};
use crate::model::{Call, DueCall, Part, Revision, RoomId};

pub(super) const EXPIRED: &str =
    "SELECT party_id FROM call_parties WHERE room_id = ?1 AND heartbeat_at < ?2";

pub(super) const PARTY: &str =
    "SELECT user_id, entry FROM call_parties WHERE room_id = ?1 AND party_id = ?2";

pub(super) const ENTER: &str =
    "UPDATE call_parties SET entry = ?3, heartbeat_at = ?4 WHERE room_id = ?1 AND party_id = ?2";

const WRITE: &str = r#"
INSERT INTO calls (room_id, revision, started_by, live, expires, call) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (room_id) DO UPDATE
SET revision = excluded.revision, started_by = excluded.started_by, live = excluded.live, expires = excluded.expires,
    call = excluded.call"#;

/// Forgets the parties of a call that is over.
const GONE: &str = "DELETE FROM call_parties WHERE room_id = ?1 AND (NOT ?2 OR call_id <> ?3)";

/// The parties that have left are kept without a heartbeat until the call ends.
const PARTED: &str = r#"
UPDATE call_parties SET heartbeat_at = NULL
WHERE room_id = ?1 AND party_id NOT IN (SELECT value ->> 0 FROM json_each(?2))"#;

const NEW: &str = r#"
INSERT INTO call_parties (room_id, party_id, call_id, user_id) SELECT ?1, value ->> 0, ?3, value ->> 1 FROM json_each(?2) WHERE true
ON CONFLICT (room_id, party_id) DO UPDATE SET call_id = excluded.call_id, user_id = excluded.user_id
WHERE call_parties.call_id <> excluded.call_id"#;

const HEARTBEAT: &str = r#"
UPDATE call_parties SET heartbeat_at = ?2
WHERE (room_id, party_id, entry) IN (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)) AND heartbeat_at IS NOT NULL
RETURNING room_id, call_id, party_id, entry"#;

const DUE: &str = r#"
SELECT room_id, started_by, (due - ?1) / 1000.0 AS due_in FROM (
    SELECT room_id, started_by, min(coalesce(expires, 9223372036854775807), coalesce((
        SELECT coalesce(min(heartbeat_at), 0) FROM call_parties AS p WHERE p.room_id = c.room_id
    ) + ?2, 9223372036854775807)) AS due
    FROM calls AS c WHERE live
) AS going_on WHERE due < 9223372036854775807 ORDER BY due LIMIT ?3"#;

/// Reads the latest entry of a party.
pub(super) fn entry(row: &SqliteRow) -> Result<Option<Uuid>, StoreError> {
    let entry: Option<String> = row::value(row, "entry")?;
    let entry = entry.map(|entry| entry.parse()).transpose();
    entry.map_err(|error| row::unreadable("entry", error))
}

/// Returns the statements that write a call.
pub(super) fn write(room: &RoomId, call: &Call, revision: Revision) -> [Query<'static>; 4] {
    let parties = call.parties.iter();
    let parties = parties.map(|party| [party.party_id.as_str(), party.user_id.as_str()]);
    let parties = json!(Vec::from_iter(parties)).to_string();
    let (room, id) = (room.as_str().to_owned(), call.call_id.as_str().to_owned());
    let writing = sqlx::query(WRITE)
        .bind(room.clone())
        .bind(revision.get())
        .bind(call.started_by.as_str().to_owned())
        .bind(call.is_live())
        .bind(call.expires_at.map(|time| time.timestamp_millis()))
        .bind(row::call_json(call));
    let forgetting = sqlx::query(GONE)
        .bind(room.clone())
        .bind(call.is_live())
        .bind(id.clone());
    let of_parties = |sql| sqlx::query(sql).bind(room.clone()).bind(parties.clone());
    let adding = of_parties(NEW).bind(id);
    [writing, forgetting, of_parties(PARTED), adding]
}

#[async_trait]
impl CallStore for SqliteStore {
    async fn heartbeat(
        &self,
        parties: &[(RoomId, Part)],
    ) -> Result<Vec<(RoomId, Part)>, StoreError> {
        let parties = parties
            .iter()
            .map(|(room, part)| json!([room.as_str(), part.party_id.as_str(), part.entry]));
        let beating = sqlx::query(HEARTBEAT)
            .bind(json!(Vec::from_iter(parties)).to_string())
            .bind(Utc::now().timestamp_millis());
        let mut connection = self.writer().await?;
        let rows = beating.fetch_all(&mut *connection).await;
        let rows = self
            .wrote(connection, rows.map_err(fault::classify))
            .await?;
        let parts = rows
            .iter()
            .map(|row| row::part(row, entry(row)?.unwrap_or_default()));
        parts.collect()
    }

    async fn due(&self, lease: Option<Duration>, limit: usize) -> Result<Vec<DueCall>, StoreError> {
        self.place.check()?;
        let millis = |lease: Duration| i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let asking = sqlx::query(DUE)
            .bind(Utc::now().timestamp_millis())
            .bind(lease.map(millis))
            .bind(saturated(limit));
        let rows = asking.fetch_all(&self.readers).await;
        let rows = rows.map_err(fault::classify)?;
        rows.iter().map(row::due).collect()
    }
}
