//! Patterns of rooms.

use std::str::FromStr;

use serde::Deserialize;

use super::ids::{InvalidIdentifier, RoomId};

/// A room's id, or a prefix of ids, with `*` at its end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RoomPattern(String);

impl RoomPattern {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true for a room with such an id.
    pub fn matches(&self, room: &RoomId) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => room.as_str().starts_with(prefix),
            None => room.as_str() == self.0,
        }
    }
}

/// A list of patterns, with commas between them; blanks around them do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomPatterns(Vec<RoomPattern>);

impl RoomPatterns {
    /// Returns true when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true for a room with an id of one of the patterns.
    pub fn match_any(&self, room: &RoomId) -> bool {
        self.0.iter().any(|pattern| pattern.matches(room))
    }
}

/// The reason why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It has an asterisk before its end.
    #[error("a pattern has `*` at its end only")]
    Asterisk,
    /// No room has such an id.
    #[error("a pattern {0}")]
    Identifier(InvalidIdentifier),
}

impl FromStr for RoomPatterns {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let patterns = text.split(',').map(str::trim);
        let patterns = patterns.filter(|pattern| !pattern.is_empty());
        let checked = patterns.map(|pattern| {
            let id = pattern.strip_suffix('*').unwrap_or(pattern);
            if id.contains('*') {
                return Err(InvalidPattern::Asterisk);
            }
            if !id.is_empty() {
                RoomId::try_from(id).map_err(InvalidPattern::Identifier)?;
            }
            Ok(RoomPattern(pattern.into()))
        });
        checked.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_patterns_names_rooms_and_beginnings_of_rooms() {
        let patterns: RoomPatterns = "support-*, sales,,".parse().unwrap();
        let matched = |room: &str| patterns.match_any(&room.try_into().unwrap());
        assert!(matched("support-1") && matched("support-") && matched("sales"));
        assert!(!matched("sales-1") && !matched("support") && !matched("other"));
        assert!(RoomPatterns::default().is_empty());
        let long = "x".repeat(129);
        for bad in ["a*b", "*a", "a**", "a\u{0}", &long] {
            assert!(bad.parse::<RoomPatterns>().is_err(), "{bad}");
        }
    }
}
