//! The presence of rooms and users, and the end of users' connections.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    access::Caller,
    answer::{Answer, Refusal, Refused},
    request::{Json, Query},
};
use crate::{
    error::Error,
    model::{Clients, RoomId, UserId},
};

/// A question for a room or a user.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct GetPresence {
    /// The room.
    room_id: Option<RoomId>,
    /// The user, instead of a room.
    user_id: Option<UserId>,
}

/// The users in a room, or the connections of a user.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum PresenceAnswer {
    Room(RoomPresence),
    User(UserPresence),
}

/// The users in a room, on all servers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RoomPresence {
    room_id: RoomId,
    /// The users, at most 200; none of those on servers with a large part of a large room.
    members: Vec<UserId>,
    /// The number of users.
    member_count: usize,
}

/// The connections of a user, on all servers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserPresence {
    user_id: UserId,
    /// The number of clients, such as tabs.
    connections: usize,
    /// Rooms that the clients are in, at most 20.
    rooms: Vec<RoomId>,
}

impl UserPresence {
    fn new(user_id: UserId, clients: Clients) -> Self {
        Self {
            user_id,
            connections: clients.connections,
            rooms: clients.rooms.into_iter().collect(),
        }
    }
}

/// Tells the users in a room, or the connections of a user.
#[utoipa::path(
    get, path = "/presence", tag = "presence", params(GetPresence),
    responses((status = 200, description = "The presence.", body = PresenceAnswer), Refused)
)]
pub async fn get_presence(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(asked): Query<GetPresence>,
) -> Result<Answer, Error> {
    let answer = match (asked.room_id, asked.user_id) {
        (Some(room_id), None) => {
            let reader = api.participant(service.itself());
            let present = api.chat.presence(&reader, &room_id).await?;
            PresenceAnswer::Room(RoomPresence {
                room_id,
                members: present.members,
                member_count: present.member_count,
            })
        }
        (None, Some(user)) => {
            let mut clients = api.chat.clients_of(&user).await?;
            let itself = service.itself();
            clients.rooms.retain(|room| itself.may_enter(room).is_ok());
            PresenceAnswer::User(UserPresence::new(user, clients))
        }
        _ => {
            let why = "roomId and userId: exactly one of them must be given";
            return Err(Error::InvalidPayload(why.into()));
        }
    };
    Ok(Answer::ok(&answer))
}

/// The user to be disconnected.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disconnect {
    user_id: UserId,
}

/// Ends the connections of a user on all servers, and tells which they were. A valid token lets the user
/// come back.
#[utoipa::path(
    post, path = "/disconnect", tag = "presence", request_body = Disconnect,
    responses((status = 200, description = "The connections that were ended.", body = UserPresence), Refused)
)]
pub async fn disconnect(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    let Disconnect { user_id } = json.read()?;
    service.check_all_rooms()?;
    tracing::info!(service = %service.name(), user = %user_id, "disconnects a user");
    let clients = api.chat.disconnect_user(&user_id).await?;
    Ok(Answer::ok(&UserPresence::new(user_id, clients)))
}
