//! The admission of requests: authentication, the rate of a service, and the requests at once.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;
use tracing::Instrument;

use super::{Api, request};
use crate::{auth::Service, engine, error::Error};

/// The time for a request to wait for others.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);

/// The wait before a request that found no place is tried again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Counts the answers, and gives the log the trace of the request.
pub async fn count(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let trace_id = engine::trace_id(request.headers());
    let span = tracing::info_span!("request", method = %request.method(), path = request.uri().path(), trace_id);
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
    let request = match request::arrived(&api, request).await {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    let Ok(Ok(_place)) = timeout(PLACE_TIMEOUT, api.places.acquire()).await else {
        return Error::Unavailable.into_response();
    };
    api.unanswered.track_future(next.run(request)).await
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
