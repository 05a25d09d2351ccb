//! Exports of rooms and users, and the erasure of users.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    access::{Caller, RETRY_AFTER},
    answer::{Answer, Refusal, Refused},
    request::{Json, Query},
};
use crate::{
    archive::{Erased, LINES_AT_ONCE, Subject},
    error::Error,
    model::{RoomId, UserId},
    net::Peer,
};

/// The exports and erasures that a node carries out at once: each may read the whole database.
pub const AT_ONCE: usize = 2;

/// The subject of an export.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct GetExport {
    /// The room.
    room_id: Option<RoomId>,
    /// The user, instead of a room.
    user_id: Option<UserId>,
}

impl GetExport {
    fn subject(self) -> Result<Subject, Error> {
        match (self.room_id, self.user_id) {
            (Some(room), None) => Ok(Subject::Room(room)),
            (None, Some(user)) => Ok(Subject::User(user)),
            _ => {
                let why = "roomId and userId: exactly one of them must be given";
                Err(Error::InvalidPayload(why.into()))
            }
        }
    }
}

/// Exports what a room or a user has left, a JSON object a line: `{"message": ...}`, `{"reaction": ...}`,
/// `{"membership": ...}` or `{"room": ...}`. A body that breaks off is incomplete.
#[utoipa::path(
    get, path = "/export", tag = "archive", params(GetExport),
    responses((status = 200, description = "The lines.", body = String, content_type = "application/x-ndjson"), Refused)
)]
pub async fn export(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Extension(peer): Extension<Peer>,
    Query(asked): Query<GetExport>,
) -> Result<Response, Error> {
    let subject = asked.subject()?;
    match &subject {
        Subject::Room(room) => service.itself().may_enter(room)?,
        Subject::User(_) => service.check_all_rooms()?,
    }
    let place = place(&api.archives)?;
    tracing::info!(service = %service.name(), ?subject, "exports the archive");
    let (sender, lines) = mpsc::channel(LINES_AT_ONCE);
    let chat = api.chat.clone();
    let exporting = tokio::spawn(api.unanswered.track_future(async move {
        let _place = place;
        let exported = chat.export(&subject, sender).await;
        if chat.is_stopping() {
            // Its reader may not read, and the server would wait for it.
            peer.connection.close();
        }
        exported
    }));
    let lines = stream::unfold(lines, async |mut lines| {
        let line = lines.recv().await?;
        Some((Ok(line), lines))
    });
    // A failure has to break the body off: its end would look like the export's.
    let end = stream::once(exporting).filter_map(async |exported| match exported {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Err(error)),
        Err(panic) => Some(Err(Error::internal(panic))),
    });
    let content_type = [(CONTENT_TYPE, "application/x-ndjson")];
    Ok((content_type, Body::from_stream(lines.chain(end))).into_response())
}

/// The user to be erased.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EraseRequest {
    user_id: UserId,
}

/// Erases what a user has said, and the user's reactions and memberships. A message's place, time and
/// `userId` stay. Takes as long as reading all rooms does, also if the request is given up; after a failure,
/// another request goes on.
#[utoipa::path(
    post, path = "/erase", tag = "archive", request_body = EraseRequest,
    responses((status = 200, description = "The numbers of things erased.", body = Erased), Refused)
)]
pub async fn erase(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    json: Json,
) -> Result<Answer, Refusal> {
    let EraseRequest { user_id } = json.read()?;
    service.check_all_rooms()?;
    let place = place(&api.archives)?;
    tracing::info!(service = %service.name(), user = %user_id, "erases a user");
    let chat = api.chat.clone();
    // It goes on when the backend waits no longer.
    let erasing = tokio::spawn(api.unanswered.track_future(async move {
        let _place = place;
        chat.erase(&user_id).await
    }));
    let erased = erasing
        .await
        .unwrap_or_else(|panic| Err(Error::internal(panic)))?;
    Ok(Answer::ok(&erased))
}

/// Takes one of the few places for work on the archive.
///
/// # Errors
///
/// [`Error::RateLimited`] when all are taken.
fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    let place = places.clone().try_acquire_owned();
    place.map_err(|_| Error::RateLimited {
        retry_after: RETRY_AFTER,
    })
}
