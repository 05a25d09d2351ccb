//! Calls.

use std::time::Duration;

use async_trait::async_trait;

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

const RENEW: &str =
    "UPDATE call_parties SET heartbeat_at = clock_timestamp() WHERE room_id = $1 AND party_id = $2";

/// The parties that are no longer in the call are forgotten, and new ones have a heartbeat. Locks in the order
/// of the names, as [`HEARTBEAT`].
const WRITE: &str = r#"
WITH others AS (
    SELECT party_id FROM call_parties WHERE room_id = $1 AND party_id <> ALL($8) ORDER BY party_id FOR UPDATE
), gone AS (
    DELETE FROM call_parties p USING others WHERE p.room_id = $1 AND p.party_id = others.party_id
), new AS (
    INSERT INTO call_parties (room_id, party_id, call_id, heartbeat_at)
    SELECT $1, party_id, $4, clock_timestamp() FROM unnest($8::text[]) AS here (party_id)
    ON CONFLICT (room_id, party_id) DO NOTHING
)
INSERT INTO calls (room_id, revision, started_by, live, expires, call) VALUES ($1, $2, $3, $5, $6, $7)
ON CONFLICT (room_id) DO UPDATE
SET revision = excluded.revision, started_by = excluded.started_by, live = excluded.live, expires = excluded.expires,
    call = excluded.call"#;

/// Locks in the order of the names, so that neither two servers nor the steps of calls deadlock with each other.
const HEARTBEAT: &str = r#"
WITH here AS (
    SELECT p.room_id, p.party_id FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (room_id, call_id, party_id)
    JOIN call_parties p ON p.room_id = asked.room_id COLLATE "C" AND p.party_id = asked.party_id COLLATE "C"
        AND p.call_id = asked.call_id COLLATE "C"
    ORDER BY p.room_id, p.party_id FOR NO KEY UPDATE OF p
)
UPDATE call_parties p SET heartbeat_at = clock_timestamp() FROM here WHERE p.room_id = here.room_id AND p.party_id = here.party_id
RETURNING p.room_id, p.call_id, p.party_id"#;

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

/// Returns the statement that notes that a party is here.
pub(super) fn renew(room: &RoomId, party: &PartyId) -> Query<'static> {
    sqlx::query(RENEW)
        .bind(room.as_str().to_owned())
        .bind(party.as_str().to_owned())
}

/// Returns the statement that writes a call.
pub(super) fn write(room: &RoomId, call: &Call, revision: Revision) -> Query<'static> {
    let parties = call.parties.iter();
    let parties: Vec<_> = parties
        .map(|party| party.party_id.as_str().to_owned())
        .collect();
    sqlx::query(WRITE)
        .bind(room.as_str().to_owned())
        .bind(revision.get())
        .bind(call.started_by.as_str().to_owned())
        .bind(call.call_id.as_str().to_owned())
        .bind(call.is_live())
        .bind(call.expires_at)
        .bind(row::call_json(call))
        .bind(parties)
}

#[async_trait]
impl CallStore for PostgresStore {
    async fn heartbeat(
        &self,
        parties: &[(RoomId, Part)],
    ) -> Result<Vec<(RoomId, Part)>, StoreError> {
        let rooms: Vec<_> = parties.iter().map(|(room, _)| room.as_str()).collect();
        let parts = parties.iter().map(|(_, part)| part);
        let calls: Vec<_> = parts.clone().map(|part| part.call_id.as_str()).collect();
        let ids: Vec<_> = parts.map(|part| part.party_id.as_str()).collect();
        let beating = || {
            sqlx::query(HEARTBEAT)
                .bind(rooms.clone())
                .bind(calls.clone())
                .bind(ids.clone())
        };
        let rows = fetch(&self.pools, Work::Write, beating).await?;
        rows.iter().map(row::part).collect()
    }

    async fn due(&self, lease: Option<Duration>, limit: usize) -> Result<Vec<DueCall>, StoreError> {
        let (lease, limit) = (lease.map(|lease| lease.as_secs_f64()), saturated(limit));
        let asking = || sqlx::query(DUE).bind(lease).bind(limit);
        let rows = fetch(&self.pools, Work::Read, asking).await?;
        rows.iter().map(row::due).collect()
    }
}
