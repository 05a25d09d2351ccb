//! Reads of the log.

use std::collections::HashMap;

use sqlx::{SqlitePool, sqlite::SqliteRow};

use super::super::{
    error::StoreError,
    fault,
    page::{Head, Keep, Page, saturated},
    reading::Reading,
    row,
};
use crate::model::{Body, ClientMessageId, Message, RoomId, UserId};

/// Looks once whether any message in the range has a state, and only then at each row: this costs a page
/// of a room without changes next to nothing, where a look at each row took half as long again.
const READ_OLDEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp",
    CASE WHEN EXISTS (SELECT 1 FROM message_states WHERE room_id = ?1 AND seq > ?2 AND seq < ?3)
        THEN (SELECT state FROM message_states AS s WHERE s.room_id = m.room_id AND s.seq = m.seq) END AS state
FROM messages AS m WHERE room_id = ?1 AND seq > ?2 AND seq < ?3 ORDER BY seq LIMIT ?4"#;

const READ_NEWEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp",
    CASE WHEN EXISTS (SELECT 1 FROM message_states WHERE room_id = ?1 AND seq > ?2 AND seq < ?3)
        THEN (SELECT state FROM message_states AS s WHERE s.room_id = m.room_id AND s.seq = m.seq) END AS state
FROM messages AS m WHERE room_id = ?1 AND seq > ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4"#;

const SENT: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp",
    (SELECT state FROM message_states AS s WHERE s.room_id = m.room_id AND s.seq = m.seq) AS state
FROM messages AS m WHERE room_id = ?1 AND user_id = ?2 AND client_message_id = ?3"#;

const HEAD: &str = r#"
SELECT last_seq AS seq, (SELECT last_revision FROM revisions AS v WHERE v.room_id = r.room_id) AS revision
FROM rooms AS r WHERE room_id = ?1"#;

/// Returns the ends of the logs of rooms.
pub(super) async fn heads(
    readers: &SqlitePool,
    rooms: &[RoomId],
) -> Result<HashMap<RoomId, Head>, StoreError> {
    let mut heads = HashMap::new();
    for room in rooms {
        let asking = sqlx::query(HEAD)
            .bind(room.as_str())
            .fetch_optional(readers);
        if let Some(row) = asking.await.map_err(fault::classify)? {
            let head = Head {
                seq: row::seq(&row)?,
                revision: row::revision(&row)?,
            };
            heads.insert(room.clone(), head);
        }
    }
    Ok(heads)
}

/// Reads a part of a room's log.
pub(super) async fn read(
    readers: &SqlitePool,
    room: &RoomId,
    page: Page,
) -> Result<Vec<Message>, StoreError> {
    let mut reading = Reading::new(page);
    while let Some(page) = reading.rest() {
        let rows = select(room, page)
            .fetch_all(readers)
            .await
            .map_err(fault::classify)?;
        reading.take(&rows, |row| row::seq(row), message)?;
    }
    reading.finish()
}

/// Reads a user's message by its `clientMessageId`.
pub(super) async fn find_sent(
    readers: &SqlitePool,
    room: &RoomId,
    user: &UserId,
    id: &ClientMessageId,
) -> Result<Option<Message>, StoreError> {
    let query = sqlx::query(SENT)
        .bind(room.as_str())
        .bind(user.as_str())
        .bind(id.as_str());
    let row = query.fetch_optional(readers).await;
    row.map_err(fault::classify)?
        .as_ref()
        .map(message)
        .transpose()
}

fn select(
    room: &RoomId,
    page: Page,
) -> sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    let sql = match page.keep {
        Keep::Oldest => READ_OLDEST,
        Keep::Newest => READ_NEWEST,
    };
    let limit = saturated(page.limit);
    sqlx::query(sql)
        .bind(room.as_str())
        .bind(page.after.get())
        .bind(page.before.get())
        .bind(limit)
}

/// Reads a message out of its row.
pub(super) fn message(row: &SqliteRow) -> Result<Message, StoreError> {
    let id: String = row::value(row, "id")?;
    let millis: i64 = row::value(row, "timestamp")?;
    Ok(Message {
        id: id.parse().map_err(|error| row::unreadable("id", error))?,
        room_id: row::parsed(row, "room_id")?,
        seq: row::seq(row)?,
        user_id: row::parsed(row, "user_id")?,
        operator_id: row::optional(row, "operator_id")?,
        body: Body::from_store(row::value(row, "message")?),
        timestamp: row::time(millis.saturating_mul(1000)),
        client_message_id: row::optional(row, "client_message_id")?,
        state: row::state(row)?,
    })
}
