//! Storing of batches.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    super::{
        batch::{Answers, Appended},
        error::StoreError,
        fault, row,
    },
    read::message,
};
use crate::model::{Body, ClientMessageId, Draft, Message, RoomId, Seq, UserId};

/// Finds the drafts of a batch in the log. A batch goes to the database as one JSON array, for a
/// few statements per batch of any length: <https://www.sqlite.org/json1.html#jeach>.
const HELD: &str = r#"
SELECT input.key AS place, m.seq, m.room_id, m.id, m.user_id, m.operator_id, m.message, m.client_message_id, m."timestamp",
    (SELECT state FROM message_states AS s WHERE s.room_id = m.room_id AND s.seq = m.seq) AS state
FROM jsonb_each(?1) AS input CROSS JOIN messages AS m
WHERE m.rowid = coalesce(
    (SELECT rowid FROM messages WHERE id = input.value ->> 'id' AND client_message_id IS NULL),
    (SELECT rowid FROM messages WHERE room_id = input.value ->> 'room_id'
        AND user_id = input.value ->> 'user_id' AND client_message_id = input.value ->> 'client_message_id'))"#;

/// Counts the rooms up, each by its number of new messages.
const COUNT: &str = r#"
INSERT INTO rooms (room_id, last_seq)
SELECT value ->> 'room_id', count(*) FROM jsonb_each(?1) WHERE true GROUP BY 1
ON CONFLICT (room_id) DO UPDATE SET last_seq = last_seq + excluded.last_seq"#;

/// Stores the new messages, numbered up to their room's count.
const INSERT: &str = r#"
INSERT INTO messages (room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp")
SELECT input.room_id,
    rooms.last_seq - count(*) OVER (PARTITION BY input.room_id)
        + row_number() OVER (PARTITION BY input.room_id ORDER BY input.place),
    input.id, input.user_id, input.operator_id, input.message, input.client_message_id, input."timestamp"
FROM (
    SELECT key AS place, value ->> 'room_id' AS room_id, value ->> 'id' AS id, value ->> 'user_id' AS user_id,
        value ->> 'operator_id' AS operator_id, value ->> 'message' AS message,
        value ->> 'client_message_id' AS client_message_id, value ->> 'timestamp' AS "timestamp"
    FROM jsonb_each(?1)
) AS input JOIN rooms USING (room_id)
RETURNING id, seq"#;

/// A draft in its form for the statements.
#[derive(Serialize)]
struct Input<'a> {
    id: Uuid,
    room_id: &'a RoomId,
    user_id: &'a UserId,
    operator_id: Option<&'a UserId>,
    message: &'a Body,
    client_message_id: Option<&'a ClientMessageId>,
    timestamp: i64,
}

fn json(drafts: &[&Draft]) -> Result<String, StoreError> {
    let input = drafts.iter().map(|draft| Input {
        id: draft.id,
        room_id: &draft.room_id,
        user_id: &draft.user_id,
        operator_id: draft.operator_id.as_ref(),
        message: &draft.body,
        client_message_id: draft.client_message_id.as_ref(),
        timestamp: draft.timestamp.timestamp_millis(),
    });
    let input: Vec<_> = input.collect();
    serde_json::to_string(&input)
        .map_err(|error| StoreError::Rejected(sqlx::Error::Encode(error.into()).into()))
}

/// Stores a batch in one transaction, and returns its messages in order.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    drafts: &[&Draft],
) -> Result<Vec<Message>, StoreError> {
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(fault::classify)?;
    let appended = append(&mut transaction, drafts).await?;
    transaction.commit().await.map_err(fault::classify)?;
    Ok(appended.messages)
}

/// Stores the drafts new to the log, and returns a message for each draft.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    drafts: &[&Draft],
) -> Result<Appended, StoreError> {
    let answers = held(connection, drafts).await?;
    let fresh = answers.missing(drafts);
    if fresh.is_empty() {
        return answers.append(drafts, vec![]);
    }
    let stored = insert(connection, &fresh).await?;
    answers.append(drafts, stored)
}

/// Finds the drafts' messages in the log.
pub(super) async fn held(
    connection: &mut SqliteConnection,
    drafts: &[&Draft],
) -> Result<Answers, StoreError> {
    let rows = sqlx::query(HELD)
        .bind(json(drafts)?)
        .fetch_all(connection)
        .await
        .map_err(fault::classify)?;
    let mut answers = Answers::new(drafts.len());
    for row in &rows {
        answers.put(row::value(row, "place")?, message(row)?)?;
    }
    Ok(answers)
}

async fn insert(
    connection: &mut SqliteConnection,
    drafts: &[&Draft],
) -> Result<Vec<Message>, StoreError> {
    let input = json(drafts)?;
    sqlx::query(COUNT)
        .bind(input.as_str())
        .execute(&mut *connection)
        .await
        .map_err(fault::classify)?;
    let rows = sqlx::query(INSERT)
        .bind(input.as_str())
        .fetch_all(connection)
        .await
        .map_err(fault::classify)?;
    numbered(drafts, &rows)
}

/// Returns the drafts' messages, given rows with the `seq` of each id.
fn numbered(drafts: &[&Draft], rows: &[SqliteRow]) -> Result<Vec<Message>, StoreError> {
    let seqs = rows
        .iter()
        .map(|row| Ok((row::value(row, "id")?, row::seq(row)?)));
    let seqs: HashMap<String, Seq> = seqs.collect::<Result<_, StoreError>>()?;
    let messages = drafts.iter().map(|draft| {
        let seq = seqs.get(&draft.id.to_string());
        seq.map(|seq| draft.at(*seq))
            .ok_or_else(|| row::unreadable("id", "not answered"))
    });
    messages.collect()
}
