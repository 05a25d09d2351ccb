//! The state of a message besides its text: what it answers, what it carries, and what has changed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use super::{
    ids::{InvalidIdentifier, Seq, UserId, check_identifier},
    message::iso8601_millis,
    number::{WholeNumber, counter},
    visible,
};

/// The most kinds of reactions to a message.
pub const MAX_REACTIONS: usize = 20;
/// The most users named with a reaction; all are counted.
pub const MAX_REACTORS: usize = 20;
/// The most bytes of UTF-8 in a reaction.
pub const MAX_REACTION_BYTES: usize = 64;
/// The most bytes of a message's metadata, as JSON.
pub const MAX_METADATA_BYTES: usize = 4_096;
/// The most objects and arrays within each other in metadata: parsers limit the depth of a packet.
pub const MAX_METADATA_DEPTH: usize = 32;

counter! {
    /// A room's count of changes: 1, 2, 3, … in the order of their commits; 0 before the first.
    Revision
}

/// A kind of reaction, such as an emoji or the name of a picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Reaction(Arc<str>);

/// The reason why a text is no reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReaction {
    /// It is empty, or over [`MAX_REACTION_BYTES`].
    #[error("must be 1 to {MAX_REACTION_BYTES} bytes of UTF-8")]
    Length,
    /// Nothing of it can be seen.
    #[error("must not be blank: nothing of it can be seen")]
    Blank,
    /// It is unfit as an identifier is.
    #[error(transparent)]
    Unfit(InvalidIdentifier),
}

impl Reaction {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a text read from the log, checked when it was stored.
    pub(crate) fn from_store(text: String) -> Self {
        Self(text.into())
    }
}

impl TryFrom<String> for Reaction {
    type Error = InvalidReaction;

    fn try_from(text: String) -> Result<Self, InvalidReaction> {
        if !(1..=MAX_REACTION_BYTES).contains(&text.len()) {
            return Err(InvalidReaction::Length);
        }
        if visible::is_blank(&text) {
            return Err(InvalidReaction::Blank);
        }
        check_identifier(&text).map_err(InvalidReaction::Unfit)?;
        Ok(Self(text.into()))
    }
}

/// A JSON object of the sender's own, kept as its sender wrote it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Box<RawValue>")]
pub struct Metadata(Arc<RawValue>);

impl Metadata {
    /// Returns the JSON.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Returns true for an object without a field.
    pub fn is_empty(&self) -> bool {
        let inner = self.as_str().trim_matches(['{', '}']);
        inner.trim().is_empty()
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Metadata {}

impl TryFrom<Box<RawValue>> for Metadata {
    type Error = String;

    fn try_from(json: Box<RawValue>) -> Result<Self, String> {
        check_object(&json, MAX_METADATA_BYTES)?;
        Ok(Self(json.into()))
    }
}

/// Checks an object of a client's own.
///
/// # Errors
///
/// Its fault, for the client.
pub(super) fn check_object(json: &RawValue, max_bytes: usize) -> Result<(), String> {
    if json.get().len() > max_bytes {
        return Err(format!("must be at most {max_bytes} bytes of JSON"));
    }
    let value: Value = serde_json::from_str(json.get()).map_err(|error| error.to_string())?;
    if !value.is_object() {
        return Err("must be an object".into());
    }
    if depth(&value) > MAX_METADATA_DEPTH {
        return Err(format!(
            "must be at most {MAX_METADATA_DEPTH} objects and arrays deep"
        ));
    }
    Ok(())
}

fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(values) => values.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// The users with the same reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reactors {
    /// The reaction.
    pub reaction: Reaction,
    /// The number of users.
    pub count: u64,
    /// The first of them in the order of their names, at most [`MAX_REACTORS`].
    pub user_ids: Vec<UserId>,
}

/// The state of a message besides its text. A message has none unless something of it is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// The sender's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// The newest change; [`Revision::ZERO`] before the first.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: Revision,
    /// The time of the newest edit.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_time"
    )]
    pub edited_at: Option<DateTime<Utc>>,
    /// The time of the deletion.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_time"
    )]
    pub deleted_at: Option<DateTime<Utc>>,
    /// True while the message is pinned to its room.
    #[serde(skip_serializing_if = "is_default")]
    pub pinned: bool,
    /// The reactions, at most [`MAX_REACTIONS`], in the order of their first users.
    #[serde(skip_serializing_if = "is_default")]
    pub reactions: Vec<Reactors>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Serializes a time that may be missing, in the form for clients.
pub(crate) fn optional_time<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => iso8601_millis(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: &str) -> Result<Metadata, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn metadata_is_an_object_kept_as_it_was_written() {
        let json = r#"{"b": 1.0,"a":[18446744073709551616, "é"]}"#;
        assert_eq!(metadata(json).unwrap().as_str(), json);
        for bad in ["[]", "1", "null", r#""{}""#] {
            assert!(metadata(bad).is_err(), "{bad}");
        }
        let sized = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
        assert!(metadata(&sized(MAX_METADATA_BYTES)).is_ok());
        assert!(metadata(&sized(MAX_METADATA_BYTES + 1)).is_err());
        let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(metadata(&deep(MAX_METADATA_DEPTH)).is_ok());
        assert!(metadata(&deep(MAX_METADATA_DEPTH + 1)).is_err());
    }

    #[test]
    fn an_empty_object_is_empty_however_it_is_written() {
        for (json, is_empty) in [("{}", true), ("{ \n }", true), (r#"{"":{}}"#, false)] {
            assert_eq!(metadata(json).unwrap().is_empty(), is_empty, "{json}");
        }
    }

    #[test]
    fn a_state_is_the_same_after_a_way_through_the_log() {
        let state = State {
            reply_to: Some(1.try_into().unwrap()),
            metadata: Some(metadata(r#"{"a":1}"#).unwrap()),
            revision: 3.try_into().unwrap(),
            edited_at: Some(DateTime::from_timestamp_millis(1_000).unwrap()),
            deleted_at: None,
            pinned: true,
            reactions: vec![Reactors {
                reaction: "👍🏽".to_owned().try_into().unwrap(),
                count: 1,
                user_ids: vec!["ann".try_into().unwrap()],
            }],
        };
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(
            json,
            r#"{"replyTo":1,"metadata":{"a":1},"revision":3,"editedAt":"1970-01-01T00:00:01.000Z","pinned":true,"reactions":[{"reaction":"👍🏽","count":1,"userIds":["ann"]}]}"#
        );
        assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state);
        assert_eq!(serde_json::to_string(&State::default()).unwrap(), "{}");
    }

    #[test]
    fn a_reaction_is_short_and_visible() {
        let parse = |text: &str| Reaction::try_from(text.to_owned());
        for good in ["👍", "👩‍👩‍👧", ":shipit:", &"x".repeat(MAX_REACTION_BYTES)] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            "\u{200B}",
            "a\nb",
            &"x".repeat(MAX_REACTION_BYTES + 1),
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
