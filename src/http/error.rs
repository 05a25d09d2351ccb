//! Errors as HTTP responses.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::error::{Error, ErrorBody};

impl IntoResponse for Error {
    /// Answers with `{"error": …}`, with the same fields as in Socket.IO's acks, and with
    /// `Retry-After` in whole seconds, rounded up, if the error names a time.
    fn into_response(self) -> Response {
        let body = error_body(&self).to_string();
        let content_type = [(CONTENT_TYPE, "application/json")];
        let mut response = (status(&self), content_type, body).into_response();
        let wait = self.retry_after().map(|wait| {
            let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
            HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX))
        });
        let headers = response.headers_mut();
        headers.extend(wait.map(|seconds| (RETRY_AFTER, seconds)));
        response
    }
}

/// Returns the body of an error's answer.
pub fn error_body(error: &Error) -> Value {
    json!({ "error": ErrorBody::from(error) })
}

/// Returns the status of an error's answer.
pub fn status(error: &Error) -> StatusCode {
    match error {
        Error::InvalidPayload(_) => StatusCode::BAD_REQUEST,
        Error::MessageTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UnknownEvent(_) | Error::NotFound(_) => StatusCode::NOT_FOUND,
        Error::Conflict(_) => StatusCode::CONFLICT,
        Error::Unauthorized(_) | Error::TokenExpired => StatusCode::UNAUTHORIZED,
        Error::NotInRoom | Error::NotInRoomYet | Error::Forbidden(_) => StatusCode::FORBIDDEN,
        Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn a_wait_is_given_in_the_body_and_in_whole_seconds_that_suffice() {
        let error = Error::RateLimited {
            retry_after: Duration::from_nanos(1_000_000_001),
        };
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        assert_eq!(
            body,
            concat!(
                r#"{"error":{"code":"RATE_LIMITED","message":"too many requests at once","#,
                r#""retryAfterMs":1001,"retryable":true}}"#
            )
        );
    }
}
