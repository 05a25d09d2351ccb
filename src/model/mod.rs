//! Values parsed at the edge, so that everything inside can trust them.

mod entry;
mod number;
mod signal;
mod visible;

use std::{fmt, sync::Arc};

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

pub use self::{entry::Outcome, number::WholeNumber, signal::Signal};
use crate::error::Error;

/// The most bytes of UTF-8 that an identifier may have.
pub const MAX_IDENTIFIER_BYTES: usize = 128;

/// The text is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentifier {
    /// It is empty, or over [`MAX_IDENTIFIER_BYTES`].
    #[error("must be 1 to {MAX_IDENTIFIER_BYTES} bytes of UTF-8")]
    Length,
    /// It has a control character.
    #[error("must be without control characters")]
    Control,
    /// It was cut in the middle of a character, or read in the wrong encoding.
    #[error("must be without half emoji and other damaged characters (U+FFFD)")]
    Damaged,
    /// It has a space at an end.
    #[error("must not begin or end with a space")]
    Space,
    /// It would only look like another one.
    #[error("must be without U+{:04X}, which cannot be seen or looks like a space", u32::from(*.0))]
    Disguise(char),
}

/// Checks a text that programs compare.
fn check_identifier(text: &str) -> Result<(), InvalidIdentifier> {
    if !(1..=MAX_IDENTIFIER_BYTES).contains(&text.len()) {
        return Err(InvalidIdentifier::Length);
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidIdentifier::Control);
    }
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(InvalidIdentifier::Damaged);
    }
    Ok(())
}

/// Checks a text that people read, too: two that are not the same are not to look the same by what
/// cannot be seen.
fn check_name(text: &str) -> Result<(), InvalidIdentifier> {
    check_identifier(text)?;
    if let Some(c) = visible::disguise(text) {
        return Err(InvalidIdentifier::Disguise(c));
    }
    if text.starts_with(visible::is_space) || text.ends_with(visible::is_space) {
        return Err(InvalidIdentifier::Space);
    }
    Ok(())
}

/// A text that was checked when it was stored, perhaps by a server that took more than this one.
pub(crate) trait FromStore {
    /// Takes it as it is.
    fn from_store(text: String) -> Self;
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as it came.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidIdentifier;

            fn try_from(text: String) -> Result<Self, InvalidIdentifier> {
                $check(&text)?;
                Ok(Self(text.into()))
            }
        }

        impl FromStore for $name {
            fn from_store(text: String) -> Self {
                Self(text.into())
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidIdentifier;

            fn try_from(text: &str) -> Result<Self, InvalidIdentifier> {
                text.to_owned().try_into()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// A room's name.
    RoomId, check_name
}
identifier! {
    /// Who speaks; the same on every tab and device of a person.
    UserId, check_name
}
identifier! {
    /// The sender's own name for a message, by which a repeated send is known.
    ClientMessageId, check_identifier
}

/// A message's place in its room: 1, 2, 3, …; 0 stands before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "WholeNumber")]
pub struct Seq(i64);

impl Seq {
    /// Before the first message of a room.
    pub const ZERO: Self = Self(0);
    /// After every message of a room.
    pub const END: Self = Self(i64::MAX);

    /// The place after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The place before this one; nothing is before [`Seq::ZERO`].
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1).max(0))
    }

    /// How many places lie after `earlier`, up to and with this one; 0 when `earlier` is not
    /// earlier.
    pub fn since(self, earlier: Self) -> usize {
        usize::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// The number, as databases and clients know it.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<WholeNumber> for Seq {
    type Error = &'static str;

    fn try_from(number: WholeNumber) -> Result<Self, Self::Error> {
        i64::try_from(number.0)
            .map(Self)
            .map_err(|_| "is too large")
    }
}

impl TryFrom<i64> for Seq {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        if number >= 0 {
            Ok(Self(number))
        } else {
            Err("must not be negative")
        }
    }
}

/// What a message says: something that can be seen, no NUL, no longer than the server allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Body(Arc<str>);

impl Body {
    /// Accepts a text of at most `limit` bytes of UTF-8.
    ///
    /// Errors: [`Error::MessageTooLarge`] over the limit, [`Error::InvalidPayload`] when nothing
    /// can be seen, or with a NUL (which Postgres cannot store in a text).
    pub fn parse(text: &str, limit: usize) -> Result<Self, Error> {
        if text.len() > limit {
            return Err(Error::MessageTooLarge { limit });
        }
        if visible::is_blank(text) {
            return Err(Error::InvalidPayload(
                "message: must not be blank: nothing of it can be seen".into(),
            ));
        }
        if text.contains('\0') {
            return Err(Error::InvalidPayload(
                "message: must not contain NUL".into(),
            ));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A text that was checked when it was stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text.into())
    }
}

/// A message on its way into the log: all of it but the `seq`.
///
/// The id is given before the first attempt to store it, so an attempt with an unknown outcome can
/// be repeated without storing it twice.
#[derive(Debug, Clone)]
pub struct Draft {
    /// UUID version 7.
    pub id: Uuid,
    /// The room it goes to.
    pub room_id: RoomId,
    /// Its author.
    pub user_id: UserId,
    /// The author again, when speaking as an operator.
    pub operator_id: Option<UserId>,
    /// What it says.
    pub body: Body,
    /// When the server took it, in whole milliseconds.
    pub timestamp: DateTime<Utc>,
    /// The sender's name for it.
    pub client_message_id: Option<ClientMessageId>,
}

impl Draft {
    /// Gives a new message its id and time.
    pub fn new(
        room_id: RoomId,
        user_id: UserId,
        operator_id: Option<UserId>,
        body: Body,
        client_message_id: Option<ClientMessageId>,
    ) -> Self {
        Self {
            id: Uuid::now_v7(),
            room_id,
            user_id,
            operator_id,
            body,
            timestamp: Utc::now().trunc_subsecs(3),
            client_message_id,
        }
    }

    /// The message that the log holds once it has given the draft a place.
    pub fn at(&self, seq: Seq) -> Message {
        let draft = self.clone();
        Message {
            id: draft.id,
            room_id: draft.room_id,
            seq,
            user_id: draft.user_id,
            operator_id: draft.operator_id,
            body: draft.body,
            timestamp: draft.timestamp,
            client_message_id: draft.client_message_id,
        }
    }
}

/// A message as the log holds it and as every client gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// UUID version 7.
    pub id: Uuid,
    /// The room it was said in.
    pub room_id: RoomId,
    /// Its place in the room.
    pub seq: Seq,
    /// Its author.
    pub user_id: UserId,
    /// The author again, when speaking as an operator.
    pub operator_id: Option<UserId>,
    /// What it says.
    #[serde(rename = "message")]
    pub body: Body,
    /// When the server took it, in whole milliseconds.
    #[serde(serialize_with = "iso8601_millis")]
    pub timestamp: DateTime<Utc>,
    /// The sender's name for it.
    pub client_message_id: Option<ClientMessageId>,
}

/// A time as clients get it.
pub(crate) fn iso8601_millis<S: Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// A message on its way to clients, and as rooms keep it: its JSON, which is written once, however
/// many get it and however often.
///
/// A join's answer takes it from there (`bench/`, workload `joins`), and the ack and the fan-out of
/// a send share it.
#[derive(Debug, Clone)]
pub struct EncodedMessage {
    /// As in the log.
    pub id: Uuid,
    /// The room it was said in.
    pub room_id: RoomId,
    /// Its place in the room.
    pub seq: Seq,
    json: Arc<RawValue>,
}

impl EncodedMessage {
    /// The message, as clients get it.
    pub fn json(&self) -> &str {
        self.json.get()
    }
}

impl From<&Message> for EncodedMessage {
    fn from(message: &Message) -> Self {
        let json = to_raw_value(message).expect("texts, numbers and times are JSON");
        Self {
            id: message.id,
            room_id: message.room_id.clone(),
            seq: message.seq,
            json: json.into(),
        }
    }
}

impl Serialize for EncodedMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// A send's outcome, which is also the body of its ack.
#[derive(Debug, Clone, Serialize)]
pub struct Stored<M> {
    /// The message of this send, or of the first send with the same `clientMessageId`.
    pub message: M,
    /// True when an earlier send stored it.
    pub duplicate: bool,
}

impl Stored<Arc<Message>> {
    /// Encodes the message for clients.
    pub fn encode(&self) -> Stored<EncodedMessage> {
        Stored {
            message: EncodedMessage::from(&*self.message),
            duplicate: self.duplicate,
        }
    }
}
