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
use crate::model::{Call, DueCall, PartyId, Revision, RoomId};

const LOST: &str = r#"
SELECT party_id FROM call_parties WHERE room_id = $1 AND seen < now() - make_interval(secs => $2)"#;

/// The parties that are no longer in the call are forgotten, and new ones count as seen.
const WRITE: &str = r#"
WITH gone AS (
    DELETE FROM call_parties WHERE room_id = $1 AND party_id <> ALL($7)
), new AS (
    INSERT INTO call_parties (room_id, party_id, seen) SELECT $1, party_id, clock_timestamp() FROM unnest($7::text[]) AS here (party_id)
    ON CONFLICT (room_id, party_id) DO NOTHING
)
INSERT INTO calls (room_id, revision, started_by, live, expires, call) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (room_id) DO UPDATE
SET revision = excluded.revision, started_by = excluded.started_by, live = excluded.live, expires = excluded.expires,
    call = excluded.call"#;

/// Locks in the order of the names, so that two servers cannot deadlock.
const SEE: &str = r#"
WITH here AS (
    SELECT p.room_id, p.party_id FROM unnest($1::text[], $2::text[]) AS asked (room_id, party_id)
    JOIN call_parties p ON p.room_id = asked.room_id COLLATE "C" AND p.party_id = asked.party_id COLLATE "C"
    ORDER BY p.room_id, p.party_id FOR NO KEY UPDATE OF p
)
UPDATE call_parties p SET seen = clock_timestamp() FROM here WHERE p.room_id = here.room_id AND p.party_id = here.party_id
RETURNING p.room_id, p.party_id"#;

const DUE: &str = r#"
SELECT room_id, started_by, extract(epoch FROM due - now())::float8 AS due_in FROM (
    SELECT room_id, started_by, least(expires, (
        SELECT min(seen) FROM call_parties p WHERE p.room_id = c.room_id
    ) + make_interval(secs => $1)) AS due
    FROM calls c WHERE live
) AS going_on ORDER BY due LIMIT $2"#;

/// Returns the statement that finds the parties that were not seen for some time.
pub(super) fn lost(room: &RoomId, lost_after: Duration) -> Query<'static> {
    sqlx::query(LOST)
        .bind(room.as_str().to_owned())
        .bind(lost_after.as_secs_f64())
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
        .bind(call.is_live())
        .bind(call.expires_at)
        .bind(row::call_json(call))
        .bind(parties)
}

#[async_trait]
impl CallStore for PostgresStore {
    async fn see(
        &self,
        parties: &[(RoomId, PartyId)],
    ) -> Result<Vec<(RoomId, PartyId)>, StoreError> {
        let rooms: Vec<_> = parties.iter().map(|(room, _)| room.as_str()).collect();
        let ids: Vec<_> = parties.iter().map(|(_, party)| party.as_str()).collect();
        let seeing = || sqlx::query(SEE).bind(rooms.clone()).bind(ids.clone());
        let rows = fetch(&self.pools, Work::Write, seeing).await?;
        rows.iter().map(row::party).collect()
    }

    async fn due(&self, lost_after: Duration, limit: usize) -> Result<Vec<DueCall>, StoreError> {
        let (lost_after, limit) = (lost_after.as_secs_f64(), saturated(limit));
        let asking = || sqlx::query(DUE).bind(lost_after).bind(limit);
        let rows = fetch(&self.pools, Work::Read, asking).await?;
        rows.iter().map(row::due).collect()
    }
}
