//! Storing of batches.

use std::collections::{BTreeMap, HashMap};

use sqlx::postgres::PgRow;

use super::{
    super::{
        batch::Answers,
        error::{Cause, StoreError},
        fault, row,
    },
    pools::{Pools, Query},
    read::message,
    work::Work,
};
use crate::model::{ClientMessageId, Draft, Message, RoomId, Seq, UserId};

/// Stores a batch in one statement, so that it costs one round trip and one commit.
///
/// Rooms are counted up in the order of their names, the order of the arrays, so that two writers
/// cannot deadlock. A counted row stays locked until the commit; this makes a room's messages
/// visible in `seq` order.
///
/// The statement does not look for messages in the log. A repeated send breaks a unique index, even
/// when another writer commits the first one meanwhile. [`HELD`] then finds the message. Looking
/// costs nearly as much as storing (`bench/benches/writer.rs`: 24 thousand messages a second with
/// it and 37 thousand without), and repeated sends are rare.
///
/// The planner assumes ten rows for every array, and joins drafts and rooms by hashing.
///
/// The messages are numbered here, not in the database: with window functions for it, and an answer
/// row for each message, the statement took half as long again for a batch of 512 and twice as long
/// for a single message.
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

/// Finds the drafts of a batch in the log, with their places in the batch, from 1.
const HELD: &str = r#"
SELECT place, held.*, (SELECT state FROM message_states s WHERE s.room_id = held.room_id AND s.seq = held.seq) AS state
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY
    AS draft (room_id, id, user_id, client_message_id, place)
CROSS JOIN LATERAL (
    SELECT m.* FROM messages m
    WHERE m.room_id = draft.room_id COLLATE "C" AND m.id = draft.id AND m.client_message_id IS NULL
    UNION ALL
    SELECT m.* FROM messages m
    WHERE m.room_id = draft.room_id COLLATE "C" AND m.user_id = draft.user_id COLLATE "C"
        AND m.client_message_id = draft.client_message_id COLLATE "C"
) AS held"#;

/// Finds the rooms with a row locked by another database session. Waits only for a lock on a whole
/// table.
const LOCKED: &str = r#"
WITH nothing AS (
    INSERT INTO messages SELECT * FROM messages WHERE false
), free AS (
    SELECT room_id FROM rooms WHERE room_id = ANY($1) FOR NO KEY UPDATE SKIP LOCKED
)
SELECT room_id FROM rooms WHERE room_id = ANY($1) EXCEPT SELECT room_id FROM free"#;

/// Stores a batch, and returns its messages in order.
pub(super) async fn append(pools: &Pools, drafts: &[&Draft]) -> Result<Vec<Message>, StoreError> {
    match store(pools, drafts).await {
        Err(StoreError::Conflict(_)) => look_and_store(pools, drafts).await,
        outcome => outcome,
    }
}

/// Stores drafts new to the log.
///
/// # Errors
///
/// [`StoreError::Conflict`] when the log holds one of them, [`StoreError::Locked`] when another
/// database session has locked some of the rooms.
async fn store(pools: &Pools, drafts: &[&Draft]) -> Result<Vec<Message>, StoreError> {
    if drafts.is_empty() {
        return Ok(vec![]);
    }
    let batch = ByRoom::new(drafts);
    match pools.fetch(Work::Write, || insert(drafts, &batch)).await {
        Ok(rows) => batch.numbered(drafts, &rows),
        Err(cause) if fault::is_lock_timeout(&cause) => {
            let rooms: Vec<_> = batch.new.keys().copied().collect();
            Err(blocked(pools, &rooms, cause.into()).await)
        }
        Err(cause) => Err(fault::classify(cause)),
    }
}

/// Returns an error with the locked rooms, unless a whole table is locked.
pub(super) async fn blocked(pools: &Pools, names: &[&str], cause: Cause) -> StoreError {
    let locked = || sqlx::query(LOCKED).bind(names.to_vec());
    let rows = pools.fetch(Work::Inspect, locked).await;
    match rows.map_err(fault::classify).and_then(|rows| rooms(&rows)) {
        Ok(rooms) => StoreError::Locked { rooms, cause },
        Err(_) => StoreError::Unavailable(cause),
    }
}

/// Looks for the drafts in the log, and stores the missing ones.
async fn look_and_store(pools: &Pools, drafts: &[&Draft]) -> Result<Vec<Message>, StoreError> {
    let rows = pools
        .fetch(Work::Write, || held(drafts))
        .await
        .map_err(fault::classify)?;
    let mut answers = Answers::new(drafts.len());
    take_held(&rows, &mut answers)?;
    let stored = store(pools, &answers.missing(drafts)).await?;
    answers.complete(stored)
}

/// Takes the messages found by [`held`].
pub(super) fn take_held(rows: &[PgRow], answers: &mut Answers) -> Result<(), StoreError> {
    for row in rows {
        answers.put(row::value::<_, i64>(row, "place")? - 1, message(row)?)?;
    }
    Ok(())
}

/// A batch's drafts, counted by room.
pub(super) struct ByRoom<'a> {
    /// The number of new messages of each room, in the order of the rooms' names.
    new: BTreeMap<&'a str, i64>,
    /// For each draft, the number of later ones for the same room.
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

    /// Returns the drafts' messages, given the rooms' counts after them.
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

fn column<'a, T>(drafts: &[&'a Draft], field: impl Fn(&'a Draft) -> T) -> Vec<T> {
    drafts.iter().map(|draft| field(draft)).collect()
}

/// Returns the statement that stores drafts.
pub(super) fn insert(drafts: &[&Draft], batch: &ByRoom<'_>) -> Query<'static> {
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

/// Returns the statement that finds drafts in the log.
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

/// Returns the rooms in a query's answer.
fn rooms(rows: &[PgRow]) -> Result<Vec<RoomId>, StoreError> {
    rows.iter().map(|row| row::parsed(row, "room_id")).collect()
}
