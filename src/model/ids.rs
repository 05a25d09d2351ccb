//! Identifiers of rooms, users and messages, and places in a room's log.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};

use super::{
    number::{WholeNumber, counter},
    visible,
};

/// The most bytes of UTF-8 in an identifier.
pub const MAX_IDENTIFIER_BYTES: usize = 128;

/// The reason why a text is no identifier.
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
    /// It has an invisible character, and would look like another identifier.
    #[error("must be without U+{:04X}, which cannot be seen or looks like a space", u32::from(*.0))]
    Disguise(char),
}

/// Checks an identifier for programs.
pub(super) fn check_identifier(text: &str) -> Result<(), InvalidIdentifier> {
    if !(1..=MAX_IDENTIFIER_BYTES).contains(&text.len()) {
        return Err(InvalidIdentifier::Length);
    }
    check_characters(text)
}

/// Checks the characters of a text on one line.
pub(super) fn check_characters(text: &str) -> Result<(), InvalidIdentifier> {
    if text.chars().any(char::is_control) {
        return Err(InvalidIdentifier::Control);
    }
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(InvalidIdentifier::Damaged);
    }
    Ok(())
}

/// Checks an identifier for people, too: two different ones must not look the same because of
/// invisible characters.
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

/// An identifier read from the log: checked when it was stored, perhaps by a server with laxer
/// rules.
pub(crate) trait FromStore {
    /// Takes the text without a check.
    fn from_store(text: String) -> Self;
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the identifier as its client wrote it.
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
    /// A room's identifier.
    RoomId, check_name
}
identifier! {
    /// A user's identifier, the same on all tabs and devices of a person.
    UserId, check_name
}
identifier! {
    /// The sender's own identifier of a message; a repeated send has the same one.
    ClientMessageId, check_identifier
}
identifier! {
    /// A call's identifier, made by the client that starts it.
    CallId, check_identifier
}
identifier! {
    /// The identifier of a client's part in calls, made by the client: the same after a reconnect or a reload.
    PartyId, check_identifier
}

identifier! {
    /// The kind of a client's own event.
    SignalType, check_identifier
}

counter! {
    /// A message's place in its room: 1, 2, 3, …; 0 stands before the first.
    Seq
}

impl Seq {
    /// After every message of a room.
    pub const END: Self = Self(i64::MAX);

    /// Returns the previous place, at least [`Seq::ZERO`].
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1).max(0))
    }
}
