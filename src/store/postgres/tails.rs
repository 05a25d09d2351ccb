//! The ends of many rooms' logs, in one statement.

use std::collections::HashMap;

use super::{
    super::{
        error::StoreError,
        fault,
        page::{Head, saturated},
        row,
    },
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
SELECT room_id, last_seq AS seq,
    (SELECT last_revision FROM revisions v WHERE v.room_id = r.room_id) AS revision
FROM rooms r WHERE room_id = ANY($1)"#;

/// The rooms' rows come in the order of the lateral part, which nothing outside changes. Each is
/// preceded by a number of bytes.
const TAILS: &str = r#"
SELECT * FROM (
    SELECT tail.*, sum(bytes) OVER (ROWS UNBOUNDED PRECEDING) - bytes AS before
    FROM unnest($1::text[], $2::bigint[]) AS place (room_id, seq)
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT 1 FROM message_states s WHERE s.room_id = place.room_id COLLATE "C" AND s.seq > place.seq
        ) AS has_states OFFSET 0
    ) AS states
    CROSS JOIN LATERAL (
        SELECT m.*, state, octet_length(message) + coalesce(octet_length(state), 0) AS bytes
        FROM messages m LEFT JOIN LATERAL (
            SELECT state FROM message_states s WHERE has_states AND s.room_id = m.room_id AND s.seq = m.seq
        ) AS states ON true
        WHERE m.room_id = place.room_id COLLATE "C" AND m.seq > place.seq ORDER BY m.seq LIMIT $3
    ) AS tail
    LIMIT $4
) AS tails
WHERE before < $5"#;

/// Returns the ends of the logs of rooms.
pub(super) async fn heads(
    pools: &Pools,
    rooms: &[RoomId],
) -> Result<HashMap<RoomId, Head>, StoreError> {
    let names: Vec<_> = rooms.iter().map(RoomId::as_str).collect();
    let rows = pools
        .fetch(Work::Read, || sqlx::query(HEADS).bind(names.clone()))
        .await
        .map_err(fault::classify)?;
    rows.iter()
        .map(|row| {
            let head = Head {
                seq: row::seq(row)?,
                revision: row::revision(row)?,
            };
            Ok((row::parsed(row, "room_id")?, head))
        })
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
    let limit = saturated(limit);
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
