//! Rooms' settings and members.

use std::{collections::HashMap, time::Duration};

use chrono::Utc;
use serde_json::json;
use sqlx::{Connection, SqliteConnection, SqlitePool, sqlite::SqliteRow};
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
    append, calls,
    change::{COUNT, OPEN, Query, REVISION, state},
    conversations::{self, time},
    memberships::LIMIT,
};
use crate::model::{
    Call, Draft, Membership, Message, Metadata, PartyId, Revision, RoomChange, RoomChanged, RoomId,
    RoomMember, RoomRefusal, RoomSettings, Standing, Title, UserId,
};

/// A room without messages has a row, too, so that it has revisions.
const CREATE: &str =
    "INSERT INTO rooms (room_id, last_seq) VALUES (?1, 0) ON CONFLICT (room_id) DO NOTHING";

const PRESENT: &str = r#"
SELECT r.last_seq AS seq, s.title, s.metadata, s.access, c.revision AS talk_revision, c.status, c.holder, c.version, c.changed,
    c.changed_by, c.waiting, k.revision AS call_revision, k.call, CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now,
    (SELECT role FROM room_members WHERE room_id = ?1 AND user_id = ?2) AS own,
    (SELECT role FROM room_members WHERE room_id = ?1 AND user_id = ?3) AS other,
    (SELECT count(*) FROM room_members WHERE room_id = ?1 AND role = 'owner') AS owners
FROM rooms AS r LEFT JOIN room_settings AS s USING (room_id) LEFT JOIN conversations AS c USING (room_id)
LEFT JOIN calls AS k USING (room_id) WHERE r.room_id = ?1"#;

const WRITE: &str = r#"
INSERT INTO room_settings AS old (room_id, revision, title, metadata, access, created, settings_revision, changed)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?2, ?6)
ON CONFLICT (room_id) DO UPDATE
SET revision = excluded.revision, title = excluded.title, metadata = excluded.metadata, access = excluded.access,
    changed = excluded.changed, settings_revision = CASE
        WHEN (old.title, old.metadata, old.access) IS NOT (excluded.title, excluded.metadata, excluded.access)
        THEN excluded.revision ELSE old.settings_revision END"#;

const ADD: &str = r#"
INSERT INTO room_members (room_id, user_id, revision, role, since) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (room_id, user_id) DO UPDATE SET role = excluded.role, revision = excluded.revision"#;

const DEPART: &str = r#"
INSERT INTO room_departures (room_id, user_id, revision) VALUES (?1, ?2, ?3)
ON CONFLICT (room_id, user_id) DO UPDATE SET revision = excluded.revision"#;

const LEAVE: &str = "DELETE FROM room_members WHERE room_id = ?1 AND user_id = ?2";

const FOLLOW: &str = r#"
INSERT INTO memberships (room_id, user_id, read_seq, follows, muted, since)
SELECT ?1, ?2, 0, true, false, ?4 WHERE (SELECT count(*) FROM memberships WHERE user_id = ?2 AND follows) < ?3
ON CONFLICT (room_id, user_id) DO UPDATE SET follows = true"#;

const UNFOLLOW: &str =
    "UPDATE memberships SET follows = false WHERE room_id = ?1 AND user_id = ?2 AND follows";

/// A conversation or a call needs no settings.
const SETTINGS: &str = r#"
SELECT max(coalesce(s.revision, 0), coalesce(c.revision, 0), coalesce(k.revision, 0)) AS revision, title, metadata, coalesce(access, 'open') AS access,
    status, holder, version, c.changed, changed_by, call
FROM (SELECT ?1 AS room_id) AS asked
LEFT JOIN room_settings AS s USING (room_id) LEFT JOIN conversations AS c USING (room_id) LEFT JOIN calls AS k USING (room_id)
WHERE s.room_id IS NOT NULL OR c.room_id IS NOT NULL OR k.room_id IS NOT NULL"#;

const STANDINGS: &str = r#"
SELECT s.room_id, value ->> 1 AS user_id, s.access,
    (SELECT role FROM room_members AS m WHERE m.room_id = s.room_id AND m.user_id = value ->> 1) AS role
FROM json_each(?1) JOIN room_settings AS s ON s.room_id = value ->> 0"#;

const MEMBERS: &str = r#"
SELECT user_id, role FROM room_members
WHERE room_id = ?1 AND (?2 IS NULL OR user_id > ?2) AND role <> 'removed' ORDER BY user_id LIMIT ?3"#;

/// Changes a room's settings or members in one transaction.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    change: &RoomChange,
) -> Result<Result<RoomChanged, RoomRefusal>, StoreError> {
    let transaction = connection.begin_with("BEGIN IMMEDIATE").await;
    let mut transaction = transaction.map_err(fault::classify)?;
    let mut tables = Tables {
        connection: &mut transaction,
    };
    let changed = governing::change(&mut tables, change).await?;
    let ending = match &changed {
        Ok(_) => transaction.commit().await,
        Err(_) => transaction.rollback().await,
    };
    ending.map_err(fault::classify)?;
    Ok(changed)
}

/// The tables, within a transaction.
struct Tables<'c> {
    connection: &'c mut SqliteConnection,
}

impl Tables<'_> {
    async fn fetch(&mut self, query: Query<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        let rows = query.fetch_all(&mut *self.connection).await;
        rows.map_err(fault::classify)
    }
}

impl RoomTables for Tables<'_> {
    async fn open(&mut self, room: &RoomId) -> Result<(), StoreError> {
        let query = sqlx::query(CREATE).bind(room.as_str());
        self.fetch(query).await.map(drop)
    }

    /// There is one writer at a time.
    async fn lock_log(&mut self, _: &RoomId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lock(&mut self, room: &RoomId) -> Result<Option<Revision>, StoreError> {
        self.fetch(sqlx::query(OPEN).bind(room.as_str())).await?;
        let rows = self.fetch(sqlx::query(REVISION).bind(room.as_str()));
        rows.await?.first().map(row::revision).transpose()
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
            .bind(row::access_name(info.access))
            .bind(Utc::now().timestamp_millis());
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
        let now = Utc::now().timestamp_millis();
        let at = |sql, user: &UserId| {
            let (room, user) = (room.as_str().to_owned(), user.as_str().to_owned());
            sqlx::query(sql).bind(room).bind(user)
        };
        for user in users {
            match membership.name() {
                Some(role) => {
                    let adding = at(ADD, user).bind(revision.get()).bind(role).bind(now);
                    self.fetch(adding).await?;
                }
                None => {
                    self.fetch(at(LEAVE, user)).await?;
                    self.fetch(at(DEPART, user).bind(revision.get())).await?;
                }
            }
            let listing = match membership.role() {
                Some(_) => at(FOLLOW, user).bind(LIMIT).bind(now),
                None => at(UNFOLLOW, user),
            };
            self.fetch(listing).await?;
        }
        Ok(())
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
        let since = (Utc::now() - lease).timestamp_millis();
        let query = sqlx::query(calls::EXPIRED).bind(room.as_str()).bind(since);
        let rows = self.fetch(query).await?;
        let parties = rows.iter().map(|row| row::parsed(row, "party_id"));
        parties.collect()
    }

    async fn party(
        &mut self,
        room: &RoomId,
        party: &PartyId,
    ) -> Result<Option<(UserId, Option<Uuid>)>, StoreError> {
        let query = sqlx::query(calls::PARTY)
            .bind(room.as_str())
            .bind(party.as_str());
        let rows = self.fetch(query).await?;
        let party = rows
            .first()
            .map(|row| Ok((row::parsed(row, "user_id")?, calls::entry(row)?)));
        party.transpose()
    }

    async fn enter_party(
        &mut self,
        room: &RoomId,
        party: &PartyId,
        entry: Uuid,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(calls::ENTER)
            .bind(room.as_str())
            .bind(party.as_str())
            .bind(entry.to_string())
            .bind(Utc::now().timestamp_millis());
        self.fetch(query).await.map(drop)
    }

    async fn write_call(
        &mut self,
        room: &RoomId,
        call: &Call,
        revision: Revision,
    ) -> Result<(), StoreError> {
        for query in calls::write(room, call, revision) {
            self.fetch(query).await?;
        }
        let counting = sqlx::query(COUNT).bind(room.as_str());
        self.fetch(counting.bind(revision.get())).await.map(drop)
    }

    async fn append(&mut self, draft: &Draft) -> Result<Message, StoreError> {
        let appended = append::append(&mut *self.connection, &[draft]).await?;
        let message = appended.messages.into_iter().next();
        let message = message.ok_or_else(|| row::unreadable("seq", "not answered"))?;
        let subject = Subject {
            message,
            change_id: None,
        };
        self.fetch(state(&subject)).await?;
        Ok(subject.message)
    }
}

/// Returns a room's settings.
pub(super) async fn settings(
    readers: &SqlitePool,
    room: &RoomId,
) -> Result<Option<RoomSettings>, StoreError> {
    let asking = sqlx::query(SETTINGS).bind(room.as_str());
    let row = asking.fetch_optional(readers).await;
    let row = row.map_err(fault::classify)?;
    let settings = row.as_ref().map(|row| row::room_settings(row, time));
    settings.transpose()
}

/// Returns the standing of users in rooms.
pub(super) async fn standings(
    readers: &SqlitePool,
    places: &[(RoomId, UserId)],
) -> Result<HashMap<(RoomId, UserId), Standing>, StoreError> {
    let places = places
        .iter()
        .map(|(room, user)| json!([room.as_str(), user.as_str()]));
    let asking = sqlx::query(STANDINGS).bind(json!(Vec::from_iter(places)).to_string());
    let rows = asking.fetch_all(readers).await.map_err(fault::classify)?;
    rows.iter().map(row::standing).collect()
}

/// Reads a room's members.
pub(super) async fn members(
    readers: &SqlitePool,
    room: &RoomId,
    after: Option<&UserId>,
    limit: i64,
) -> Result<Vec<RoomMember>, StoreError> {
    let asking = sqlx::query(MEMBERS)
        .bind(room.as_str())
        .bind(after.map(UserId::as_str))
        .bind(limit);
    let rows = asking.fetch_all(readers).await.map_err(fault::classify)?;
    rows.iter().map(row::room_member).collect()
}
