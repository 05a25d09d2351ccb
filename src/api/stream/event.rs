//! Events on the wire, and their identifiers.

use std::{fmt, fmt::Write, str::FromStr};

use axum::http::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, de};

use crate::{
    error::Error,
    model::{Revision, Seq},
};

/// The time after which a client whose stream has ended comes back.
const RETRY_MS: u32 = 2_000;

/// A reader's place in a room: it has all messages up to `seq`, and all changes up to `revision`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventId {
    pub seq: Seq,
    pub revision: Revision,
}

impl EventId {
    /// Returns the identifier that a client has sent as it comes back.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPayload`].
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let Some(header) = headers.get("last-event-id").filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        let id = header.to_str().ok().and_then(|id| id.parse().ok());
        let why = || Error::InvalidPayload(format!("Last-Event-ID: {MALFORMED}"));
        id.ok_or_else(why).map(Some)
    }
}

/// The complaint about an identifier that no event has.
const MALFORMED: &str = "must be the id of an event, such as 12.3";

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq.get(), self.revision.get())
    }
}

impl FromStr for EventId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i64>().ok().filter(|_| is_plain)
        };
        let (seq, revision) = text.split_once('.').ok_or(MALFORMED)?;
        let seq = number(seq).and_then(|seq| Seq::try_from(seq).ok());
        let revision = number(revision).and_then(|revision| Revision::try_from(revision).ok());
        match (seq, revision) {
            (Some(seq), Some(revision)) => Ok(Self { seq, revision }),
            _ => Err(MALFORMED),
        }
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Events, ready to be sent.
#[derive(Debug, Default)]
pub struct Frames(String);

impl Frames {
    /// Returns the first lines of a stream.
    pub fn opening() -> Bytes {
        format!("retry: {RETRY_MS}\n\n").into()
    }

    /// Returns a comment, which shows that the stream is alive.
    pub fn heartbeat() -> Bytes {
        Bytes::from_static(b":\n\n")
    }

    /// Adds an event. JSON has no line breaks, so its data is one line.
    pub fn add(&mut self, id: Option<EventId>, name: &str, json: &str) {
        if let Some(id) = id {
            writeln!(self.0, "id: {id}").ok();
        }
        writeln!(self.0, "event: {name}\ndata: {json}\n").ok();
    }

    /// Returns the events, or none if there are none.
    pub fn bytes(self) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_read_as_it_is_written_and_no_other_text_is_one() {
        let id: EventId = "12.3".parse().unwrap();
        assert_eq!((id.seq.get(), id.revision.get()), (12, 3));
        assert_eq!(id.to_string(), "12.3");
        for bad in [
            "",
            "12",
            ".",
            "12.",
            ".3",
            "-1.3",
            "+1.3",
            "1.2.3",
            "1,2",
            " 1.2",
            "9223372036854775808.0",
        ] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }
}
