//! Streams of server-sent events: rooms and the activity of users, for readers by plain HTTP:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
//!
//! A room's stream reads the log up to the room's present, a page at a time and as fast as its reader
//! takes it, and then subscribes to the room's fan-out. The identifier of an event says how far the reader
//! has come, so a stream goes on after any pause, on any server.

mod activity;
mod body;
mod event;
mod hub;
mod outlet;
mod reader;
mod room;
mod tickets;

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::{
    event::EventId,
    reader::{Reader, Requester},
    tickets::Ticket,
};
pub use self::{hub::Streams, reader::Places, tickets::Tickets};
use super::{
    Api, access,
    answer::{Answer, Refusal, Refused},
    request::{Actor, Json, Query},
};
use crate::{
    auth::Caller,
    error::Error,
    model::{RoomId, UserId, iso8601_millis},
    net::Peer,
};

/// The stream of a room.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct GetEvents {
    /// The room.
    room_id: RoomId,
    /// The place to go on from, for a client that cannot send the header `Last-Event-ID`.
    #[param(value_type = Option<String>)]
    last_event_id: Option<EventId>,
    /// A ticket, for a client that cannot send the header `Authorization`.
    #[serde(rename = "ticket")]
    #[param(value_type = Option<String>)]
    _ticket: Option<String>,
}

/// The stream of a user.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct GetActivity {
    /// The user, if a service asks.
    user_id: Option<UserId>,
    /// A ticket, for a client that cannot send the header `Authorization`.
    #[serde(rename = "ticket")]
    #[param(value_type = Option<String>)]
    _ticket: Option<String>,
}

/// The room of a ticket.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TicketRoom {
    room_id: Option<RoomId>,
}

/// A request for a ticket.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct TicketRequest {
    /// The one room that the ticket is for; without it, any of the user's streams.
    room_id: Option<RoomId>,
    #[serde(flatten)]
    user: Actor,
}

/// A ticket.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketAnswer {
    /// The ticket, for the query of a stream.
    ticket: String,
    /// The time after which it opens no stream.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "iso8601_millis")]
    expires_at: DateTime<Utc>,
}

/// Tells a room's messages, changes and presence as they come, from now on or from an earlier event on.
#[utoipa::path(
    get, path = "/events", tag = "streams",
    params(GetEvents, ("Last-Event-ID" = Option<String>, Header, description = "The place to go on from: the id of the last event that the client has.")),
    responses((status = 200, description = "The events.", body = String, content_type = "text/event-stream"), Refused)
)]
pub async fn room_events(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Query(query): Query<GetEvents>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let last = EventId::from_headers(&headers)?.or(query.last_event_id);
    let room = query.room_id;
    reader.check_room(&room)?;
    let place = api.stream_places.take(&reader, &peer, &headers)?;
    let _one_of_few = access::place(&api.reads, 1).await?;
    let feed = api.chat.feed(reader.identity.clone(), room).await?;
    let events = room::RoomEvents::new(feed, api.streams.clone(), reader.identity, peer, last);
    Ok(body::respond(events, &api, reader.expires_at, place))
}

/// Tells of the activity in the rooms that a user follows.
#[utoipa::path(
    get, path = "/activity", tag = "streams", params(GetActivity),
    responses((status = 200, description = "The events.", body = String, content_type = "text/event-stream"), Refused)
)]
pub async fn activity(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Query(query): Query<GetActivity>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let identity = reader.of_user(query.user_id)?;
    let place = api.stream_places.take(&reader, &peer, &headers)?;
    let _one_of_few = access::place(&api.reads, 1).await?;
    let subscription = api.streams.watch(identity.clone(), &peer);
    let watching = api.chat.watch_feed(identity).await?;
    let events = activity::ActivityEvents::new(subscription, watching);
    Ok(body::respond(events, &api, reader.expires_at, place))
}

/// Gives out a ticket, which opens one stream of a user within a minute. A user asks for itself, and a
/// service for any user.
#[utoipa::path(
    post, path = "/tickets", tag = "streams", request_body = TicketRequest,
    responses((status = 201, description = "The ticket.", body = TicketAnswer), Refused)
)]
pub async fn create_ticket(
    State(api): State<Arc<Api>>,
    Requester(credentials): Requester,
    json: Json,
) -> Result<Answer, Refusal> {
    let TicketRoom { room_id } = json.read()?;
    let named = json.read::<Actor>()?;
    let (identity, expires_at) = match credentials.caller {
        Caller::Service(service) => (service.vouch_for(named.required()?), None),
        Caller::User(identity) => {
            if let Some(named) = named.identity()? {
                identity.covers(&named)?;
            }
            api.chat
                .charge_request(&api.participant(identity.clone()))?;
            (identity, credentials.expires_at)
        }
    };
    if let Some(room) = &room_id {
        identity.may_enter(room)?;
    }
    let ticket = Ticket {
        identity,
        room: room_id,
        expires_at,
    };
    let (ticket, expires_at) = api.tickets.issue(ticket);
    let answer = TicketAnswer { ticket, expires_at };
    Ok(Answer::new(StatusCode::CREATED, &answer))
}
