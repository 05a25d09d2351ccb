//! Refusals of requests: Engine.IO's own have status 400 and the code of Node's server, a number:
//! <https://socket.io/docs/v4/engine-io-protocol/#error-handling>.

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::error::Error;

/// The reason for refusing a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownTransport,
    /// The client connects again.
    UnknownSession,
    BadMethod,
    /// A mistake, as the text describes it.
    BadRequest(String),
    UnsupportedVersion,
    /// An error of the chat, such as a session over a limit.
    Chat(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Chat(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::UnknownTransport => bad_request(0, "Transport unknown"),
            Self::UnknownSession => bad_request(1, "Session ID unknown"),
            Self::BadMethod => bad_request(2, "Bad handshake method"),
            Self::BadRequest(reason) => bad_request(3, &format!("Bad request: {reason}")),
            Self::UnsupportedVersion => bad_request(5, "Unsupported protocol version"),
            Self::Chat(error) => error.into_response(),
        }
    }
}

fn bad_request(code: u8, message: &str) -> Response {
    let content_type = [(CONTENT_TYPE, "application/json")];
    let body = json!({ "code": code, "message": message }).to_string();
    (StatusCode::BAD_REQUEST, content_type, body).into_response()
}
