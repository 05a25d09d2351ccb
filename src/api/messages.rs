//! Sending messages, and reading them again.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use utoipa::ToSchema;

use super::{
    Api,
    access::Caller,
    answer::{Answer, Refusal, Refused},
    request::{Actor, IdempotencyKey, Json, Query},
};
use crate::{
    auth::Service,
    chat::Content,
    contract::{GetHistory, HistoryPage, MessageSent, SendMessage},
    error::Error,
};

/// A message, and its author.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct SendRequest {
    #[serde(flatten)]
    message: SendMessage,
    #[serde(flatten)]
    author: Actor,
}

/// Sends a message. The author need not be in the room, nor a member of it.
#[utoipa::path(
    post, path = "/messages", tag = "messages",
    request_body = SendRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The message's clientMessageId: a repeat gets the first message back.")),
    responses(
        (status = 201, description = "The message is stored.", body = MessageSent),
        (status = 200, description = "An earlier send has stored it.", body = MessageSent),
        Refused
    )
)]
pub async fn send_message(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    key: IdempotencyKey,
    json: Json,
) -> Result<Answer, Refusal> {
    Ok(send(&api, &service, key, &json).await?)
}

/// Sends a message, and counts it.
///
/// # Errors
///
/// [`Error::InvalidPayload`] without an author; otherwise as [`Chat::publish`](crate::chat::Chat::publish).
pub async fn send(
    api: &Api,
    service: &Service,
    key: IdempotencyKey,
    json: &Json,
) -> Result<Answer, Error> {
    let sent = store(api, service, key, json).await;
    let result = sent.as_ref().map(|stored| stored.duplicate);
    api.metrics.sends.note(result);
    let stored = sent?;
    let status = match stored.duplicate {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    Ok(Answer::new(status, &stored))
}

async fn store(
    api: &Api,
    service: &Service,
    key: IdempotencyKey,
    json: &Json,
) -> Result<MessageSent, Error> {
    let send: SendMessage = json.read()?;
    let author = json.read::<Actor>()?.required()?;
    let content = Content {
        text: &send.message,
        client_message_id: key.or(send.client_message_id)?,
        reply_to: send.reply_to,
        metadata: send.metadata,
    };
    let author = service.acting_for(&author);
    let queued = api.chat.publish(&author, send.room_id, content)?;
    queued.settled().await
}

/// Reads a page of a room's messages, oldest first.
#[utoipa::path(
    get, path = "/messages", tag = "messages", params(GetHistory),
    responses((status = 200, description = "The page.", body = HistoryPage), Refused)
)]
pub async fn get_history(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(query): Query<GetHistory>,
) -> Result<Answer, Error> {
    let reader = api.participant(service.itself());
    let (room, range, limit) = (&query.room_id, query.range()?, query.limit());
    let reading = api
        .chat
        .history(&reader, room, range, query.reply_to, limit)?;
    let (messages, has_more) = reading.page().await?;
    Ok(Answer::ok(&HistoryPage { messages, has_more }))
}
