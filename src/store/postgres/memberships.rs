//! Memberships: one statement for each question, however many rooms and users it is about.

use std::collections::HashMap;

use sqlx::postgres::PgRow;

use super::{
    super::{
        error::StoreError,
        fault,
        membership_store::{ListPlace, OWN_AMONG},
        row,
    },
    pools::{Pools, Query},
    read::{Micros, message},
    work::Work,
};
use crate::model::{
    Followed, Latest, ListedRoom, MAX_FOLLOWED, Mark, Marked, Message, Read, RoomId, Seq, UserId,
};

/// Moves positions in the order of their keys, so that two servers cannot deadlock. The rest of the
/// statement sees the table as it was before. A row that did not move has at least the wanted
/// position, perhaps by a statement still unseen here.
const MARK: &str = r#"
WITH mark AS (
    SELECT place.room_id, place.user_id, least(place.seq, r.last_seq) AS seq, known.read_seq AS known
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS place (room_id, user_id, seq)
    JOIN rooms r ON r.room_id = place.room_id COLLATE "C"
    LEFT JOIN memberships known ON known.room_id = place.room_id COLLATE "C" AND known.user_id = place.user_id COLLATE "C"
), moved AS (
    INSERT INTO memberships AS m (room_id, user_id, read_seq, follows, muted, since)
    SELECT room_id, user_id, seq, CASE WHEN known IS NULL THEN (
        SELECT count(*) FROM (SELECT FROM memberships f WHERE f.user_id = mark.user_id COLLATE "C" AND f.follows LIMIT $4) AS many
    ) < $4 ELSE true END, false, now()
    FROM mark WHERE known IS NULL OR known < seq ORDER BY room_id, user_id
    ON CONFLICT (room_id, user_id) DO UPDATE SET read_seq = excluded.read_seq WHERE m.read_seq < excluded.read_seq
    RETURNING room_id, user_id, read_seq, follows
)
SELECT mark.room_id, mark.user_id, coalesce(moved.read_seq, greatest(mark.known, mark.seq)) AS seq,
    moved.read_seq IS NOT NULL AS moved, mark.known IS NULL AND coalesce(moved.follows, false) AS is_new
FROM mark LEFT JOIN moved ON moved.room_id = mark.room_id COLLATE "C" AND moved.user_id = mark.user_id COLLATE "C""#;

const POSITIONS: &str = r#"
SELECT m.room_id, m.user_id, m.read_seq AS seq FROM unnest($1::text[], $2::text[]) AS place (room_id, user_id)
JOIN memberships m ON m.room_id = place.room_id COLLATE "C" AND m.user_id = place.user_id COLLATE "C""#;

const READERS: &str = r#"
SELECT room_id, user_id, read_seq AS seq FROM memberships WHERE room_id = $1 AND read_seq > 0 ORDER BY user_id LIMIT $2"#;

const FOLLOW: &str = r#"
INSERT INTO memberships AS m (room_id, user_id, read_seq, follows, muted, since)
SELECT $1, $2, 0, true, coalesce($3, false), now()
WHERE (
    SELECT count(*) FROM (SELECT FROM memberships WHERE user_id = $2 AND room_id <> $1 AND follows LIMIT $4) AS many
) < $4
ON CONFLICT (room_id, user_id) DO UPDATE SET follows = true, muted = coalesce($3, m.muted)
RETURNING room_id"#;

const UNFOLLOW: &str =
    "UPDATE memberships SET follows = false WHERE room_id = $1 AND user_id = $2 AND follows";

/// A room that somebody created is left out if the user may not be in it.
const FOLLOWED: &str = r#"
SELECT f.room_id, f.user_id, f.read_seq AS seq, f.muted, coalesce(r.last_seq, 0) AS last_seq
FROM memberships f LEFT JOIN rooms r ON r.room_id = f.room_id
LEFT JOIN room_settings s ON s.room_id = f.room_id
LEFT JOIN room_members w ON w.room_id = s.room_id AND w.user_id = f.user_id
WHERE f.user_id = ANY($1) AND f.follows AND (s.room_id IS NULL OR coalesce(w.role <> 'removed', s.access = 'open'))"#;

/// The newest own message is looked for in the rooms of the page alone. Rooms are left out as in
/// [`FOLLOWED`].
const LIST: &str = r#"
SELECT page.listed AS listed, page.known, page.muted, page.active_at, page.last_seq, page.title, newest.*,
    (SELECT state FROM message_states s WHERE s.room_id = newest.room_id AND s.seq = newest.seq) AS state,
    CASE WHEN page.last_seq > page.known THEN (
        SELECT seq FROM (
            SELECT seq, user_id FROM messages own WHERE own.room_id = page.listed AND own.seq > page.known
            ORDER BY own.seq DESC LIMIT $5
        ) AS recent WHERE user_id = $1 ORDER BY seq DESC LIMIT 1
    ) END AS own
FROM (
    SELECT f.room_id AS listed, f.read_seq AS known, f.muted, coalesce(last."timestamp", f.since) AS active_at,
        coalesce(r.last_seq, 0) AS last_seq, last.seq AS newest, g.title
    FROM memberships f LEFT JOIN rooms r ON r.room_id = f.room_id
    LEFT JOIN room_settings g ON g.room_id = f.room_id
    LEFT JOIN room_members w ON w.room_id = g.room_id AND w.user_id = f.user_id
    LEFT JOIN LATERAL (
        SELECT seq, "timestamp" FROM messages m WHERE m.room_id = f.room_id ORDER BY seq DESC LIMIT 1
    ) AS last ON true
    WHERE f.user_id = $1 AND f.follows AND (g.room_id IS NULL OR coalesce(w.role <> 'removed', g.access = 'open'))
        AND ($2::timestamptz IS NULL OR (coalesce(last."timestamp", f.since), f.room_id) < ($2, $3 COLLATE "C"))
    ORDER BY active_at DESC, listed DESC LIMIT $4
) AS page
LEFT JOIN messages newest ON newest.room_id = page.listed AND newest.seq = page.newest
ORDER BY page.active_at DESC, page.listed DESC"#;

const LATEST: &str = r#"
SELECT r.room_id AS listed, r.last_seq, newest.*, g.title, g.room_id IS NOT NULL AS is_created, (
    SELECT json_object_agg(user_id, seq)::text FROM (
        SELECT user_id, max(seq) AS seq FROM (
            SELECT user_id, seq FROM messages m WHERE m.room_id = r.room_id AND m.seq > place.seq ORDER BY m.seq DESC LIMIT $3
        ) AS recent GROUP BY user_id
    ) AS author
) AS authors
FROM unnest($1::text[], $2::bigint[]) AS place (room_id, seq)
JOIN rooms r ON r.room_id = place.room_id COLLATE "C"
LEFT JOIN room_settings g ON g.room_id = r.room_id
LEFT JOIN LATERAL (
    SELECT m.*, (SELECT state FROM message_states s WHERE s.room_id = m.room_id AND s.seq = m.seq) AS state
    FROM messages m WHERE m.room_id = r.room_id ORDER BY seq DESC LIMIT 1
) AS newest ON true"#;

/// The most rooms followed by a user, as a parameter.
pub(super) const LIMIT: i64 = MAX_FOLLOWED as i64;

pub(super) async fn fetch<'q>(
    pools: &Pools,
    work: Work,
    query: impl Fn() -> Query<'q>,
) -> Result<Vec<PgRow>, StoreError> {
    pools.fetch(work, query).await.map_err(fault::classify)
}

/// Moves readers' positions.
pub(super) async fn mark(pools: &Pools, marks: &[Mark]) -> Result<Vec<Marked>, StoreError> {
    let query = || {
        sqlx::query(MARK)
            .bind(column(marks, |mark| mark.room_id.as_str()))
            .bind(column(marks, |mark| mark.user_id.as_str()))
            .bind(column(marks, |mark| mark.seq.get()))
            .bind(LIMIT)
    };
    let rows = fetch(pools, Work::Write, query).await?;
    let marked = rows.iter().map(|row| {
        Ok(Marked {
            mark: Mark {
                room_id: row::parsed(row, "room_id")?,
                user_id: row::parsed(row, "user_id")?,
                seq: row::seq(row)?,
            },
            moved: row::value(row, "moved")?,
            is_new: row::value(row, "is_new")?,
        })
    });
    marked.collect()
}

/// Returns the positions of some readers.
pub(super) async fn positions(
    pools: &Pools,
    readers: &[(RoomId, UserId)],
) -> Result<HashMap<(RoomId, UserId), Seq>, StoreError> {
    let query = || {
        sqlx::query(POSITIONS)
            .bind(column(readers, |(room, _)| room.as_str()))
            .bind(column(readers, |(_, user)| user.as_str()))
    };
    let rows = fetch(pools, Work::Read, query).await?;
    let positions = rows.iter().map(|row| {
        let place = (row::parsed(row, "room_id")?, row::parsed(row, "user_id")?);
        Ok((place, row::seq(row)?))
    });
    positions.collect()
}

/// Returns a room's readers.
pub(super) async fn readers(
    pools: &Pools,
    room: &RoomId,
    limit: i64,
) -> Result<Vec<Read>, StoreError> {
    let query = || sqlx::query(READERS).bind(room.as_str()).bind(limit);
    let rows = fetch(pools, Work::Read, query).await?;
    let readers = rows.iter().map(|row| {
        Ok(Read {
            user_id: row::parsed(row, "user_id")?,
            seq: row::seq(row)?,
        })
    });
    readers.collect()
}

/// Lets a user follow a room; returns false when the user follows too many others.
pub(super) async fn follow(
    pools: &Pools,
    user: &UserId,
    room: &RoomId,
    muted: Option<bool>,
) -> Result<bool, StoreError> {
    let query = || {
        sqlx::query(FOLLOW)
            .bind(room.as_str())
            .bind(user.as_str())
            .bind(muted)
            .bind(LIMIT)
    };
    Ok(!fetch(pools, Work::Write, query).await?.is_empty())
}

/// Lets a user follow a room no longer.
pub(super) async fn unfollow(
    pools: &Pools,
    user: &UserId,
    room: &RoomId,
) -> Result<(), StoreError> {
    let query = || {
        sqlx::query(UNFOLLOW)
            .bind(room.as_str())
            .bind(user.as_str())
    };
    fetch(pools, Work::Write, query).await.map(drop)
}

/// Returns all rooms followed by some users.
pub(super) async fn followed(pools: &Pools, users: &[UserId]) -> Result<Vec<Followed>, StoreError> {
    let query = || sqlx::query(FOLLOWED).bind(column(users, UserId::as_str));
    let rows = fetch(pools, Work::Read, query).await?;
    let followed = rows.iter().map(|row| {
        Ok(Followed {
            room_id: row::parsed(row, "room_id")?,
            user_id: row::parsed(row, "user_id")?,
            read_seq: row::seq(row)?,
            last_seq: row::place(row, "last_seq")?,
            muted: row::value(row, "muted")?,
        })
    });
    followed.collect()
}

/// Reads a page of a user's list of rooms.
pub(super) async fn list(
    pools: &Pools,
    user: &UserId,
    after: Option<&ListPlace>,
    limit: i64,
) -> Result<Vec<ListedRoom>, StoreError> {
    let query = || {
        sqlx::query(LIST)
            .bind(user.as_str())
            .bind(after.map(|place| place.active_at))
            .bind(after.map(|place| place.room_id.as_str()))
            .bind(limit)
            .bind(OWN_AMONG)
    };
    let rows = fetch(pools, Work::Read, query).await?;
    rows.iter().map(listed).collect()
}

fn listed(row: &PgRow) -> Result<ListedRoom, StoreError> {
    Ok(ListedRoom {
        room_id: row::parsed(row, "listed")?,
        last_seq: row::place(row, "last_seq")?,
        last_message: newest(row)?,
        title: row::optional(row, "title")?,
        read_seq: row::place(row, "known")?.max(row::own(row)?),
        muted: row::value(row, "muted")?,
        active_at: row::value::<_, Micros>(row, "active_at")?.time(),
    })
}

/// Returns the ends of the logs of some rooms, with the authors of their newest messages.
pub(super) async fn latest(
    pools: &Pools,
    places: &[(RoomId, Seq)],
) -> Result<Vec<Latest>, StoreError> {
    let query = || {
        sqlx::query(LATEST)
            .bind(column(places, |(room, _)| room.as_str()))
            .bind(column(places, |(_, seq)| seq.get()))
            .bind(OWN_AMONG)
    };
    let rows = fetch(pools, Work::Read, query).await?;
    let latest = rows.iter().map(|row| {
        Ok(Latest {
            room_id: row::parsed(row, "listed")?,
            last_seq: row::place(row, "last_seq")?,
            last_message: newest(row)?,
            title: row::optional(row, "title")?,
            is_created: row::value(row, "is_created")?,
            authors: row::authors(row)?,
        })
    });
    latest.collect()
}

/// Reads the newest message of a row, if there is one and it is readable.
pub(super) fn newest(row: &PgRow) -> Result<Option<Message>, StoreError> {
    let seq: Option<i64> = row::value(row, "seq")?;
    Ok(seq.and_then(|_| message(row).ok()))
}

fn column<'a, T, U>(items: &'a [T], field: impl Fn(&'a T) -> U) -> Vec<U> {
    items.iter().map(field).collect()
}
