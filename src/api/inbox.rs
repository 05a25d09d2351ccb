//! Read marks, followed rooms, and the lists of users' rooms.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    access::Caller,
    answer::{Answer, Refusal, Refused},
    request::{Json, Query},
};
use crate::{
    auth::{Identity, Service},
    chat::Participant,
    contract::{
        Cursor, FollowRoom, GetReads, ListRooms, MarkRead, Position, ReadsPage, Room, RoomsPage,
        UnfollowRoom,
    },
    error::Error,
    model::UserId,
};

/// The user of a request.
#[derive(Deserialize, ToSchema, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct User {
    /// The user.
    user_id: UserId,
}

impl User {
    /// Returns the participant of a service that acts for the user.
    fn served_by(self, api: &Api, service: &Service) -> Participant {
        api.participant(service.acting_for(&Identity::user(self.user_id)))
    }
}

/// A read mark, and its user.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct MarkRequest {
    #[serde(flatten)]
    mark: MarkRead,
    #[serde(flatten)]
    user: User,
}

/// A room to follow, and the user who follows it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct FollowRequest {
    #[serde(flatten)]
    follow: FollowRoom,
    #[serde(flatten)]
    user: User,
}

/// Reads how far the readers of a room have read.
#[utoipa::path(
    get, path = "/reads", tag = "users", params(GetReads),
    responses((status = 200, description = "The positions.", body = ReadsPage), Refused)
)]
pub async fn get_reads(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(GetReads { room_id }): Query<GetReads>,
) -> Result<Answer, Error> {
    let reader = api.participant(service.itself());
    let (reads, has_more) = api.chat.reads(&reader, &room_id).await?;
    Ok(Answer::ok(&ReadsPage { reads, has_more }))
}

/// Marks a room as read by a user up to a message.
#[utoipa::path(
    put, path = "/reads", tag = "users", request_body = MarkRequest,
    responses((status = 200, description = "The position.", body = Position), Refused)
)]
pub async fn mark_read(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    Ok(mark(&api, &service, &json).await?)
}

/// Marks a room as read.
///
/// # Errors
///
/// As [`Chat::mark_read`](crate::chat::Chat::mark_read).
pub async fn mark(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    let MarkRead { room_id, seq } = json.read()?;
    let reader = json.read::<User>()?.served_by(api, service);
    let queued = api.chat.mark_read(&reader, room_id, seq).await?;
    let read_seq = queued.settled().await?;
    Ok(Answer::ok(&Position { read_seq }))
}

/// Reads a page of the rooms that a user follows, the latest activity first.
#[utoipa::path(
    get, path = "/follows", tag = "users", params(ListRooms, User),
    responses((status = 200, description = "The page.", body = RoomsPage), Refused)
)]
pub async fn list_rooms(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(query): Query<ListRooms>,
    Query(user): Query<User>,
) -> Result<Answer, Error> {
    let user = user.served_by(&api, &service);
    let after = query.cursor.as_ref().map(|cursor| &cursor.0);
    let listing = api.chat.list_rooms(&user, after, query.limit());
    let (rooms, next) = listing.await?;
    let cursor = next.map(Cursor);
    Ok(Answer::ok(&RoomsPage { rooms, cursor }))
}

/// Puts a room into a user's list.
#[utoipa::path(
    put, path = "/follows", tag = "users", request_body = FollowRequest,
    responses((status = 200, description = "The user follows the room.", body = Room), Refused)
)]
pub async fn follow_room(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    Ok(follow(&api, &service, &json).await?)
}

/// Puts a room into a user's list.
///
/// # Errors
///
/// As [`Chat::follow`](crate::chat::Chat::follow).
pub async fn follow(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    let FollowRoom { room_id, muted } = json.read()?;
    let user = json.read::<User>()?.served_by(api, service);
    api.chat.follow(&user, &room_id, muted).await?;
    Ok(Answer::ok(&Room { room_id }))
}

/// Takes a room out of a user's list.
#[utoipa::path(
    delete, path = "/follows", tag = "users", params(UnfollowRoom, User),
    responses((status = 200, description = "The user does not follow the room.", body = Room), Refused)
)]
pub async fn unfollow_room(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(unfollow): Query<UnfollowRoom>,
    Query(user): Query<User>,
) -> Result<Answer, Error> {
    unfollow_as(&api, &service, unfollow, user).await
}

/// Takes a room out of a user's list.
///
/// # Errors
///
/// As [`Chat::unfollow`](crate::chat::Chat::unfollow).
pub async fn unfollow(api: &Api, service: &Service, json: &Json) -> Result<Answer, Error> {
    unfollow_as(api, service, json.read()?, json.read()?).await
}

async fn unfollow_as(
    api: &Api,
    service: &Service,
    unfollow: UnfollowRoom,
    user: User,
) -> Result<Answer, Error> {
    let UnfollowRoom { room_id } = unfollow;
    let user = user.served_by(api, service);
    api.chat.unfollow(&user, &room_id).await?;
    Ok(Answer::ok(&Room { room_id }))
}
