//! Answers: a status and JSON.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::{IntoResponses, ToSchema};

use crate::error::Error;

/// The wait before a request is repeated that found the database away or the server stopping, in seconds.
const UNAVAILABLE_FOR: HeaderValue = HeaderValue::from_static("1");

/// The answer to a successful request.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Box<RawValue>,
}

impl Answer {
    /// Returns an answer of status 200.
    pub fn ok(body: &impl Serialize) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// Returns an answer.
    pub fn new(status: StatusCode, body: &impl Serialize) -> Self {
        let body = to_raw_value(body).expect("texts, numbers and times are JSON");
        Self { status, body }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let json = Box::<str>::from(self.body);
        let content_type = [(CONTENT_TYPE, "application/json")];
        (self.status, content_type, String::from(json)).into_response()
    }
}

/// A refused request. Its status is the error's, unless HTTP has one of its own.
pub struct Refusal {
    status: Option<StatusCode>,
    error: Error,
}

impl Refusal {
    /// Returns a refusal for a reason of HTTP's own.
    pub fn with(status: StatusCode, why: &str) -> Self {
        Self {
            status: Some(status),
            error: Error::InvalidPayload(why.into()),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            status: None,
            error,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.error.into_response();
        if let Some(status) = self.status {
            *response.status_mut() = status;
        }
        response
    }
}

/// Answers a request for a path that is none.
pub async fn no_route() -> Error {
    Error::NotFound("the API has no such path; see /api/v1/openapi.json".into())
}

/// Answers a request of a method that its path does not have.
pub async fn no_method() -> Refusal {
    Refusal::with(
        StatusCode::METHOD_NOT_ALLOWED,
        "the path has no such method",
    )
}

/// Adds the headers of all answers.
pub async fn finish(mut response: Response) -> Response {
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.entry(RETRY_AFTER).or_insert(UNAVAILABLE_FOR);
    }
    response
}

/// The body of a refusal.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the JSON")]
pub struct ErrorAnswer {
    error: ErrorSchema,
}

/// The reason of a refusal.
#[derive(ToSchema)]
#[schema(as = Error, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct ErrorSchema {
    /// A stable code, such as `INVALID_PAYLOAD`.
    code: String,
    /// The reason in words, for programmers.
    message: String,
    /// True when the same request may succeed later.
    retryable: bool,
    /// The wait before a retry.
    #[schema(nullable = false)]
    retry_after_ms: Option<u64>,
    /// The present state, for the loser of a race.
    #[schema(value_type = Object, required = false, nullable = false)]
    current: (),
}

/// The refusals that any request of a service may get.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes the answers")]
pub enum Refused {
    /// A field is missing or wrong.
    #[response(status = 400)]
    Invalid(ErrorAnswer),
    /// The API key or token is missing, invalid or expired.
    #[response(status = 401)]
    Unauthorized(ErrorAnswer),
    /// The request is not open to this service or user.
    #[response(status = 403)]
    Forbidden(ErrorAnswer),
    /// There is no such message or room.
    #[response(status = 404)]
    NotFound(ErrorAnswer),
    /// The body did not arrive in time.
    #[response(status = 408)]
    TimedOut(ErrorAnswer),
    /// Somebody was faster; `current` is the present state.
    #[response(status = 409)]
    Conflict(ErrorAnswer),
    /// The message or the body is too large.
    #[response(status = 413)]
    TooLarge(ErrorAnswer),
    /// The body is no JSON.
    #[response(status = 415)]
    MediaType(ErrorAnswer),
    /// Too many requests at once; see `Retry-After`.
    #[response(status = 429)]
    RateLimited(ErrorAnswer),
    /// A bug; the log has its details.
    #[response(status = 500)]
    Internal(ErrorAnswer),
    /// The database does not answer, or the server is stopping; a repeat is harmless.
    #[response(status = 503)]
    Unavailable(ErrorAnswer),
}
