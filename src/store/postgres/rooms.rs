//! Rooms' settings and members.

use std::{collections::HashMap, io::ErrorKind, time::Duration};

use sqlx::postgres::PgRow;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    super::{
        conversing::Talk,
        error::StoreError,
        fault,
        governing::{self, Present, RoomTables},
        present::Subject,
        row,
    },
    append::{self, ByRoom},
    calls,
    change::{LOCK, OPEN, states},
    conversations::{self, time},
    memberships::{LIMIT, fetch},
    pools::{Pools, Query, Session},
    work::{STATEMENTS_TIMEOUT, Work},
};
use crate::model::{
    Call, Draft, Membership, Message, Metadata, PartyId, Revision, RoomChange, RoomChanged, RoomId,
    RoomMember, RoomRefusal, RoomSettings, Standing, Title, UserId,
};

/// A room without messages has a row, too, so that it has revisions.
const CREATE: &str =
    "INSERT INTO rooms (room_id, last_seq) VALUES ($1, 0) ON CONFLICT (room_id) DO NOTHING";

const LOCK_LOG: &str = "SELECT FROM rooms WHERE room_id = $1 FOR NO KEY UPDATE";

const PRESENT: &str = r#"
SELECT r.last_seq AS seq, s.title, s.metadata, s.access, c.revision AS talk_revision, c.status, c.holder, c.version, c.changed,
    c.changed_by, c.waiting, k.revision AS call_revision, k.call, clock_timestamp() AS now,
    (SELECT role FROM room_members WHERE room_id = $1 AND user_id = $2) AS own,
    (SELECT role FROM room_members WHERE room_id = $1 AND user_id = $3) AS other,
    (SELECT count(*) FROM room_members WHERE room_id = $1 AND role = 'owner') AS owners
FROM rooms r LEFT JOIN room_settings s USING (room_id) LEFT JOIN conversations c USING (room_id)
LEFT JOIN calls k USING (room_id) WHERE r.room_id = $1"#;

const WRITE: &str = r#"
INSERT INTO room_settings AS old (room_id, revision, title, metadata, access, created, settings_revision, changed)
VALUES ($1, $2, $3, $4, $5, now(), $2, now())
ON CONFLICT (room_id) DO UPDATE
SET revision = excluded.revision, title = excluded.title, metadata = excluded.metadata, access = excluded.access,
    changed = excluded.changed, settings_revision = CASE
        WHEN (old.title, old.metadata, old.access) IS DISTINCT FROM (excluded.title, excluded.metadata, excluded.access)
        THEN excluded.revision ELSE old.settings_revision END"#;

const COUNT: &str = "UPDATE revisions SET last_revision = $2 WHERE room_id = $1";

const ADD: &str = r#"
INSERT INTO room_members (room_id, user_id, role, since, revision)
SELECT $1, user_id, $3, now(), $4 FROM unnest($2::text[]) AS new (user_id)
ON CONFLICT (room_id, user_id) DO UPDATE SET role = excluded.role, revision = excluded.revision"#;

const LEAVE: &str = r#"
WITH left_behind AS (DELETE FROM room_members WHERE room_id = $1 AND user_id = ANY($2))
INSERT INTO room_departures (room_id, user_id, revision) SELECT $1, user_id, $3 FROM unnest($2::text[]) AS gone (user_id)
ON CONFLICT (room_id, user_id) DO UPDATE SET revision = excluded.revision"#;

const FOLLOW: &str = r#"
INSERT INTO memberships (room_id, user_id, read_seq, follows, muted, since)
SELECT $1, new.user_id, 0, true, false, now() FROM unnest($2::text[]) AS new (user_id)
WHERE (
    SELECT count(*) FROM (SELECT FROM memberships f WHERE f.user_id = new.user_id COLLATE "C" AND f.follows LIMIT $3) AS many
) < $3
ORDER BY new.user_id COLLATE "C" ON CONFLICT (room_id, user_id) DO UPDATE SET follows = true"#;

const UNFOLLOW: &str =
    "UPDATE memberships SET follows = false WHERE room_id = $1 AND user_id = ANY($2) AND follows";

/// A conversation or a call needs no settings.
const SETTINGS: &str = r#"
SELECT greatest(s.revision, c.revision, k.revision) AS revision, title, metadata, coalesce(access, 'open') AS access,
    status, holder, version, c.changed, changed_by, call
FROM (SELECT $1 COLLATE "C" AS room_id) AS asked
LEFT JOIN room_settings s USING (room_id) LEFT JOIN conversations c USING (room_id) LEFT JOIN calls k USING (room_id)
WHERE s.room_id IS NOT NULL OR c.room_id IS NOT NULL OR k.room_id IS NOT NULL"#;

const STANDINGS: &str = r#"
SELECT place.room_id, place.user_id, s.access, (
    SELECT role FROM room_members m WHERE m.room_id = place.room_id COLLATE "C" AND m.user_id = place.user_id COLLATE "C"
) AS role
FROM unnest($1::text[], $2::text[]) AS place (room_id, user_id)
JOIN room_settings s ON s.room_id = place.room_id COLLATE "C""#;

const MEMBERS: &str = r#"
SELECT user_id, role FROM room_members
WHERE room_id = $1 AND ($2::text IS NULL OR user_id > $2) AND role <> 'removed' ORDER BY user_id LIMIT $3"#;

/// Changes a room's settings or members.
pub(super) async fn change(
    pools: &Pools,
    change: &RoomChange,
) -> Result<Result<RoomChanged, RoomRefusal>, StoreError> {
    match attempt(pools, change).await {
        Err(StoreError::Unavailable(cause)) if pools.detect_pooler(cause.error()) => {
            attempt(pools, change).await
        }
        outcome => outcome,
    }
}

async fn attempt(
    pools: &Pools,
    change: &RoomChange,
) -> Result<Result<RoomChanged, RoomRefusal>, StoreError> {
    let session = pools.begin(Work::Write).await.map_err(fault::classify)?;
    let mut tables = Tables { session };
    let changing = timeout(STATEMENTS_TIMEOUT, governing::change(&mut tables, change));
    let changed = changing.await.unwrap_or_else(|_| {
        let late = std::io::Error::from(ErrorKind::TimedOut);
        Err(fault::classify(late.into()))
    });
    let session = tables.session;
    match &changed {
        Ok(Ok(_)) => session.commit().await.map_err(fault::classify)?,
        Err(StoreError::Unavailable(_)) => {}
        _ => session.roll_back().await,
    }
    changed
}

/// The tables, within a transaction.
struct Tables {
    session: Session,
}

impl Tables {
    async fn fetch(&mut self, query: Query<'_>) -> Result<Vec<PgRow>, StoreError> {
        self.session.fetch(query).await.map_err(fault::classify)
    }
}

impl RoomTables for Tables {
    async fn open(&mut self, room: &RoomId) -> Result<(), StoreError> {
        let query = sqlx::query(CREATE).bind(room.as_str());
        self.fetch(query).await.map(drop)
    }

    async fn lock_log(&mut self, room: &RoomId) -> Result<(), StoreError> {
        let query = sqlx::query(LOCK_LOG).bind(room.as_str());
        self.fetch(query).await.map(drop)
    }

    async fn lock(&mut self, room: &RoomId) -> Result<Option<Revision>, StoreError> {
        let rooms = [room.as_str()];
        self.fetch(sqlx::query(OPEN).bind(&rooms[..])).await?;
        let rows = self.fetch(sqlx::query(LOCK).bind(&rooms[..])).await?;
        rows.first().map(row::revision).transpose()
    }

    async fn present(
        &mut self,
        room: &RoomId,
        user: &UserId,
        other: &UserId,
    ) -> Result<Present, StoreError> {
        let query = sqlx::query(PRESENT)
            .bind(room.as_str())
            .bind(user.as_str())
            .bind(other.as_str());
        let rows = self.fetch(query).await?;
        row::present(rows.first(), time)
    }

    async fn write(
        &mut self,
        room: &RoomId,
        RoomSettings { info, revision }: &RoomSettings,
    ) -> Result<(), StoreError> {
        let room = room.as_str();
        let query = sqlx::query(WRITE)
            .bind(room)
            .bind(revision.get())
            .bind(info.title.as_ref().map(Title::as_str))
            .bind(info.metadata.as_ref().map(Metadata::as_str))
            .bind(row::access_name(info.access));
        self.fetch(query).await?;
        let query = sqlx::query(COUNT).bind(room).bind(revision.get());
        self.fetch(query).await.map(drop)
    }

    async fn write_members(
        &mut self,
        room: &RoomId,
        users: &[&UserId],
        membership: Membership,
        revision: Revision,
    ) -> Result<(), StoreError> {
        let room = room.as_str();
        let users: Vec<_> = users.iter().map(|user| user.as_str()).collect();
        let (writing, follows) = match membership.name() {
            Some(role) => {
                let adding = sqlx::query(ADD).bind(room).bind(users.clone()).bind(role);
                (adding, membership.role().is_some())
            }
            None => (sqlx::query(LEAVE).bind(room).bind(users.clone()), false),
        };
        self.fetch(writing.bind(revision.get())).await?;
        let listing = if follows {
            sqlx::query(FOLLOW).bind(room).bind(users).bind(LIMIT)
        } else {
            sqlx::query(UNFOLLOW).bind(room).bind(users)
        };
        self.fetch(listing).await.map(drop)
    }

    async fn write_conversation(&mut self, room: &RoomId, talk: &Talk) -> Result<(), StoreError> {
        self.fetch(conversations::write(room, talk)).await?;
        let counting = sqlx::query(COUNT).bind(room.as_str());
        self.fetch(counting.bind(talk.revision.get()))
            .await
            .map(drop)
    }

    async fn expired_parties(
        &mut self,
        room: &RoomId,
        lease: Duration,
    ) -> Result<Vec<PartyId>, StoreError> {
        let rows = self.fetch(calls::expired(room, lease)).await?;
        let parties = rows.iter().map(|row| row::parsed(row, "party_id"));
        parties.collect()
    }

    async fn party(
        &mut self,
        room: &RoomId,
        party: &PartyId,
    ) -> Result<Option<(UserId, Option<Uuid>)>, StoreError> {
        let rows = self.fetch(calls::party(room, party)).await?;
        let party = rows
            .first()
            .map(|row| Ok((row::parsed(row, "user_id")?, row::value(row, "entry")?)));
        party.transpose()
    }

    async fn enter_party(
        &mut self,
        room: &RoomId,
        party: &PartyId,
        entry: Uuid,
    ) -> Result<(), StoreError> {
        self.fetch(calls::enter(room, party, entry)).await.map(drop)
    }

    async fn write_call(
        &mut self,
        room: &RoomId,
        call: &Call,
        revision: Revision,
    ) -> Result<(), StoreError> {
        self.fetch(calls::write(room, call, revision)).await?;
        let counting = sqlx::query(COUNT).bind(room.as_str());
        self.fetch(counting.bind(revision.get())).await.map(drop)
    }

    async fn append(&mut self, draft: &Draft) -> Result<Message, StoreError> {
        let drafts = [draft];
        let batch = ByRoom::new(&drafts);
        let rows = self.fetch(append::insert(&drafts, &batch)).await?;
        let message = batch.numbered(&drafts, &rows)?.pop();
        let message = message.ok_or_else(|| row::unreadable("seq", "not answered"))?;
        let subject = Subject {
            message,
            change_id: None,
        };
        self.fetch(states(&[&subject])).await?;
        Ok(subject.message)
    }
}

/// Returns a room's settings.
pub(super) async fn settings(
    pools: &Pools,
    room: &RoomId,
) -> Result<Option<RoomSettings>, StoreError> {
    let query = || sqlx::query(SETTINGS).bind(room.as_str());
    let rows = fetch(pools, Work::Read, query).await?;
    let settings = rows.first().map(|row| row::room_settings(row, time));
    settings.transpose()
}

/// Returns the standing of users in rooms.
pub(super) async fn standings(
    pools: &Pools,
    places: &[(RoomId, UserId)],
) -> Result<HashMap<(RoomId, UserId), Standing>, StoreError> {
    let rooms: Vec<_> = places.iter().map(|(room, _)| room.as_str()).collect();
    let users: Vec<_> = places.iter().map(|(_, user)| user.as_str()).collect();
    let query = || {
        sqlx::query(STANDINGS)
            .bind(rooms.clone())
            .bind(users.clone())
    };
    let rows = fetch(pools, Work::Read, query).await?;
    rows.iter().map(row::standing).collect()
}

/// Reads a room's members.
pub(super) async fn members(
    pools: &Pools,
    room: &RoomId,
    after: Option<&UserId>,
    limit: i64,
) -> Result<Vec<RoomMember>, StoreError> {
    let query = || {
        sqlx::query(MEMBERS)
            .bind(room.as_str())
            .bind(after.map(UserId::as_str))
            .bind(limit)
    };
    let rows = fetch(pools, Work::Read, query).await?;
    rows.iter().map(row::room_member).collect()
}
