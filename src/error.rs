//! The domain's one error, its stable codes, and its form for clients.

use std::{borrow::Cow, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

/// The most characters of a parser's text repeated in an error: a parser may quote all of its
/// input.
pub const MAX_CAUSE_CHARS: usize = 120;

/// The stable codes, as [`Error::code`] returns them.
pub const CODES: [&str; 12] = [
    "INVALID_PAYLOAD",
    "MESSAGE_TOO_LARGE",
    "UNKNOWN_EVENT",
    "NOT_IN_ROOM",
    "UNAUTHORIZED",
    "TOKEN_EXPIRED",
    "FORBIDDEN",
    "NOT_FOUND",
    "CONFLICT",
    "RATE_LIMITED",
    "UNAVAILABLE",
    "INTERNAL",
];

/// The reason for refusing a request or failing to carry it out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field is missing or wrong; the text names it.
    #[error("{0}")]
    InvalidPayload(String),
    /// The message's body is over the limit, in bytes of UTF-8.
    #[error("message: must be at most {limit} bytes")]
    MessageTooLarge {
        /// The most bytes that a body may have.
        limit: usize,
    },
    /// The contract has no such event.
    #[error("there is no event {0:?}")]
    UnknownEvent(String),
    /// The client has not joined the room of its request.
    #[error("join the room first")]
    NotInRoom,
    /// The client has not joined its message's room; a repeat after joining is stored.
    #[error("join the room first, then send again")]
    NotInRoomYet,
    /// The token is missing or invalid; the text says why.
    #[error("{0}")]
    Unauthorized(String),
    /// The token has expired.
    #[error("the token has expired")]
    TokenExpired,
    /// The request is not open to this identity.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such message; the text names the field.
    #[error("{0}")]
    NotFound(String),
    /// Somebody was faster.
    #[error("somebody was faster: see the present state")]
    Conflict(Current),
    /// Too many requests at once.
    #[error("too many requests at once")]
    RateLimited {
        /// The wait before a retry.
        retry_after: Duration,
    },
    /// The database did not answer in time, or the server is stopping. Nothing acknowledged was
    /// lost. The refused message may be stored nevertheless; repeated under its `clientMessageId`,
    /// it is stored once.
    #[error("the server cannot store or read messages right now; try again")]
    Unavailable,
    /// A bug; the log has its details under this id.
    #[error("internal error {0}")]
    Internal(Uuid),
}

impl Error {
    /// Returns the stable code for clients.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidPayload(_) => "INVALID_PAYLOAD",
            Self::MessageTooLarge { .. } => "MESSAGE_TOO_LARGE",
            Self::UnknownEvent(_) => "UNKNOWN_EVENT",
            Self::NotInRoom | Self::NotInRoomYet => "NOT_IN_ROOM",
            Self::Unauthorized(_) => "UNAUTHORIZED",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::NotFound(_) => "NOT_FOUND",
            Self::Conflict(_) => "CONFLICT",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal(_) => "INTERNAL",
        }
    }

    /// Returns true when the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::NotInRoomYet | Self::RateLimited { .. } | Self::Unavailable
        )
    }

    /// Returns the wait before a retry, where the server knows it.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// Returns the present state, for the loser of a race.
    fn current(&self) -> Option<&Current> {
        match self {
            Self::Conflict(current) => Some(current),
            _ => None,
        }
    }

    /// Logs `cause` under a new id, and returns an error with only the id.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let id = Uuid::now_v7();
        tracing::error!(%id, %cause, "internal error");
        Self::Internal(id)
    }
}

/// The present state of the object of a race, as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Current(Arc<RawValue>);

impl Current {
    /// Encodes a state.
    pub fn new(state: &impl Serialize) -> Self {
        let json = to_raw_value(state).expect("texts, numbers and times are JSON");
        Self(json.into())
    }
}

impl PartialEq for Current {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Current {}

/// An error's form for clients.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody<'a> {
    code: &'a str,
    message: String,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<&'a Current>,
}

impl<'a> From<&'a Error> for ErrorBody<'a> {
    fn from(error: &'a Error) -> Self {
        let retry_after = error.retry_after();
        Self {
            code: error.code(),
            message: error.to_string(),
            retryable: error.is_retryable(),
            retry_after_ms: retry_after.map(whole_millis),
            current: error.current(),
        }
    }
}

/// Rounds up, so that a client obeying the number has waited long enough. Never 0: programs take 0
/// for an absent value.
fn whole_millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000))
        .unwrap_or(u64::MAX)
        .max(1)
}

/// Cuts a text to at most `max_chars` characters.
pub(crate) fn shortened(text: &str, max_chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an error of the variant after that of another one: a new variant has its place here.
    fn after(error: &Error) -> Option<Error> {
        let text = String::new;
        Some(match error {
            Error::InvalidPayload(_) => Error::MessageTooLarge { limit: 1 },
            Error::MessageTooLarge { .. } => Error::UnknownEvent(text()),
            Error::UnknownEvent(_) => Error::NotInRoom,
            Error::NotInRoom => Error::NotInRoomYet,
            Error::NotInRoomYet => Error::Unauthorized(text()),
            Error::Unauthorized(_) => Error::TokenExpired,
            Error::TokenExpired => Error::Forbidden(text()),
            Error::Forbidden(_) => Error::NotFound(text()),
            Error::NotFound(_) => Error::Conflict(Current::new(&())),
            Error::Conflict(_) => Error::RateLimited {
                retry_after: Duration::ZERO,
            },
            Error::RateLimited { .. } => Error::Unavailable,
            Error::Unavailable => Error::Internal(Uuid::nil()),
            Error::Internal(_) => return None,
        })
    }

    #[test]
    fn the_list_of_codes_is_complete() {
        let first = Some(Error::InvalidPayload(String::new()));
        let mut codes: Vec<_> = std::iter::successors(first, after)
            .map(|error| error.code())
            .collect();
        codes.dedup();
        assert_eq!(codes, CODES);
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_milliseconds() {
        for (nanos, millis) in [
            (0, 1),
            (1, 1),
            (1_000_000, 1),
            (1_000_001, 2),
            (19_999_999, 20),
        ] {
            assert_eq!(whole_millis(Duration::from_nanos(nanos)), millis);
        }
    }
}
