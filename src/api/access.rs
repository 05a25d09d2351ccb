//! The admission of requests: authentication, the rate of a service, and the requests at once.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{Method, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tracing::Instrument;

use super::{Api, answer::Refusal, request};
use crate::{auth::Service, engine, error::Error};

/// The time for a request to wait for others.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);

/// The wait before a request that found no place is tried again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Counts the answers, and gives the log the trace of the request.
pub async fn count(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let trace_id = engine::trace_id(request.headers());
    let span = tracing::info_span!("request", method = %request.method(), path = request.uri().path(), trace_id);
    let span = engine::join_trace(span, request.headers());
    let response = next.run(request).instrument(span).await;
    api.metrics.note_answer(response.status().as_str());
    response
}

/// Admits a request of a service, which its handler finds as [`Caller`].
pub async fn admit(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let service = match authenticate(&api, &request) {
        Ok(service) => service,
        Err(error) => return error.into_response(),
    };
    request.extensions_mut().insert(Caller(service));
    let answered = match *request.method() {
        Method::GET | Method::HEAD => read(&api, request, next).await,
        _ => write(&api, request, next).await,
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn read(api: &Api, request: Request, next: Next) -> Result<Response, Refusal> {
    let _place = place(&api.reads, 1).await?;
    Ok(api.unanswered.track_future(next.run(request)).await)
}

/// Handles a request once its body has arrived, so that no body keeps others waiting.
async fn write(api: &Api, request: Request, next: Next) -> Result<Response, Refusal> {
    let limit = request::body_limit(api, &request);
    let kib = u32::try_from(limit.div_ceil(1024)).unwrap_or(u32::MAX);
    let _memory = place(&api.bodies, kib).await?;
    let request = request::arrived(api, request, limit).await?;
    let _place = place(&api.writes, 1).await?;
    Ok(api.unanswered.track_future(next.run(request)).await)
}

/// Waits for places.
///
/// # Errors
///
/// [`Error::Unavailable`] when others keep them for [`PLACE_TIMEOUT`].
pub async fn place(places: &Semaphore, count: u32) -> Result<SemaphorePermit<'_>, Error> {
    let place = timeout(PLACE_TIMEOUT, places.acquire_many(count)).await;
    place.ok().and_then(Result::ok).ok_or(Error::Unavailable)
}

fn authenticate(api: &Api, request: &Request) -> Result<Service, Error> {
    let service = api.services.authenticate(request.headers())?;
    api.rates.check(service.name())?;
    Ok(service)
}

/// The service that makes a request.
#[derive(Clone)]
pub struct Caller(pub Service);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Error::internal("a route is not behind the admission"))
    }
}
