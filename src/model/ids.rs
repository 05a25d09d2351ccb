//! The names of rooms, users and messages, and places in a room's log.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};

use super::{number::WholeNumber, visible};

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
