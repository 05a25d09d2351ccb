//! Memberships.

use std::collections::HashMap;

use serde_json::json;
use sqlx::{Connection, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    super::{
        error::StoreError,
        fault,
        membership_store::{ListPlace, OWN_AMONG},
        row,
    },
    read::message,
};
use crate::model::{
    Followed, Latest, ListedRoom, MAX_FOLLOWED, Mark, Marked, Message, Read, RoomId, Seq, UserId,
};

/// The positions before a batch of marks, with the marks as far as their rooms reach.
const KNOWN: &str = r#"
SELECT value ->> 0 AS room_id, value ->> 1 AS user_id, min(value ->> 2, r.last_seq) AS seq, m.read_seq AS known
FROM json_each(?1) JOIN rooms AS r ON r.room_id = value ->> 0
LEFT JOIN memberships AS m ON m.room_id = value ->> 0 AND m.user_id = value ->> 1"#;

const MARK: &str = r#"
INSERT INTO memberships (room_id, user_id, read_seq, follows, muted, since)
VALUES (?1, ?2, ?3, (SELECT count(*) FROM memberships WHERE user_id = ?2 AND follows) < ?4, false, ?5)
ON CONFLICT (room_id, user_id) DO UPDATE SET read_seq = excluded.read_seq
RETURNING follows"#;

const POSITIONS: &str = r#"
SELECT m.room_id, m.user_id, m.read_seq AS seq FROM json_each(?1)
JOIN memberships AS m ON m.room_id = value ->> 0 AND m.user_id = value ->> 1"#;

const READERS: &str = r#"
SELECT user_id, read_seq AS seq FROM memberships WHERE room_id = ?1 AND read_seq > 0 ORDER BY user_id LIMIT ?2"#;

const FOLLOW: &str = r#"
INSERT INTO memberships AS m (room_id, user_id, read_seq, follows, muted, since)
SELECT ?1, ?2, 0, true, coalesce(?3, false), ?5
WHERE (SELECT count(*) FROM memberships WHERE user_id = ?2 AND room_id <> ?1 AND follows) < ?4
ON CONFLICT (room_id, user_id) DO UPDATE SET follows = true, muted = coalesce(?3, m.muted)
RETURNING room_id"#;

const UNFOLLOW: &str =
    "UPDATE memberships SET follows = false WHERE room_id = ?1 AND user_id = ?2 AND follows";

/// A room that somebody created is left out if the user may not be in it.
const FOLLOWED: &str = r#"
SELECT f.room_id, f.user_id, f.read_seq AS seq, f.muted, coalesce(r.last_seq, 0) AS last_seq
FROM memberships AS f LEFT JOIN rooms AS r ON r.room_id = f.room_id
LEFT JOIN room_settings AS s ON s.room_id = f.room_id
LEFT JOIN room_members AS w ON w.room_id = s.room_id AND w.user_id = f.user_id
WHERE f.user_id = ?1 AND f.follows AND (s.room_id IS NULL OR coalesce(w.role <> 'removed', s.access = 'open'))"#;

/// The newest own message is looked for in the rooms of the page alone. Rooms are left out as in
/// [`FOLLOWED`].
const LIST: &str = r#"
SELECT page.*, newest.*,
    (SELECT state FROM message_states AS s WHERE s.room_id = newest.room_id AND s.seq = newest.seq) AS state,
    CASE WHEN page.last_seq > page.known THEN (
        SELECT seq FROM (
            SELECT seq, user_id FROM messages AS own WHERE own.room_id = page.listed AND own.seq > page.known
            ORDER BY own.seq DESC LIMIT ?5
        ) WHERE user_id = ?1 ORDER BY seq DESC LIMIT 1
    ) END AS own
FROM (
    SELECT f.room_id AS listed, f.read_seq AS known, f.muted, coalesce(last."timestamp", f.since) AS active_at,
        coalesce(r.last_seq, 0) AS last_seq, last.seq AS newest_seq, g.title
    FROM memberships AS f LEFT JOIN rooms AS r ON r.room_id = f.room_id
    LEFT JOIN room_settings AS g ON g.room_id = f.room_id
    LEFT JOIN room_members AS w ON w.room_id = g.room_id AND w.user_id = f.user_id
    LEFT JOIN messages AS last ON last.room_id = f.room_id
        AND last.seq = (SELECT max(seq) FROM messages WHERE room_id = f.room_id)
    WHERE f.user_id = ?1 AND f.follows AND (g.room_id IS NULL OR coalesce(w.role <> 'removed', g.access = 'open'))
        AND (?2 IS NULL OR (coalesce(last."timestamp", f.since), f.room_id) < (?2, ?3))
    ORDER BY active_at DESC, listed DESC LIMIT ?4
) AS page
LEFT JOIN messages AS newest ON newest.room_id = page.listed AND newest.seq = page.newest_seq
ORDER BY page.active_at DESC, page.listed DESC"#;

const LATEST: &str = r#"
SELECT r.room_id AS listed, r.last_seq, newest.*, g.title, g.room_id IS NOT NULL AS is_created,
    (SELECT state FROM message_states AS s WHERE s.room_id = newest.room_id AND s.seq = newest.seq) AS state, (
    SELECT json_group_object(user_id, seq) FROM (
        SELECT user_id, max(seq) AS seq FROM (
            SELECT user_id, seq FROM messages WHERE room_id = ?1 AND seq > ?2 ORDER BY seq DESC LIMIT ?3
        ) GROUP BY user_id
    )
) AS authors
FROM rooms AS r LEFT JOIN room_settings AS g ON g.room_id = r.room_id
LEFT JOIN messages AS newest ON newest.room_id = r.room_id AND newest.seq = (SELECT max(seq) FROM messages WHERE room_id = ?1)
WHERE r.room_id = ?1"#;

/// The most rooms followed by a user, as a parameter.
pub(super) const LIMIT: i64 = MAX_FOLLOWED as i64;

/// Moves readers' positions in one transaction.
pub(super) async fn mark(
    connection: &mut SqliteConnection,
    marks: &[Mark],
) -> Result<Vec<Marked>, StoreError> {
    let transaction = connection.begin_with("BEGIN IMMEDIATE").await;
    let mut transaction = transaction.map_err(fault::classify)?;
    let input = marks
        .iter()
        .map(|mark| json!([mark.room_id.as_str(), mark.user_id.as_str(), mark.seq.get()]));
    let input = json!(Vec::from_iter(input)).to_string();
    let known = sqlx::query(KNOWN).bind(input).fetch_all(&mut *transaction);
    let mut marked = vec![];
    for row in known.await.map_err(fault::classify)? {
        marked.push(move_to(&mut transaction, &row).await?);
    }
    transaction.commit().await.map_err(fault::classify)?;
    Ok(marked)
}

/// Moves a reader's position as a row of [`KNOWN`] says, unless it is there already.
async fn move_to(connection: &mut SqliteConnection, row: &SqliteRow) -> Result<Marked, StoreError> {
    let known: Option<i64> = row::value(row, "known")?;
    let mut mark = Mark {
        room_id: row::parsed(row, "room_id")?,
        user_id: row::parsed(row, "user_id")?,
        seq: row::seq(row)?,
    };
    if let Some(known) = known.filter(|known| *known >= mark.seq.get()) {
        mark.seq = known
            .try_into()
            .map_err(|error| row::unreadable("read_seq", error))?;
        let (moved, is_new) = (false, false);
        return Ok(Marked {
            mark,
            moved,
            is_new,
        });
    }
    let moving = sqlx::query(MARK)
        .bind(mark.room_id.as_str())
        .bind(mark.user_id.as_str())
        .bind(mark.seq.get())
        .bind(LIMIT)
        .bind(chrono::Utc::now().timestamp_millis());
    let row = moving
        .fetch_one(connection)
        .await
        .map_err(fault::classify)?;
    let follows: bool = row::value(&row, "follows")?;
    Ok(Marked {
        mark,
        moved: true,
        is_new: known.is_none() && follows,
    })
}

/// Returns the positions of some readers.
pub(super) async fn positions(
    readers: &SqlitePool,
    asked: &[(RoomId, UserId)],
) -> Result<HashMap<(RoomId, UserId), Seq>, StoreError> {
    let places = asked
        .iter()
        .map(|(room, user)| json!([room.as_str(), user.as_str()]));
    let asking = sqlx::query(POSITIONS).bind(json!(Vec::from_iter(places)).to_string());
    let rows = asking.fetch_all(readers).await.map_err(fault::classify)?;
    let positions = rows.iter().map(|row| {
        let place = (row::parsed(row, "room_id")?, row::parsed(row, "user_id")?);
        Ok((place, row::seq(row)?))
    });
    positions.collect()
}

/// Returns a room's readers.
pub(super) async fn readers(
    readers: &SqlitePool,
    room: &RoomId,
    limit: i64,
) -> Result<Vec<Read>, StoreError> {
    let asking = sqlx::query(READERS).bind(room.as_str()).bind(limit);
    let rows = asking.fetch_all(readers).await.map_err(fault::classify)?;
    let reads = rows.iter().map(|row| {
        Ok(Read {
            user_id: row::parsed(row, "user_id")?,
            seq: row::seq(row)?,
        })
    });
    reads.collect()
}

/// Lets a user follow a room; returns false when the user follows too many others.
pub(super) async fn follow(
    connection: &mut SqliteConnection,
    user: &UserId,
    room: &RoomId,
    muted: Option<bool>,
) -> Result<bool, StoreError> {
    let following = sqlx::query(FOLLOW)
        .bind(room.as_str())
        .bind(user.as_str())
        .bind(muted)
        .bind(LIMIT)
        .bind(chrono::Utc::now().timestamp_millis());
    let rows = following.fetch_all(connection).await;
    Ok(!rows.map_err(fault::classify)?.is_empty())
}

/// Lets a user follow a room no longer.
pub(super) async fn unfollow(
    connection: &mut SqliteConnection,
    user: &UserId,
    room: &RoomId,
) -> Result<(), StoreError> {
    let unfollowing = sqlx::query(UNFOLLOW)
        .bind(room.as_str())
        .bind(user.as_str());
    let done = unfollowing.execute(connection).await;
    done.map(drop).map_err(fault::classify)
}

/// Returns all rooms followed by some users.
pub(super) async fn followed(
    readers: &SqlitePool,
    users: &[UserId],
) -> Result<Vec<Followed>, StoreError> {
    let mut followed = vec![];
    for user in users {
        let asking = sqlx::query(FOLLOWED).bind(user.as_str()).fetch_all(readers);
        for row in asking.await.map_err(fault::classify)? {
            followed.push(Followed {
                room_id: row::parsed(&row, "room_id")?,
                user_id: row::parsed(&row, "user_id")?,
                read_seq: row::seq(&row)?,
                last_seq: row::place(&row, "last_seq")?,
                muted: row::value(&row, "muted")?,
            });
        }
    }
    Ok(followed)
}

/// Reads a page of a user's list of rooms.
pub(super) async fn list(
    readers: &SqlitePool,
    user: &UserId,
    after: Option<&ListPlace>,
    limit: i64,
) -> Result<Vec<ListedRoom>, StoreError> {
    let listing = sqlx::query(LIST)
        .bind(user.as_str())
        .bind(after.map(|place| place.active_at.timestamp_millis()))
        .bind(after.map(|place| place.room_id.as_str()))
        .bind(limit)
        .bind(OWN_AMONG);
    let rows = listing.fetch_all(readers).await.map_err(fault::classify)?;
    rows.iter().map(listed).collect()
}

fn listed(row: &SqliteRow) -> Result<ListedRoom, StoreError> {
    let active_at: i64 = row::value(row, "active_at")?;
    Ok(ListedRoom {
        room_id: row::parsed(row, "listed")?,
        last_seq: row::place(row, "last_seq")?,
        last_message: newest(row)?,
        title: row::optional(row, "title")?,
        read_seq: row::place(row, "known")?.max(row::own(row)?),
        muted: row::value(row, "muted")?,
        active_at: row::time(active_at.saturating_mul(1000)),
    })
}

/// Returns the ends of the logs of some rooms, with the authors of their newest messages.
pub(super) async fn latest(
    readers: &SqlitePool,
    places: &[(RoomId, Seq)],
) -> Result<Vec<Latest>, StoreError> {
    let mut latest = vec![];
    for (room, after) in places {
        let asking = sqlx::query(LATEST)
            .bind(room.as_str())
            .bind(after.get())
            .bind(OWN_AMONG);
        let row = asking
            .fetch_optional(readers)
            .await
            .map_err(fault::classify)?;
        if let Some(row) = row {
            latest.push(Latest {
                room_id: row::parsed(&row, "listed")?,
                last_seq: row::place(&row, "last_seq")?,
                last_message: newest(&row)?,
                title: row::optional(&row, "title")?,
                is_created: row::value(&row, "is_created")?,
                authors: row::authors(&row)?,
            });
        }
    }
    Ok(latest)
}

/// Reads the newest message of a row, if there is one and it is readable.
pub(super) fn newest(row: &SqliteRow) -> Result<Option<Message>, StoreError> {
    let seq: Option<i64> = row::value(row, "seq")?;
    Ok(seq.and_then(|_| message(row).ok()))
}
