//! The ends of many rooms' logs, in one statement.

use std::collections::HashMap;

use super::{
    super::{error::StoreError, fault, row},
    pools::Pools,
    read::message,
    work::Work,
};
use crate::model::{Message, RoomId, Seq};

/// The most messages read by one statement.
const MAX_MESSAGES: i64 = 2_048;

/// The bytes of text after which a statement reads no further message.
const MAX_BYTES: i64 = 4 * 1024 * 1024;

const HEADS: &str = r#"
SELECT room_id, last_seq AS seq FROM rooms WHERE room_id = ANY($1) AND last_seq > 0"#;

/// The rooms' rows come in the order of the lateral part, which nothing outside changes. Each is
/// preceded by a number of bytes.
const TAILS: &str = r#"
SELECT * FROM (
    SELECT tail.*, sum(octet_length(tail.message)) OVER (ROWS UNBOUNDED PRECEDING) - octet_length(tail.message) AS before
    FROM unnest($1::text[], $2::bigint[]) AS place (room_id, seq)
    CROSS JOIN LATERAL (
        SELECT room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp" FROM messages m
        WHERE m.room_id = place.room_id COLLATE "C" AND m.seq > place.seq ORDER BY m.seq LIMIT $3
    ) AS tail
    LIMIT $4
) AS tails
WHERE before < $5"#;

/// Returns the newest `seq` of each room with messages.
pub(super) async fn heads(
    pools: &Pools,
    rooms: &[RoomId],
) -> Result<HashMap<RoomId, Seq>, StoreError> {
    let names: Vec<_> = rooms.iter().map(RoomId::as_str).collect();
    let rows = pools
        .fetch(Work::Read, || sqlx::query(HEADS).bind(names.clone()))
        .await
        .map_err(fault::classify)?;
    rows.iter()
        .map(|row| Ok((row::parsed(row, "room_id")?, row::seq(row)?)))
        .collect()
}

/// Reads the messages after these places, at most `limit` of each room, and skips unreadable rows.
pub(super) async fn read(
    pools: &Pools,
    places: &[(RoomId, Seq)],
    limit: usize,
) -> Result<Vec<Message>, StoreError> {
    let (rooms, seqs): (Vec<_>, Vec<_>) = places
        .iter()
        .map(|(room, seq)| (room.as_str(), seq.get()))
        .unzip();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = || {
        sqlx::query(TAILS)
            .bind(rooms.clone())
            .bind(seqs.clone())
            .bind(limit)
            .bind(MAX_MESSAGES)
            .bind(MAX_BYTES)
    };
    let rows = pools
        .fetch(Work::Read, query)
        .await
        .map_err(fault::classify)?;
    Ok(rows.iter().filter_map(|row| message(row).ok()).collect())
}
