//! Changing messages, and reading what has changed.

use std::sync::Arc;

use axum::extract::State;
use utoipa::ToSchema;

use super::{
    Api,
    access::Caller,
    answer::{Answer, Refusal, Refused},
    request::{Actor, Json, Query},
};
use crate::{
    auth::Service,
    chat::{Participant, Version},
    contract::{
        ChangesPage, DeleteMessage, EditMessage, GetChanges, MessageChanged, SetPinned, SetReaction,
    },
    error::Error,
    model::{Action, RoomId, Seq},
};

/// A new text, and the message's author.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct EditRequest {
    #[serde(flatten)]
    edit: EditMessage,
    #[serde(flatten)]
    author: Actor,
}

/// A reaction, and its user.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct ReactRequest {
    #[serde(flatten)]
    reaction: SetReaction,
    #[serde(flatten)]
    user: Actor,
}

/// Replaces the text of a message, as its author.
#[utoipa::path(
    patch, path = "/messages", tag = "messages", request_body = EditRequest,
    responses((status = 200, description = "The message has this text.", body = MessageChanged), Refused)
)]
pub async fn edit_message(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    Ok(edit(&api, &service, &json).await?)
}

/// Replaces the text of a message.
///
/// # Errors
///
/// [`Error::InvalidPayload`] without an author; otherwise as [`Chat::edit`](crate::chat::Chat::edit).
pub async fn edit(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    let edit: EditMessage = json.read()?;
    let author = json.read::<Actor>()?.required()?;
    let author = api.participant(service.acting_for(&author));
    let version = Version {
        text: &edit.message,
        metadata: edit.metadata,
        if_revision: edit.if_revision,
    };
    let queued = api.chat.edit(&author, edit.room_id, edit.seq, version);
    let changed = queued.await?.settled().await?;
    Ok(Answer::ok(&changed))
}

/// Erases a message for ever. A service may erase any message in its rooms.
#[utoipa::path(
    delete, path = "/messages", tag = "messages", params(DeleteMessage),
    responses((status = 200, description = "The message is deleted.", body = MessageChanged), Refused)
)]
pub async fn delete_message(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(delete): Query<DeleteMessage>,
) -> Result<Answer, Error> {
    erase(&api, &service, delete).await
}

/// Erases a message.
///
/// # Errors
///
/// As [`Chat::change`](crate::chat::Chat::change).
pub async fn delete(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    erase(api, service, json.read()?).await
}

async fn erase(api: &Api, service: &Service, delete: DeleteMessage) -> Result<Answer, Error> {
    let DeleteMessage { room_id, seq } = delete;
    tracing::info!(service = %service.name(), room = %room_id, seq = seq.get(), "deletes a message");
    let service = api.participant(service.itself());
    change(api, &service, room_id, seq, Action::Delete).await
}

/// Sets a user's reaction to a message, or takes it back.
#[utoipa::path(
    put, path = "/reactions", tag = "messages", request_body = ReactRequest,
    responses((status = 200, description = "The reaction is so.", body = MessageChanged), Refused)
)]
pub async fn set_reaction(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    Ok(react(&api, &service, &json).await?)
}

/// Sets a user's reaction.
///
/// # Errors
///
/// [`Error::InvalidPayload`] without a user; otherwise as [`Chat::change`](crate::chat::Chat::change).
pub async fn react(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    let SetReaction {
        room_id,
        seq,
        reaction,
        on,
    } = json.read()?;
    let user = json.read::<Actor>()?.required()?;
    let user = api.participant(service.acting_for(&user));
    change(api, &user, room_id, seq, Action::React { reaction, on }).await
}

/// Pins a message to its room, or unpins it.
#[utoipa::path(
    put, path = "/pins", tag = "messages", request_body = SetPinned,
    responses((status = 200, description = "The pin is so.", body = MessageChanged), Refused)
)]
pub async fn set_pinned(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    Ok(pin(&api, &service, &json).await?)
}

/// Pins or unpins a message.
///
/// # Errors
///
/// As [`Chat::change`](crate::chat::Chat::change).
pub async fn pin(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    let SetPinned { room_id, seq, on } = json.read()?;
    let service = api.participant(service.itself());
    change(api, &service, room_id, seq, Action::Pin { on }).await
}

async fn change(
    api: &Api,
    user: &Participant,
    room: RoomId,
    seq: Seq,
    action: Action,
) -> Result<Answer, Error> {
    let queued = api.chat.change(user, room, seq, action);
    let changed = queued.await?.settled().await?;
    Ok(Answer::ok(&changed))
}

/// Reads the changes of a room after a revision: the changed messages in their present state.
#[utoipa::path(
    get, path = "/changes", tag = "messages", params(GetChanges),
    responses((status = 200, description = "The changes.", body = ChangesPage), Refused)
)]
pub async fn get_changes(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(query): Query<GetChanges>,
) -> Result<Answer, Error> {
    let reader = api.participant(service.itself());
    let (room, after) = (&query.room_id, query.after_revision);
    let reading = api.chat.changes(&reader, room, after, query.limit())?;
    let page = ChangesPage::from(reading.page().await?);
    Ok(Answer::ok(&page))
}
