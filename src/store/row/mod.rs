//! Columns of a row, read into parsed values.

mod calls;
mod conversations;
mod rooms;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{ColumnIndex, Decode, Row, Type};

pub(super) use self::{
    calls::{call, call_json, due, part},
    conversations::{Time, conversation, listed, talk},
    rooms::{present, room_event, room_member, room_settings, standing},
};
use super::{
    archive_store::{MembershipOf, ReactionBy},
    error::StoreError,
    webhook_store::{EndpointStatus, Lease, Results},
};
use crate::model::{Access, FromStore, Membership, Message, Read, Revision, Seq, State, UserId};

/// The earliest and the latest time readable for every client, in milliseconds since 1970: years 1
/// to 9999.
const TIMES: (i64, i64) = (-62_135_596_800_000, 253_402_300_799_999);

/// Returns a time given in microseconds since 1970. One unreadable for clients, such as Postgres'
/// `infinity`, becomes the nearest readable one.
pub(super) fn time(micros: i64) -> DateTime<Utc> {
    let micros = micros.clamp(TIMES.0 * 1000, TIMES.1 * 1000);
    DateTime::from_timestamp_micros(micros).expect("years 1 to 9999 are times")
}

pub(super) fn value<'r, R, T>(row: &'r R, column: &'static str) -> Result<T, StoreError>
where
    R: Row,
    T: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    row.try_get(column)
        .map_err(|error| unreadable(column, error))
}

/// Reads an identifier out of a text column.
pub(super) fn parsed<'r, R, T>(row: &'r R, column: &'static str) -> Result<T, StoreError>
where
    R: Row,
    T: FromStore,
    String: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let text: String = value(row, column)?;
    Ok(T::from_store(text))
}

/// Reads an identifier or nothing out of a text column.
pub(super) fn optional<'r, R, T>(row: &'r R, column: &'static str) -> Result<Option<T>, StoreError>
where
    R: Row,
    T: FromStore,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let text: Option<String> = value(row, column)?;
    Ok(text.map(T::from_store))
}

pub(super) fn seq<'r, R>(row: &'r R) -> Result<Seq, StoreError>
where
    R: Row,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    place(row, "seq")
}

/// Reads a place in a room's log.
pub(super) fn place<'r, R>(row: &'r R, column: &'static str) -> Result<Seq, StoreError>
where
    R: Row,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let number: i64 = value(row, column)?;
    number.try_into().map_err(|error| unreadable(column, error))
}

/// Reads the place of a user's own newest message, [`Seq::ZERO`] when none was found.
pub(super) fn own<'r, R>(row: &'r R) -> Result<Seq, StoreError>
where
    R: Row,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let number: Option<i64> = value(row, "own")?;
    let number = number.unwrap_or_default();
    number.try_into().map_err(|error| unreadable("own", error))
}

/// Reads the newest messages of a room's authors: a JSON object, each author's name with a place.
pub(super) fn authors<'r, R>(row: &'r R) -> Result<Vec<Read>, StoreError>
where
    R: Row,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let json: Option<String> = value(row, "authors")?;
    let authors = json.map(|json| serde_json::from_str::<HashMap<String, Seq>>(&json));
    let authors = authors
        .transpose()
        .map_err(|error| unreadable("authors", error))?;
    let authors = authors.unwrap_or_default().into_iter();
    Ok(authors
        .map(|(user, seq)| Read {
            user_id: UserId::from_store(user),
            seq,
        })
        .collect())
}

/// Reads a message's state, if it has any.
pub(super) fn state<'r, R>(row: &'r R) -> Result<Option<Box<State>>, StoreError>
where
    R: Row,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let json: Option<String> = value(row, "state")?;
    json.map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|error| unreadable("state", error))
}

pub(super) fn revision<'r, R>(row: &'r R) -> Result<Revision, StoreError>
where
    R: Row,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let number: Option<i64> = value(row, "revision")?;
    let number = number.unwrap_or_default();
    number
        .try_into()
        .map_err(|error| unreadable("revision", error))
}

/// Reads a user's reaction.
pub(super) fn reaction_by<R>(row: &R) -> Result<ReactionBy, StoreError>
where
    R: Row,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let reaction: String = value(row, "reaction")?;
    Ok(ReactionBy {
        room_id: parsed(row, "room_id")?,
        seq: seq(row)?,
        user_id: parsed(row, "user_id")?,
        reaction: reaction
            .try_into()
            .map_err(|error| unreadable("reaction", error))?,
    })
}

/// Reads a user's membership of a room.
pub(super) fn membership_of<R>(row: &R) -> Result<MembershipOf, StoreError>
where
    R: Row,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    bool: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    Ok(MembershipOf {
        room_id: parsed(row, "room_id")?,
        user_id: parsed(row, "user_id")?,
        read_seq: seq(row)?,
        follows: value(row, "follows")?,
        muted: value(row, "muted")?,
        role: value(row, "role")?,
    })
}

/// Reads a user's relation to a room.
pub(super) fn membership<'r, R>(row: &'r R, column: &'static str) -> Result<Membership, StoreError>
where
    R: Row,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let name: Option<String> = value(row, column)?;
    Ok(Membership::from_store(name.as_deref()))
}

/// Reads the users who may be in a room. A name of a later version counts as members.
pub(super) fn access<R>(row: &R) -> Result<Access, StoreError>
where
    R: Row,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let name: String = value(row, "access")?;
    Ok(if name == OPEN {
        Access::Open
    } else {
        Access::Members
    })
}

const OPEN: &str = "open";

/// Returns the name in the database of the users who may be in a room.
pub(super) fn access_name(access: Access) -> &'static str {
    match access {
        Access::Open => OPEN,
        Access::Members => "members",
    }
}

/// Reads the answer to an attempt to take a lease.
pub(super) fn lease<R>(row: Option<&R>) -> Result<Lease, StoreError>
where
    R: Row,
    bool: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<i64>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let Some(row) = row else {
        return Ok(Lease::Elsewhere);
    };
    if value(row, "is_disabled")? {
        return Ok(Lease::Disabled);
    }
    let epoch: Option<i64> = value(row, "epoch")?;
    Ok(epoch.map_or(Lease::Elsewhere, Lease::Taken))
}

/// Reads the state of an endpoint, whose times are read by the database's own function.
pub(super) fn endpoint_status<R>(
    row: &R,
    time: impl Fn(&R, &'static str) -> Result<Option<DateTime<Utc>>, StoreError>,
) -> Result<EndpointStatus, StoreError>
where
    R: Row,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let text = |column| -> Result<Option<String>, StoreError> { value(row, column) };
    Ok(EndpointStatus {
        url: value(row, "url")?,
        disabled: time(row, "disabled")?.zip(text("reason")?),
        results: Results {
            succeeded: time(row, "succeeded")?,
            failed: time(row, "failed")?.zip(text("error")?),
        },
        rooms: value(row, "rooms")?,
        events: value(row, "events")?,
        oldest: time(row, "oldest")?,
    })
}

/// Writes a message's state.
pub(super) fn state_json(message: &Message) -> String {
    let state = message.state.as_deref();
    let json = state.map_or_else(|| Ok("{}".into()), serde_json::to_string);
    json.expect("texts, numbers and times are JSON")
}

pub(super) fn unreadable(column: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable(format!("{column}: {error}"))
}
