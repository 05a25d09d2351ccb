//! Reads of the log.

use chrono::{DateTime, Utc};
use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgRow, PgTypeInfo, PgValueRef},
};

use super::{
    super::{
        error::StoreError,
        fault,
        page::{Keep, Loaded, Page, saturated},
        reading::Reading,
        row,
    },
    pools::{Pools, Query},
    rooms,
    work::Work,
};
use crate::model::{Body, ClientMessageId, Message, Revision, RoomId, Seq, UserId};

/// Looks once whether any message in the range has a state, and only then at each row: this costs a page
/// of a room without changes next to nothing, where a look at each row took half as long again.
const READ_OLDEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp",
    CASE WHEN EXISTS (SELECT 1 FROM message_states WHERE room_id = $1 AND seq > $2 AND seq < $3)
        THEN (SELECT state FROM message_states s WHERE s.room_id = m.room_id AND s.seq = m.seq) END AS state
FROM messages m WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4"#;

const READ_NEWEST: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp",
    CASE WHEN EXISTS (SELECT 1 FROM message_states WHERE room_id = $1 AND seq > $2 AND seq < $3)
        THEN (SELECT state FROM message_states s WHERE s.room_id = m.room_id AND s.seq = m.seq) END AS state
FROM messages m WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4"#;

/// Reads the newest messages, each with the room's newest change. In one statement: a second one would
/// meet another connection, and a broken one twice as often.
const LOAD: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp",
    (SELECT state FROM message_states s WHERE s.room_id = m.room_id AND s.seq = m.seq) AS state,
    (SELECT last_revision FROM revisions WHERE room_id = $1) AS revision,
    EXISTS (SELECT FROM room_settings WHERE room_id = $1) OR EXISTS (SELECT FROM conversations WHERE room_id = $1)
        OR EXISTS (SELECT FROM calls WHERE room_id = $1) AS has_settings
FROM messages m WHERE room_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4"#;

const SENT: &str = r#"
SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp",
    (SELECT state FROM message_states s WHERE s.room_id = m.room_id AND s.seq = m.seq) AS state
FROM messages m WHERE room_id = $1 AND user_id = $2 AND client_message_id = $3"#;

/// The same two of a room without messages.
const EMPTY: &str = r#"
SELECT (SELECT last_revision FROM revisions WHERE room_id = $1) AS revision,
    EXISTS (SELECT FROM room_settings WHERE room_id = $1) OR EXISTS (SELECT FROM conversations WHERE room_id = $1)
        OR EXISTS (SELECT FROM calls WHERE room_id = $1) AS has_settings"#;

/// Reads the newest messages, oldest first, with the room's newest change and its settings.
pub(super) async fn load(pools: &Pools, room: &RoomId, limit: usize) -> Result<Loaded, StoreError> {
    let mut reading = Reading::new(Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit,
        keep: Keep::Newest,
    });
    let mut state = None;
    while let Some(page) = reading.rest() {
        let rows = pools.fetch(Work::Read, || select(LOAD, room, page)).await;
        let rows = rows.map_err(fault::classify)?;
        if let (None, Some(first)) = (state, rows.first()) {
            state = Some(room_state(first)?);
        }
        reading.take(&rows, |row| row::seq(row), message)?;
    }
    let messages = reading.finish()?;
    let (revision, has_settings) = match state {
        Some(state) => state,
        None => empty(pools, room).await?,
    };
    let settings = match has_settings {
        true => rooms::settings(pools, room).await?,
        false => None,
    };
    Ok(Loaded {
        messages,
        revision,
        settings,
    })
}

/// Reads the newest change of a room without messages, and whether it has settings.
async fn empty(pools: &Pools, room: &RoomId) -> Result<(Revision, bool), StoreError> {
    let query = || sqlx::query(EMPTY).bind(room.as_str());
    let rows = pools.fetch(Work::Read, query).await;
    let rows = rows.map_err(fault::classify)?;
    rows.first().map_or(Ok((Revision::ZERO, false)), room_state)
}

fn room_state(row: &PgRow) -> Result<(Revision, bool), StoreError> {
    Ok((row::revision(row)?, row::value(row, "has_settings")?))
}

/// Reads a page, oldest first.
pub(super) async fn read(
    pools: &Pools,
    room: &RoomId,
    page: Page,
) -> Result<Vec<Message>, StoreError> {
    let sql = match page.keep {
        Keep::Oldest => READ_OLDEST,
        Keep::Newest => READ_NEWEST,
    };
    let mut reading = Reading::new(page);
    while let Some(page) = reading.rest() {
        let rows = pools
            .fetch(Work::Read, || select(sql, room, page))
            .await
            .map_err(fault::classify)?;
        reading.take(&rows, |row| row::seq(row), message)?;
    }
    reading.finish()
}

/// Reads a user's message by its `clientMessageId`.
pub(super) async fn find_sent(
    pools: &Pools,
    room: &RoomId,
    user: &UserId,
    id: &ClientMessageId,
) -> Result<Option<Message>, StoreError> {
    let query = || {
        sqlx::query(SENT)
            .bind(room.as_str())
            .bind(user.as_str())
            .bind(id.as_str())
    };
    let rows = pools.fetch(Work::Read, query).await;
    rows.map_err(fault::classify)?
        .first()
        .map(message)
        .transpose()
}

fn select<'q>(sql: &'static str, room: &'q RoomId, page: Page) -> Query<'q> {
    let limit = saturated(page.limit);
    sqlx::query(sql)
        .bind(room.as_str())
        .bind(page.after.get())
        .bind(page.before.get())
        .bind(limit)
}

/// A `timestamptz` in Postgres' encoding, in microseconds since 2000. Some are out of `chrono`'s
/// range.
pub(super) struct Micros(i64);

/// 2000-01-01 in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

impl Micros {
    /// Returns the time, or the nearest one readable for clients.
    pub(super) fn time(&self) -> DateTime<Utc> {
        row::time(self.0.saturating_add(EPOCH))
    }
}

impl Type<Postgres> for Micros {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Micros {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <i64 as Decode<Postgres>>::decode(value).map(Self)
    }
}

/// Reads a message out of its row.
pub(super) fn message(row: &PgRow) -> Result<Message, StoreError> {
    Ok(Message {
        id: row::value(row, "id")?,
        room_id: row::parsed(row, "room_id")?,
        seq: row::seq(row)?,
        user_id: row::parsed(row, "user_id")?,
        operator_id: row::optional(row, "operator_id")?,
        body: Body::from_store(row::value(row, "message")?),
        timestamp: row::value::<_, Micros>(row, "timestamp")?.time(),
        client_message_id: row::optional(row, "client_message_id")?,
        state: row::state(row)?,
    })
}
