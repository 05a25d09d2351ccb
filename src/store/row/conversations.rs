//! Conversations.

use chrono::{DateTime, Utc};
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::{optional, parsed, place, unreadable, value};
use crate::{
    model::{Conversation, EncodedMessage, ListedConversation, Message, RoomId, Status},
    store::{conversing::Talk, error::StoreError},
};

/// Reads a time out of a column, by the database's own function.
pub(in crate::store) trait Time<R>:
    Fn(&R, &'static str) -> Result<Option<DateTime<Utc>>, StoreError>
{
}

impl<R, F: Fn(&R, &'static str) -> Result<Option<DateTime<Utc>>, StoreError>> Time<R> for F {}

/// Reads a conversation; none from a row without one.
pub(in crate::store) fn conversation<R>(
    row: &R,
    time: impl Time<R>,
) -> Result<Option<Conversation>, StoreError>
where
    R: Row,
    Option<i64>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let Some(status) = value::<_, Option<String>>(row, "status")? else {
        return Ok(None);
    };
    let state = Status::from_store(&status).ok_or_else(|| unreadable("status", &status))?;
    let version: Option<i64> = value(row, "version")?;
    Ok(Some(Conversation {
        state,
        operator_id: optional(row, "holder")?,
        version: version.unwrap_or_default(),
        changed_at: time(row, "changed")?.unwrap_or_default(),
        changed_by: optional(row, "changed_by")?,
    }))
}

/// Reads a conversation with its place in the queue; none from a row without one.
pub(in crate::store) fn talk<R>(row: &R, time: impl Time<R>) -> Result<Option<Talk>, StoreError>
where
    R: Row,
    Option<i64>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let Some(conversation) = conversation(row, &time)? else {
        return Ok(None);
    };
    let revision: Option<i64> = value(row, "talk_revision")?;
    let revision = revision.unwrap_or_default().try_into();
    Ok(Some(Talk {
        revision: revision.map_err(|error| unreadable("talk_revision", error))?,
        conversation,
        waiting: time(row, "waiting")?,
    }))
}

/// Reads a conversation in the operators' list.
pub(in crate::store) fn listed<R>(
    row: &R,
    time: impl Time<R>,
    last_message: Option<Message>,
) -> Result<ListedConversation, StoreError>
where
    R: Row,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<i64>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    let room_id: RoomId = parsed(row, "listed")?;
    let talk = talk(row, time)?.ok_or_else(|| unreadable("status", "is missing"))?;
    Ok(ListedConversation {
        room_id,
        title: optional(row, "title")?,
        last_message: last_message.as_ref().map(EncodedMessage::from),
        queued: talk.queued(place(row, "last_seq")?),
    })
}
