//! Messages, from a draft to the JSON that clients get.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::{
    ids::{ClientMessageId, RoomId, Seq, UserId},
    visible,
};
use crate::error::Error;

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
