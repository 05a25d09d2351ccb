//! Rooms: their settings and members.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    access::Caller,
    answer::{Answer, Refusal, Refused},
    request::{Json, Query},
};
use crate::{
    auth::Service,
    contract::{
        AddMember, CreateRoom, GetMembers, MemberChanged, MembersPage, RemoveMember, RoomCreated,
        RoomSet, SetRoom,
    },
    error::Error,
    model::{Revision, RoomId, RoomSettings, Seq, UserId},
};

/// A new room, and its owner.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct CreateRequest {
    #[serde(flatten)]
    room: CreateRoom,
    #[serde(flatten)]
    owner: Owner,
}

/// The owner of a new room.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Owner {
    /// The owner; none for a room that only services govern.
    user_id: Option<UserId>,
}

/// A question for a room.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct GetRoom {
    /// The room.
    room_id: RoomId,
}

/// The state of a room.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomAnswer {
    room_id: RoomId,
    /// The newest message; 0 in a room without messages.
    last_seq: Seq,
    /// The newest change.
    last_revision: Revision,
    /// The settings, if somebody created the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    room: Option<RoomSettings>,
}

/// Creates a room.
#[utoipa::path(
    post, path = "/rooms", tag = "rooms", request_body = CreateRequest,
    responses((status = 201, description = "The room is created.", body = RoomCreated), Refused)
)]
pub async fn create_room(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    Ok(create(&api, &service, &json).await?)
}

/// Creates a room.
///
/// # Errors
///
/// As [`Chat::create_room`](crate::chat::Chat::create_room).
pub async fn create(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    let (create, owner): (CreateRoom, Owner) = (json.read()?, json.read()?);
    let (room_id, (settings, members)) = (create.room_id.clone(), create.parts());
    let service = api.participant(service.itself());
    let creating = api
        .chat
        .create_room(&service, room_id, settings, owner.user_id, members);
    let room = creating.await?;
    Ok(Answer::new(StatusCode::CREATED, &RoomCreated { room }))
}

/// Reads the state of a room.
#[utoipa::path(
    get, path = "/rooms", tag = "rooms", params(GetRoom),
    responses((status = 200, description = "The state.", body = RoomAnswer), Refused)
)]
pub async fn get_room(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(GetRoom { room_id }): Query<GetRoom>,
) -> Result<Answer, Error> {
    let reader = api.participant(service.itself());
    let state = api.chat.room_state(&reader, &room_id).await?;
    Ok(Answer::ok(&RoomAnswer {
        room_id,
        last_seq: state.last_seq,
        last_revision: state.last_revision,
        room: state.settings,
    }))
}

/// Changes the settings of a room.
#[utoipa::path(
    patch, path = "/rooms", tag = "rooms", request_body = SetRoom,
    responses((status = 200, description = "The settings are so.", body = RoomSet), Refused)
)]
pub async fn set_room(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    Ok(set(&api, &service, &json).await?)
}

/// Changes the settings of a room.
///
/// # Errors
///
/// As [`Chat::set_room`](crate::chat::Chat::set_room).
pub async fn set(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    let set: SetRoom = json.read()?;
    let (service, settings) = (api.participant(service.itself()), set.settings());
    let setting = api.chat.set_room(&service, set.room_id, settings);
    let set = RoomSet::from(setting.await?);
    Ok(Answer::ok(&set))
}

/// Reads a page of the members of a room that somebody created.
#[utoipa::path(
    get, path = "/members", tag = "rooms", params(GetMembers),
    responses((status = 200, description = "The page.", body = MembersPage), Refused)
)]
pub async fn get_members(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(query): Query<GetMembers>,
) -> Result<Answer, Error> {
    let reader = api.participant(service.itself());
    let (room, after) = (&query.room_id, query.cursor.as_ref());
    let reading = api.chat.room_members(&reader, room, after, query.limit());
    let (members, cursor) = reading.await?;
    Ok(Answer::ok(&MembersPage { members, cursor }))
}

/// Makes a user a member of a room, or gives a member another role.
#[utoipa::path(
    put, path = "/members", tag = "rooms", request_body = AddMember,
    responses((status = 200, description = "The user is a member.", body = MemberChanged), Refused)
)]
pub async fn add_member(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    Ok(add(&api, &service, &json).await?)
}

/// Makes a user a member of a room.
///
/// # Errors
///
/// As [`Chat::add_member`](crate::chat::Chat::add_member).
pub async fn add(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    let AddMember {
        room_id,
        user_id,
        role,
    } = json.read()?;
    let (service, role) = (api.participant(service.itself()), role.unwrap_or_default());
    let adding = api.chat.add_member(&service, room_id, user_id, role);
    let changed = adding.await?;
    Ok(Answer::ok(&MemberChanged { changed }))
}

/// Puts a user out of a room, on every server, until somebody adds the user again.
#[utoipa::path(
    delete, path = "/members", tag = "rooms", params(RemoveMember),
    responses((status = 200, description = "The user is out of the room.", body = MemberChanged), Refused)
)]
pub async fn remove_member(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(remove): Query<RemoveMember>,
) -> Result<Answer, Error> {
    remove_as(&api, &service, remove).await
}

/// Puts a user out of a room.
///
/// # Errors
///
/// As [`Chat::remove_member`](crate::chat::Chat::remove_member).
pub async fn remove(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    remove_as(api, service, json.read()?).await
}

async fn remove_as(api: &Api, service: &Service, remove: RemoveMember) -> Result<Answer, Error> {
    let RemoveMember { room_id, user_id } = remove;
    tracing::info!(service = %service.name(), room = %room_id, user = %user_id, "removes a member");
    let service = api.participant(service.itself());
    let removing = api.chat.remove_member(&service, room_id, user_id);
    let changed = removing.await?;
    Ok(Answer::ok(&MemberChanged { changed }))
}
