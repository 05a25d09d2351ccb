//! The reading of requests: bodies and queries become the requests of the contract.

use std::{sync::Arc, time::Duration};

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
};
use http_body_util::LengthLimitError;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Number, json};
use tokio::time::timeout;
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use super::{Api, answer::Refusal, batch};
use crate::{
    auth::Identity,
    contract,
    error::Error,
    model::{ClientMessageId, UserId},
};

/// The most bytes of a body, where messages are not larger than by default.
const MIN_BODY_BYTES: usize = 64 * 1024;
/// The most bytes of JSON for one byte of text: `\u00XX`.
const MAX_ESCAPED_BYTES: usize = 6;
/// The bytes of a body for names, identifiers and metadata, beside the message.
const BODY_OVERHEAD_BYTES: usize = 16 * 1024;

/// The time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The fields of queries that are numbers.
const NUMBERS: [&str; 6] = [
    "afterRevision",
    "afterSeq",
    "beforeSeq",
    "limit",
    "replyTo",
    "seq",
];

/// Returns the most bytes of a body, for messages of at most so many bytes.
pub fn max_body_bytes(max_message_bytes: usize) -> usize {
    let content = max_message_bytes * MAX_ESCAPED_BYTES;
    (content + BODY_OVERHEAD_BYTES).max(MIN_BODY_BYTES)
}

/// The JSON of a request.
#[derive(Debug)]
pub struct Json(pub String);

impl Json {
    /// Reads a request of the contract; fields of others are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPayload`].
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        contract::parse(&self.0)
    }
}

impl FromRequest<Arc<Api>> for Json {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Refusal> {
        read_json(request, api.max_body_bytes).await
    }
}

/// Returns the most bytes of a request's body.
pub fn body_limit(api: &Api, request: &Request) -> usize {
    match request.uri().path().ends_with("/batch") {
        true => batch::MAX_BYTES,
        false => api.max_body_bytes,
    }
}

/// Waits until a request has arrived with all of its body.
///
/// # Errors
///
/// Status 413 for a body over the limit, 408 for one that does not arrive in time, 400 for one that breaks
/// off, and 503 when the server stops meanwhile.
pub async fn arrived(api: &Api, request: Request, limit: usize) -> Result<Request, Refusal> {
    let (parts, body) = request.into_parts();
    let body = tokio::select! {
        body = timeout(BODY_TIMEOUT, to_bytes(body, limit)) => body,
        () = api.chat.stopped() => return Err(Error::Unavailable.into()),
    };
    let Ok(body) = body else {
        let why = "the body did not arrive in time";
        return Err(Refusal::with(StatusCode::REQUEST_TIMEOUT, why));
    };
    match body {
        Ok(body) => Ok(Request::from_parts(parts, body.into())),
        Err(error) => Err(match error.into_inner().is::<LengthLimitError>() {
            true => too_large(limit),
            false => Error::InvalidPayload("the body breaks off".into()).into(),
        }),
    }
}

fn too_large(limit: usize) -> Refusal {
    let why = format!("the body must be at most {limit} bytes");
    Refusal::with(StatusCode::PAYLOAD_TOO_LARGE, &why)
}

/// Reads a body of JSON.
///
/// # Errors
///
/// Status 415 for a body of another type, 413 for one over the limit, and 400 for one that is no UTF-8.
pub async fn read_json(request: Request, limit: usize) -> Result<Json, Refusal> {
    if !is_json(&request) {
        let why = "content-type: must be application/json";
        return Err(Refusal::with(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let body = to_bytes(request.into_body(), limit).await;
    let body = body.map_err(|_| too_large(limit))?;
    let text = String::from_utf8(body.into());
    let text = text.map_err(|_| Error::InvalidPayload("the body must be UTF-8".into()))?;
    Ok(Json(text))
}

fn is_json(request: &Request) -> bool {
    let header = request.headers().get(CONTENT_TYPE);
    let kind = header.and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A request of the contract in a query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        contract::parse(&json_of(parts.uri.query().unwrap_or_default())).map(Self)
    }
}

/// Returns a query as the JSON of an object. A repeated field stays repeated.
fn json_of(query: &str) -> String {
    let fields = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| {
        let is_number = NUMBERS.contains(&&*name) && serde_json::from_str::<Number>(&value).is_ok();
        let value = match is_number {
            true => value.into_owned(),
            false => json!(value).to_string(),
        };
        format!("{}:{value}", json!(name))
    });
    format!("{{{}}}", Vec::from_iter(fields).join(","))
}

/// The user for whom a service acts.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct Actor {
    /// The user.
    user_id: Option<UserId>,
    /// The user as an operator.
    operator_id: Option<UserId>,
}

impl Actor {
    /// Returns the identity of the user, if one is named.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPayload`] when both fields name different users.
    pub fn identity(self) -> Result<Option<Identity>, Error> {
        match (self.user_id, self.operator_id) {
            (Some(user), Some(operator)) if user != operator => {
                let why = "operatorId: must be the userId, or stand alone";
                Err(Error::InvalidPayload(why.into()))
            }
            (_, Some(operator)) => Ok(Some(Identity::operator(operator))),
            (user, None) => Ok(user.map(Identity::user)),
        }
    }

    /// Returns the identity of the user.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPayload`] when the fields name different users, or none.
    pub fn required(self) -> Result<Identity, Error> {
        let missing = || Error::InvalidPayload("userId: is required".into());
        self.identity()?.ok_or_else(missing)
    }
}

/// The `Idempotency-Key` of a send, which is its `clientMessageId`:
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>.
#[derive(Debug)]
pub struct IdempotencyKey(Option<ClientMessageId>);

impl IdempotencyKey {
    /// Returns the key of a request that cannot have one.
    pub fn none() -> Self {
        Self(None)
    }

    /// Returns the message's own identifier, by the header and by the body.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPayload`] when they differ.
    pub fn or(self, body: Option<ClientMessageId>) -> Result<Option<ClientMessageId>, Error> {
        match (self.0, body) {
            (Some(key), Some(body)) if key != body => {
                let why = "clientMessageId: must be the Idempotency-Key, or stand alone";
                Err(Error::InvalidPayload(why.into()))
            }
            (key, body) => Ok(key.or(body)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let refused = |why: String| Error::InvalidPayload(format!("Idempotency-Key: {why}"));
        let mut headers = parts.headers.get_all("idempotency-key").iter();
        let Some(header) = headers.next() else {
            return Ok(Self(None));
        };
        if headers.next().is_some() {
            return Err(refused("is given twice".into()));
        }
        let text = str::from_utf8(header.as_bytes());
        let text = text.map_err(|_| refused("must be UTF-8".into()))?;
        let key = ClientMessageId::try_from(text).map_err(|error| refused(error.to_string()))?;
        Ok(Self(Some(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_becomes_an_object_whose_numbers_are_numbers() {
        for (query, json) in [
            ("", "{}"),
            ("roomId=5&limit=5", r#"{"roomId":"5","limit":5}"#),
            ("limit=5x", r#"{"limit":"5x"}"#),
            ("limit=&seq=-1", r#"{"limit":"","seq":-1}"#),
            ("limit=1}%2C%22a%22:2", r#"{"limit":"1},\"a\":2"}"#),
            ("roomId=a%2Fb+%C3%A9%26", r#"{"roomId":"a/b é&"}"#),
            ("roomId=a&roomId=b", r#"{"roomId":"a","roomId":"b"}"#),
            ("roomId", r#"{"roomId":""}"#),
        ] {
            assert_eq!(json_of(query), json, "{query}");
        }
    }

    #[test]
    fn a_body_has_room_for_the_largest_message() {
        assert_eq!(max_body_bytes(8_192), MIN_BODY_BYTES);
        assert!(max_body_bytes(1_048_576) > 6 * 1_048_576);
    }
}
