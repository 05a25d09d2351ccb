//! Reads of the log.

use sqlx::sqlite::SqliteRow;

use super::super::{
    error::StoreError,
    page::{Keep, Page},
    row,
};
use crate::model::{Body, Message, RoomId};

const READ_OLDEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages
WHERE room_id = ?1 AND seq > ?2 AND seq < ?3 ORDER BY seq LIMIT ?4"#;

const READ_NEWEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages
WHERE room_id = ?1 AND seq > ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4"#;

pub(super) fn select(
    room: &RoomId,
    page: Page,
) -> sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    let sql = match page.keep {
        Keep::Oldest => READ_OLDEST,
        Keep::Newest => READ_NEWEST,
    };
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
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
    })
}
