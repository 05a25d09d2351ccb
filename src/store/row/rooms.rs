//! Rooms' settings and members.

use sqlx::{ColumnIndex, Decode, Row, Type};

use super::{
    Time, access, call, conversation, membership, optional, parsed, revision, seq, talk,
    unreadable, value,
};
use crate::{
    model::{RoomId, RoomInfo, RoomMember, RoomSettings, Standing, UserId},
    store::{
        error::StoreError,
        governing::Present,
        webhook_store::{RoomEvent, RoomState},
    },
};

/// Reads a room's settings.
fn room_info<R>(row: &R) -> Result<RoomInfo, StoreError>
where
    R: Row,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let metadata: Option<String> = value(row, "metadata")?;
    let metadata = metadata.map(|json| serde_json::from_str(&json));
    Ok(RoomInfo {
        title: optional(row, "title")?,
        metadata: metadata
            .transpose()
            .map_err(|error| unreadable("metadata", error))?,
        access: access(row)?,
        conversation: None,
        call: None,
    })
}

/// Reads a room's settings with their revision.
pub(in crate::store) fn room_settings<R>(
    row: &R,
    time: impl Time<R>,
) -> Result<RoomSettings, StoreError>
where
    R: Row,
    Option<i64>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    Ok(RoomSettings {
        info: RoomInfo {
            conversation: conversation(row, time)?,
            call: call(row)?,
            ..room_info(row)?
        },
        revision: revision(row)?,
    })
}

/// Reads the state of a room before a change.
pub(in crate::store) fn present<R>(
    row: Option<&R>,
    time: impl Time<R>,
) -> Result<Present, StoreError>
where
    R: Row,
    Option<i64>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let row = row.ok_or_else(|| unreadable("rooms", "the locked row is gone"))?;
    let access: Option<String> = value(row, "access")?;
    let mut info = access.map(|_| room_info(row)).transpose()?;
    let (talk, call) = (talk(row, &time)?, call(row)?);
    if let Some(info) = &mut info {
        info.conversation = talk.as_ref().map(|talk| talk.conversation.clone());
        info.call = call.clone();
    }
    let called: Option<i64> = value(row, "call_revision")?;
    let called = called.unwrap_or_default().try_into();
    let called = called.map_err(|error| unreadable("call_revision", error))?;
    Ok(Present {
        last_seq: seq(row)?,
        info,
        own: membership(row, "own")?,
        other: membership(row, "other")?,
        owners: value(row, "owners")?,
        talk,
        call: call.map(|call| (call, called)),
        now: time(row, "now")?.unwrap_or_default(),
    })
}

/// Reads a user's standing in a room.
pub(in crate::store) fn standing<R>(row: &R) -> Result<((RoomId, UserId), Standing), StoreError>
where
    R: Row,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let place = (parsed(row, "room_id")?, parsed(row, "user_id")?);
    let standing = Standing {
        access: access(row)?,
        membership: membership(row, "role")?,
    };
    Ok((place, standing))
}

/// Reads a member of a room.
pub(in crate::store) fn room_member<R>(row: &R) -> Result<RoomMember, StoreError>
where
    R: Row,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    Ok(RoomMember {
        user_id: parsed(row, "user_id")?,
        role: membership(row, "role")?.role().unwrap_or_default(),
    })
}

/// Reads a change of a room's settings or members: a row without a user is the settings.
pub(in crate::store) fn room_event<R>(row: &R, time: impl Time<R>) -> Result<RoomEvent, StoreError>
where
    R: Row,
    Option<i64>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let state = match optional(row, "user_id")? {
        Some(user) => RoomState::Member(user, membership(row, "role")?.role()),
        None => match (conversation(row, time)?, call(row)?) {
            (Some(conversation), _) => RoomState::Conversation(conversation),
            (None, Some(call)) => RoomState::Call(call),
            (None, None) => RoomState::Settings(room_info(row)?),
        },
    };
    Ok(RoomEvent {
        revision: revision(row)?,
        state,
    })
}
