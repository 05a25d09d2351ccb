//! The one error of the domain, with the stable codes that clients see.

use std::{borrow::Cow, time::Duration};

use serde::Serialize;
use uuid::Uuid;

/// The most characters of a parser's words that an error repeats: it may quote all that it was
/// given.
pub const MAX_CAUSE_CHARS: usize = 120;

/// Why a request was refused or could not be carried out.
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
    /// No such event in the contract.
    #[error("there is no event {0:?}")]
    UnknownEvent(String),
    /// The connection has not joined the room that it speaks of.
    #[error("join the room first")]
    NotInRoom,
    /// The same for a message: repeated once the room is joined, it is stored.
    #[error("join the room first, then send again")]
    NotInRoomYet,
    /// No token, or one that does not count; the text says why.
    #[error("{0}")]
    Unauthorized(String),
    /// The token's time is over.
    #[error("the token is out of date")]
    TokenExpired,
    /// Not for this identity.
    #[error("{0}")]
    Forbidden(String),
    /// Too many requests at once.
    #[error("too many requests at once")]
    RateLimited {
        /// How long to wait before trying again.
        retry_after: Duration,
    },
    /// The database did not answer in time, or the server is stopping. Nothing acknowledged was
    /// lost. A message so refused may be stored nevertheless; repeated under its `clientMessageId`,
    /// it is stored once.
    #[error("the server cannot store or read messages right now; try again")]
    Unavailable,
    /// A bug. What happened is in the log, under this id.
    #[error("internal error {0}")]
    Internal(Uuid),
}

impl Error {
    /// The code that clients may rely on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidPayload(_) => "INVALID_PAYLOAD",
            Self::MessageTooLarge { .. } => "MESSAGE_TOO_LARGE",
            Self::UnknownEvent(_) => "UNKNOWN_EVENT",
            Self::NotInRoom | Self::NotInRoomYet => "NOT_IN_ROOM",
            Self::Unauthorized(_) => "UNAUTHORIZED",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal(_) => "INTERNAL",
        }
    }

    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::NotInRoomYet | Self::RateLimited { .. } | Self::Unavailable
        )
    }

    /// How long to wait before trying again, where the server can say.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// Logs `cause` under a new id and gives the error that carries only the id.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let id = Uuid::now_v7();
        tracing::error!(%id, %cause, "internal error");
        Self::Internal(id)
    }
}

/// An error, as clients get it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody<'a> {
    code: &'a str,
    message: String,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl<'a> From<&'a Error> for ErrorBody<'a> {
    fn from(error: &'a Error) -> Self {
        let retry_after = error.retry_after();
        Self {
            code: error.code(),
            message: error.to_string(),
            retryable: error.retryable(),
            retry_after_ms: retry_after.map(whole_millis),
        }
    }
}

/// Rounded up, as who waits so long has waited long enough; not 0, which programs take for nothing
/// said.
fn whole_millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000))
        .unwrap_or(u64::MAX)
        .max(1)
}

/// A text, cut to so many characters.
pub(crate) fn shortened(text: &str, max_chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_whole_milliseconds_that_suffice() {
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
