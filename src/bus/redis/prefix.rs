//! The prefix of a chat's names on a Redis.

use std::{fmt, str::FromStr};

/// The most bytes of a prefix.
const MAX_BYTES: usize = 64;

/// The beginning of all names of a chat's channel and keys, so that chats can share a Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Default for Prefix {
    fn default() -> Self {
        Self("parlor".to_owned())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.is_empty() || text.len() > MAX_BYTES || !text.chars().all(is_plain) {
            return Err("1 to 64 letters and digits of ASCII, `-`, `_` and `.`");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_short_and_plain() {
        for good in ["parlor", "shop-2.chat_a", &"x".repeat(MAX_BYTES)] {
            assert_eq!(good.parse::<Prefix>().unwrap().to_string(), good);
        }
        for bad in ["", "a:b", "a b", "{a}", "é", &"x".repeat(MAX_BYTES + 1)] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }
}
