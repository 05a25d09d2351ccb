//! Statements that store a batch.

use std::collections::{BTreeMap, HashMap};

use sqlx::postgres::PgRow;

use super::super::{StoreError, row};
use crate::model::{ClientMessageId, Draft, Message, RoomId, Seq, UserId};

/// Stores a batch in one statement, so that it costs one round trip and one commit.
///
/// Rooms are counted up in the order of their names, in which they come, so that two writers cannot
/// wait for each other in a circle. A row counted up stays locked until the commit, which is what
/// makes a room's messages visible in `seq` order.
///
/// It does not look for messages that the log holds already. A repeated send breaks a unique index;
/// so does one that another writer commits meanwhile. [`HELD`] then finds the message. Looking
/// costs nearly as much as storing (`benches/writer.rs`: 24 thousand messages a second with it and
/// 37 thousand without), and repeated sends are rare.
///
/// The planner, which takes every array for ten rows, joins drafts and rooms by hashing.
///
/// What can be worked out here is not asked of the database: with window functions that numbered
/// the messages, and a row of answer for each, the statement took half as long again for a batch of
/// 512 and twice as long for a single message.
const APPEND: &str = r#"
WITH counted AS (
    INSERT INTO rooms (room_id, last_seq)
    SELECT room_id, new FROM unnest($1::text[], $2::bigint[]) AS batch (room_id, new)
    ON CONFLICT (room_id) DO UPDATE SET last_seq = rooms.last_seq + excluded.last_seq
    RETURNING room_id, last_seq
), stored AS (
    INSERT INTO messages (room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp")
    SELECT room_id, last_seq - later, id, user_id, operator_id, message, client_message_id, "timestamp"
    FROM unnest($3::text[], $4::bigint[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[])
        AS draft (room_id, later, id, user_id, operator_id, message, client_message_id, "timestamp")
    JOIN counted USING (room_id)
)
SELECT room_id, last_seq AS seq FROM counted"#;

/// The drafts of a batch that are in the log already, by their place in the batch, from 1.
const HELD: &str = r#"
SELECT place, held.*
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY
    AS draft (room_id, id, user_id, client_message_id, place)
CROSS JOIN LATERAL (
    SELECT m.* FROM messages m WHERE m.id = draft.id AND m.client_message_id IS NULL
    UNION ALL
    SELECT m.* FROM messages m
    WHERE m.room_id = draft.room_id COLLATE "C" AND m.user_id = draft.user_id COLLATE "C"
        AND m.client_message_id = draft.client_message_id COLLATE "C"
) AS held"#;

/// Those of some rooms whose rows another session has locked. Waits only where a whole table is
/// locked.
const LOCKED: &str = r#"
WITH nothing AS (
    INSERT INTO messages SELECT * FROM messages WHERE false
), free AS (
    SELECT room_id FROM rooms WHERE room_id = ANY($1) FOR NO KEY UPDATE SKIP LOCKED
)
SELECT room_id FROM rooms WHERE room_id = ANY($1) EXCEPT SELECT room_id FROM free"#;

/// How a batch's drafts are spread over rooms.
pub(super) struct ByRoom<'a> {
    /// How many messages each room gets, in the order of the rooms' names.
    new: BTreeMap<&'a str, i64>,
    /// For each draft, how many later ones are for the same room.
    later: Vec<i64>,
}

impl<'a> ByRoom<'a> {
    pub(super) fn new(drafts: &[&'a Draft]) -> Self {
        let mut new = BTreeMap::new();
        let mut later: Vec<_> = drafts
            .iter()
            .rev()
            .map(|draft| {
                let count = new.entry(draft.room_id.as_str()).or_default();
                *count += 1;
                *count - 1
            })
            .collect();
        later.reverse();
        Self { new, later }
    }

    /// The drafts as messages, given the rooms' counts after them.
    pub(super) fn numbered(
        &self,
        drafts: &[&Draft],
        rows: &[PgRow],
    ) -> Result<Vec<Message>, StoreError> {
        let counted = rows
            .iter()
            .map(|row| Ok((row::value(row, "room_id")?, row::seq(row)?)));
        let counted: HashMap<&str, Seq> = counted.collect::<Result<_, StoreError>>()?;
        let numbered = drafts.iter().zip(&self.later).map(|(draft, &later)| {
            let last = counted
                .get(draft.room_id.as_str())
                .ok_or_else(|| row::unreadable("room_id", "not answered"))?;
            let seq = (last.get() - later)
                .try_into()
                .map_err(|error| row::unreadable("seq", error))?;
            Ok(draft.at(seq))
        });
        numbered.collect()
    }
}

pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn column<'a, T>(drafts: &[&'a Draft], field: impl Fn(&'a Draft) -> T) -> Vec<T> {
    drafts.iter().map(|draft| field(draft)).collect()
}

pub(super) fn append(drafts: &[&Draft], batch: &ByRoom<'_>) -> Query<'static> {
    sqlx::query(APPEND)
        .bind(batch.new.keys().copied().collect::<Vec<_>>())
        .bind(batch.new.values().copied().collect::<Vec<_>>())
        .bind(column(drafts, |draft| draft.room_id.as_str()))
        .bind(&batch.later)
        .bind(column(drafts, |draft| draft.id))
        .bind(column(drafts, |draft| draft.user_id.as_str()))
        .bind(column(drafts, |draft| {
            draft.operator_id.as_ref().map(UserId::as_str)
        }))
        .bind(column(drafts, |draft| draft.body.as_str()))
        .bind(column(drafts, |draft| {
            draft
                .client_message_id
                .as_ref()
                .map(ClientMessageId::as_str)
        }))
        .bind(column(drafts, |draft| draft.timestamp))
}

pub(super) fn held(drafts: &[&Draft]) -> Query<'static> {
    sqlx::query(HELD)
        .bind(column(drafts, |draft| draft.room_id.as_str()))
        .bind(column(drafts, |draft| draft.id))
        .bind(column(drafts, |draft| draft.user_id.as_str()))
        .bind(column(drafts, |draft| {
            draft
                .client_message_id
                .as_ref()
                .map(ClientMessageId::as_str)
        }))
}

pub(super) fn locked(drafts: &[&Draft]) -> Query<'static> {
    let rooms: Vec<_> = ByRoom::new(drafts).new.into_keys().collect();
    sqlx::query(LOCKED).bind(rooms)
}

/// The rooms that a query answers with.
pub(super) fn rooms(rows: &[PgRow]) -> Result<Vec<RoomId>, StoreError> {
    rows.iter().map(|row| row::parsed(row, "room_id")).collect()
}
