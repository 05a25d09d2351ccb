//! Calls.

use std::time::Duration;

use sqlx::{ColumnIndex, Decode, Row, Type};
use uuid::Uuid;

use super::{parsed, unreadable, value};
use crate::{
    model::{Call, DueCall, Part, RoomId},
    store::error::StoreError,
};

/// Reads a call; none from a row without one.
pub(in crate::store) fn call<R>(row: &R) -> Result<Option<Box<Call>>, StoreError>
where
    R: Row,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let json: Option<String> = value(row, "call")?;
    let call = json.map(|json| serde_json::from_str(&json)).transpose();
    call.map_err(|error| unreadable("call", error))
}

/// Reads a call that ends or loses a party by itself.
pub(in crate::store) fn due<R>(row: &R) -> Result<DueCall, StoreError>
where
    R: Row,
    f64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let due_in: f64 = value(row, "due_in")?;
    Ok(DueCall {
        room_id: parsed(row, "room_id")?,
        started_by: parsed(row, "started_by")?,
        due_in: Duration::try_from_secs_f64(due_in).unwrap_or_default(),
    })
}

/// Writes a call.
pub(in crate::store) fn call_json(call: &Call) -> String {
    serde_json::to_string(call).expect("names and times are JSON")
}

/// Reads a client's part in a room's call, given its entry.
pub(in crate::store) fn part<R>(row: &R, entry: Uuid) -> Result<(RoomId, Part), StoreError>
where
    R: Row,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let part = Part {
        call_id: parsed(row, "call_id")?,
        party_id: parsed(row, "party_id")?,
        entry,
    };
    Ok((parsed(row, "room_id")?, part))
}
