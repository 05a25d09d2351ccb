//! Reads of changed messages, and of replies.

use super::{
    super::{
        error::StoreError,
        fault,
        page::{Keep, Page, saturated},
    },
    pools::{Pools, Query},
    read::message,
    work::Work,
};
use crate::model::{Message, Revision, RoomId, Seq};

const OLDEST_REPLIES: &str = r#"
SELECT m.*, s.state FROM message_states s JOIN messages m USING (room_id, seq)
WHERE s.room_id = $1 AND s.reply_to = $2 AND s.seq > $3 AND s.seq < $4 ORDER BY s.seq LIMIT $5"#;

const NEWEST_REPLIES: &str = r#"
SELECT m.*, s.state FROM message_states s JOIN messages m USING (room_id, seq)
WHERE s.room_id = $1 AND s.reply_to = $2 AND s.seq > $3 AND s.seq < $4 ORDER BY s.seq DESC LIMIT $5"#;

const CHANGES: &str = r#"
SELECT m.*, s.state FROM (
    SELECT room_id, seq, revision, state FROM message_states WHERE room_id = $1 AND revision > $2
    ORDER BY revision LIMIT $3
) AS s
JOIN messages m USING (room_id, seq) ORDER BY s.revision"#;

/// Reads the messages of a room with changes after a revision.
///
/// # Errors
///
/// See [`StoreError`].
pub(super) async fn read_changes(
    pools: &Pools,
    room: &RoomId,
    after: Revision,
    limit: usize,
) -> Result<Vec<Message>, StoreError> {
    let limit = saturated(limit);
    let query = || {
        sqlx::query(CHANGES)
            .bind(room.as_str())
            .bind(after.get())
            .bind(limit)
    };
    let rows = pools.fetch(Work::Read, query).await;
    let rows = rows.map_err(fault::classify)?;
    Ok(rows.iter().filter_map(|row| message(row).ok()).collect())
}

/// Reads a part of the replies to a message, oldest first.
///
/// # Errors
///
/// See [`StoreError`].
pub(super) async fn read_replies(
    pools: &Pools,
    room: &RoomId,
    to: Seq,
    page: Page,
) -> Result<Vec<Message>, StoreError> {
    let rows = pools.fetch(Work::Read, || replies(room, to, page)).await;
    let rows = rows.map_err(fault::classify)?;
    let mut messages: Vec<_> = rows.iter().filter_map(|row| message(row).ok()).collect();
    messages.sort_unstable_by_key(|message| message.seq);
    Ok(messages)
}

/// Returns the statement that reads a part of the replies to a message.
fn replies(room: &RoomId, to: Seq, page: Page) -> Query<'_> {
    let sql = match page.keep {
        Keep::Oldest => OLDEST_REPLIES,
        Keep::Newest => NEWEST_REPLIES,
    };
    sqlx::query(sql)
        .bind(room.as_str())
        .bind(to.get())
        .bind(page.after.get())
        .bind(page.before.get())
        .bind(saturated(page.limit))
}
