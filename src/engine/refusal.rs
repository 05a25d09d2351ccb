//! Answers to requests that Engine.IO does not serve: status 400 and the code that Node's server
//! gives, as a number: <https://socket.io/docs/v4/engine-io-protocol/#error-handling>.

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// The reason why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownTransport,
    /// Clients connect again.
    UnknownSession,
    BadMethod,
    /// The text says what is wrong.
    BadRequest(String),
    UnsupportedVersion,
}

impl Refusal {
    fn code(&self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSession => 1,
            Self::BadMethod => 2,
            Self::BadRequest(_) => 3,
            Self::UnsupportedVersion => 5,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::UnknownTransport => "Transport unknown".into(),
            Self::UnknownSession => "Session ID unknown".into(),
            Self::BadMethod => "Bad handshake method".into(),
            Self::BadRequest(reason) => format!("Bad request: {reason}"),
            Self::UnsupportedVersion => "Unsupported protocol version".into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "code": self.code(), "message": self.message() }).to_string();
        (
            StatusCode::BAD_REQUEST,
            [(CONTENT_TYPE, "application/json")],
            body,
        )
            .into_response()
    }
}
