//! Conversations of operators with customers.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Api,
    access::Caller,
    answer::{Answer, Refusal, Refused},
    request::{Json, Query},
};
use crate::{
    auth::{Identity, Service},
    contract::{
        ClaimConversation, CloseConversation, ConversationsPage, Cursor, HandedOver,
        ListConversations, ReleaseConversation, TransferConversation,
    },
    error::Error,
    model::{Handover, RoomId, UserId},
};

/// The operator of a claim.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Claimer {
    /// The operator.
    user_id: UserId,
}

/// The operator in whose name a service asks.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Asker {
    /// The operator; none for the service itself.
    user_id: Option<UserId>,
}

/// A claim, and its operator.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct ClaimRequest {
    #[serde(flatten)]
    claim: ClaimConversation,
    #[serde(flatten)]
    operator: Claimer,
}

/// A release, and its asker.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct ReleaseRequest {
    #[serde(flatten)]
    release: ReleaseConversation,
    #[serde(flatten)]
    asker: Asker,
}

/// A transfer, and its asker.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct TransferRequest {
    #[serde(flatten)]
    transfer: TransferConversation,
    #[serde(flatten)]
    asker: Asker,
}

/// An end, and its asker.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct CloseRequest {
    #[serde(flatten)]
    close: CloseConversation,
    #[serde(flatten)]
    asker: Asker,
}

/// Reads a page of conversations.
#[utoipa::path(
    get, path = "/conversations", tag = "conversations", params(ListConversations),
    responses((status = 200, description = "The page.", body = ConversationsPage), Refused)
)]
pub async fn list_conversations(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(query): Query<ListConversations>,
) -> Result<Answer, Error> {
    let reader = api.participant(service.itself());
    let (state, limit) = (query.state(), query.limit());
    let after = query.cursor.map(|cursor| cursor.0);
    let listing = api
        .chat
        .conversations(&reader, state, query.operator_id, after, limit);
    let (conversations, next) = listing.await?;
    let page = ConversationsPage::new(conversations, next.map(Cursor));
    Ok(Answer::ok(&page))
}

/// Takes a conversation for an operator.
#[utoipa::path(
    post, path = "/conversations/claim", tag = "conversations", request_body = ClaimRequest,
    responses((status = 200, description = "The operator has it.", body = HandedOver), Refused)
)]
pub async fn claim_conversation(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    let (claim, Claimer { user_id }): (ClaimConversation, _) = (json.read()?, json.read()?);
    let handover = claim.handover();
    Ok(hand_over(&api, &service, Some(user_id), claim.room_id, handover).await?)
}

/// Gives a conversation back to the queue, whoever has it.
#[utoipa::path(
    post, path = "/conversations/release", tag = "conversations", request_body = ReleaseRequest,
    responses((status = 200, description = "No operator has it.", body = HandedOver), Refused)
)]
pub async fn release_conversation(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    let (release, Asker { user_id }): (ReleaseConversation, _) = (json.read()?, json.read()?);
    let handover = release.handover();
    Ok(hand_over(&api, &service, user_id, release.room_id, handover).await?)
}

/// Gives a conversation to an operator, whoever has it.
#[utoipa::path(
    post, path = "/conversations/transfer", tag = "conversations", request_body = TransferRequest,
    responses((status = 200, description = "The operator has it.", body = HandedOver), Refused)
)]
pub async fn transfer_conversation(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    let (transfer, Asker { user_id }): (TransferConversation, _) = (json.read()?, json.read()?);
    let handover = transfer.handover();
    Ok(hand_over(&api, &service, user_id, transfer.room_id, handover).await?)
}

/// Ends a conversation, until the customer writes again.
#[utoipa::path(
    post, path = "/conversations/close", tag = "conversations", request_body = CloseRequest,
    responses((status = 200, description = "It has ended.", body = HandedOver), Refused)
)]
pub async fn close_conversation(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    let (close, Asker { user_id }): (CloseConversation, _) = (json.read()?, json.read()?);
    let handover = close.handover();
    Ok(hand_over(&api, &service, user_id, close.room_id, handover).await?)
}

async fn hand_over(
    api: &Api,
    service: &Service,
    operator: Option<UserId>,
    room: RoomId,
    handover: Handover,
) -> Result<Answer, Error> {
    let (service_name, step) = (service.name(), handover.step.name());
    let user = operator.as_ref().map(UserId::as_str);
    tracing::info!(service = %service_name, %room, step, user, "changes a conversation");
    let asker = api.acting(service, operator.map(Identity::operator));
    let changing = api.chat.hand_over(&asker, room, handover);
    Ok(Answer::ok(&HandedOver::from(changing.await?)))
}
