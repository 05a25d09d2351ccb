//! Calls.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    super::{call_store::CallStore, error::StoreError, page::saturated, row},
    PostgresStore,
    memberships::fetch,
    pools::Query,
    work::Work,
};
use crate::model::{Call, DueCall, Part, PartyId, Revision, RoomId};

const EXPIRED: &str = r#"
SELECT party_id FROM call_parties WHERE room_id = $1 AND heartbeat_at < now() - make_interval(secs => $2)"#;

const PARTY: &str = "SELECT user_id, entry FROM call_parties WHERE room_id = $1 AND party_id = $2";

const ENTER: &str = r#"
UPDATE call_parties SET entry = $3, heartbeat_at = clock_timestamp() WHERE room_id = $1 AND party_id = $2"#;

/// The parties that have left are kept without a heartbeat until the call ends. Locks in the order of the names,
/// as [`HEARTBEAT`].
const WRITE: &str = r#"
WITH others AS (
    SELECT party_id FROM call_parties WHERE room_id = $1 AND party_id <> ALL($8) ORDER BY party_id FOR UPDATE
), gone AS (
    DELETE FROM call_parties p USING others WHERE p.room_id = $1 AND p.party_id = others.party_id AND (NOT $5 OR p.call_id <> $4)
), parted AS (
    UPDATE call_parties p SET heartbeat_at = NULL FROM others
    WHERE p.room_id = $1 AND p.party_id = others.party_id AND $5 AND p.call_id = $4
), new AS (
    INSERT INTO call_parties (room_id, party_id, call_id, user_id)
    SELECT $1, party_id, $4, user_id FROM unnest($8::text[], $9::text[]) AS here (party_id, user_id)
    ON CONFLICT (room_id, party_id) DO UPDATE SET call_id = excluded.call_id, user_id = excluded.user_id
    WHERE call_parties.call_id <> excluded.call_id
)
INSERT INTO calls (room_id, revision, started_by, live, expires, call) VALUES ($1, $2, $3, $5, $6, $7)
ON CONFLICT (room_id) DO UPDATE
SET revision = excluded.revision, started_by = excluded.started_by, live = excluded.live, expires = excluded.expires,
    call = excluded.call"#;

/// Locks in the order of the names, so that neither two servers nor the steps of calls deadlock with each other.
const HEARTBEAT: &str = r#"
WITH here AS (
    SELECT p.room_id, p.party_id FROM unnest($1::text[], $2::text[], $3::uuid[]) AS asked (room_id, party_id, entry)
    JOIN call_parties p ON p.room_id = asked.room_id COLLATE "C" AND p.party_id = asked.party_id COLLATE "C"
        AND p.entry = asked.entry
    WHERE heartbeat_at IS NOT NULL ORDER BY p.room_id, p.party_id FOR NO KEY UPDATE OF p
)
UPDATE call_parties p SET heartbeat_at = clock_timestamp() FROM here WHERE p.room_id = here.room_id AND p.party_id = here.party_id
RETURNING p.room_id, p.call_id, p.party_id, p.entry"#;

const DUE: &str = r#"
SELECT room_id, started_by, extract(epoch FROM due - now())::float8 AS due_in FROM (
    SELECT room_id, started_by, least(expires, coalesce((
        SELECT min(heartbeat_at) FROM call_parties p WHERE p.room_id = c.room_id
    ), 'epoch') + make_interval(secs => $1)) AS due
    FROM calls c WHERE live
) AS going_on WHERE due IS NOT NULL ORDER BY due LIMIT $2"#;

/// Returns the statement that finds the parties without a heartbeat for the time of the lease.
pub(super) fn expired(room: &RoomId, lease: Duration) -> Query<'static> {
    sqlx::query(EXPIRED)
        .bind(room.as_str().to_owned())
        .bind(lease.as_secs_f64())
}

/// Returns the statement that finds a party of the room's call.
pub(super) fn party(room: &RoomId, party: &PartyId) -> Query<'static> {
    sqlx::query(PARTY)
        .bind(room.as_str().to_owned())
        .bind(party.as_str().to_owned())
}

/// Returns the statement that notes that a party is here.
pub(super) fn enter(room: &RoomId, party: &PartyId, entry: Uuid) -> Query<'static> {
    sqlx::query(ENTER)
        .bind(room.as_str().to_owned())
        .bind(party.as_str().to_owned())
        .bind(entry)
}

/// Returns the statement that writes a call.
pub(super) fn write(room: &RoomId, call: &Call, revision: Revision) -> Query<'static> {
    let parties = call.parties.iter();
    let ids = parties
        .clone()
        .map(|party| party.party_id.as_str().to_owned());
    let users = parties.map(|party| party.user_id.as_str().to_owned());
    sqlx::query(WRITE)
        .bind(room.as_str().to_owned())
        .bind(revision.get())
        .bind(call.started_by.as_str().to_owned())
        .bind(call.call_id.as_str().to_owned())
        .bind(call.is_live())
        .bind(call.expires_at)
        .bind(row::call_json(call))
        .bind(Vec::from_iter(ids))
        .bind(Vec::from_iter(users))
}

#[async_trait]
impl CallStore for PostgresStore {
    async fn heartbeat(
        &self,
        parties: &[(RoomId, Part)],
    ) -> Result<Vec<(RoomId, Part)>, StoreError> {
        let rooms: Vec<_> = parties.iter().map(|(room, _)| room.as_str()).collect();
        let parts = parties.iter().map(|(_, part)| part);
        let ids: Vec<_> = parts.clone().map(|part| part.party_id.as_str()).collect();
        let entries: Vec<_> = parts.map(|part| part.entry).collect();
        let beating = || {
            sqlx::query(HEARTBEAT)
                .bind(rooms.clone())
                .bind(ids.clone())
                .bind(entries.clone())
        };
        let rows = fetch(&self.pools, Work::Write, beating).await?;
        let parts = rows
            .iter()
            .map(|row| row::part(row, row::value(row, "entry")?));
        parts.collect()
    }

    async fn due(&self, lease: Option<Duration>, limit: usize) -> Result<Vec<DueCall>, StoreError> {
        let (lease, limit) = (lease.map(|lease| lease.as_secs_f64()), saturated(limit));
        let asking = || sqlx::query(DUE).bind(lease).bind(limit);
        let rows = fetch(&self.pools, Work::Read, asking).await?;
        rows.iter().map(row::due).collect()
    }
}
