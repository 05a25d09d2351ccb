//! Messages, from the draft to the JSON for clients.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::{
    conversation::Speaker,
    ids::{ClientMessageId, RoomId, Seq, UserId},
    state::{Metadata, Revision, State},
    visible,
};
use crate::error::Error;

/// A message's text: visible, without NUL, within the server's limit of length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Body(Arc<str>);

impl Body {
    /// Parses a text of at most `limit` bytes of UTF-8.
    ///
    /// # Errors
    ///
    /// [`Error::MessageTooLarge`] over the limit; [`Error::InvalidPayload`] when nothing of the
    /// text can be seen, or with a NUL, as Postgres cannot store one in a text.
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

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a text read from the log, checked when it was stored.
    pub(crate) fn from_store(text: String) -> Self {
        Self(text.into())
    }

    /// Returns the text of a deleted message.
    pub(crate) fn erased() -> Self {
        Self("".into())
    }
}

/// A message on its way into the log, complete but for the `seq`.
///
/// A draft has its id before the first attempt to store it, so that an attempt with an unknown
/// outcome can be retried without storing the message twice.
#[derive(Debug, Clone)]
pub struct Draft {
    /// UUID version 7.
    pub id: Uuid,
    /// The message's room.
    pub room_id: RoomId,
    /// Its author.
    pub user_id: UserId,
    /// The author again, when acting as an operator.
    pub operator_id: Option<UserId>,
    /// Its text.
    pub body: Body,
    /// The time at which the server accepted it, in whole milliseconds.
    pub timestamp: DateTime<Utc>,
    /// The sender's own identifier of it.
    pub client_message_id: Option<ClientMessageId>,
    /// The message that it answers.
    pub reply_to: Option<Seq>,
    /// The sender's own data.
    pub metadata: Option<Metadata>,
    /// The author's part in the room's conversation; none in a room without conversations.
    pub speaker: Option<Speaker>,
}

impl Draft {
    /// Returns a draft with a new id and the present time.
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
            reply_to: None,
            metadata: None,
            speaker: None,
        }
    }

    /// Returns the draft's size in bytes of text.
    pub fn size(&self) -> usize {
        let metadata = self.metadata.as_ref();
        self.body.as_str().len() + metadata.map_or(0, |json| json.as_str().len())
    }

    /// Moves the time of acceptance to the present.
    #[must_use]
    pub fn accepted_now(mut self) -> Self {
        self.timestamp = Utc::now().trunc_subsecs(3);
        self
    }

    /// Returns true for a draft with a text and nothing else.
    pub fn is_plain(&self) -> bool {
        self.reply_to.is_none() && self.metadata.is_none()
    }

    /// Returns true for a draft that changes nothing but the log.
    pub fn is_alone(&self) -> bool {
        self.is_plain() && self.speaker.is_none()
    }

    /// Returns the state of the draft's message besides its text.
    fn state(&self) -> Option<Box<State>> {
        (!self.is_plain()).then(|| {
            Box::new(State {
                reply_to: self.reply_to,
                metadata: self.metadata.clone(),
                ..State::default()
            })
        })
    }

    /// Returns the draft's message at a place in the log.
    pub fn at(&self, seq: Seq) -> Message {
        let (draft, state) = (self.clone(), self.state());
        Message {
            id: draft.id,
            room_id: draft.room_id,
            seq,
            user_id: draft.user_id,
            operator_id: draft.operator_id,
            body: draft.body,
            timestamp: draft.timestamp,
            client_message_id: draft.client_message_id,
            state,
        }
    }
}

/// A message, as in the log and as sent to every client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// UUID version 7.
    pub id: Uuid,
    /// The message's room.
    pub room_id: RoomId,
    /// Its place in the room.
    pub seq: Seq,
    /// Its author.
    pub user_id: UserId,
    /// The author again, when acting as an operator.
    pub operator_id: Option<UserId>,
    /// Its text.
    pub body: Body,
    /// The time at which the server accepted it, in whole milliseconds.
    pub timestamp: DateTime<Utc>,
    /// The sender's own identifier of it.
    pub client_message_id: Option<ClientMessageId>,
    /// Its state besides the text; none for a message that has only a text and never changed.
    pub state: Option<Box<State>>,
}

/// The JSON of a message without a state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plain<'a> {
    id: Uuid,
    room_id: &'a RoomId,
    seq: Seq,
    user_id: &'a UserId,
    operator_id: &'a Option<UserId>,
    message: &'a Body,
    #[serde(serialize_with = "iso8601_millis")]
    timestamp: &'a DateTime<Utc>,
    client_message_id: &'a Option<ClientMessageId>,
}

/// The JSON of a message with a state.
#[derive(Serialize)]
struct Stateful<'a> {
    #[serde(flatten)]
    plain: Plain<'a>,
    #[serde(flatten)]
    state: &'a State,
}

/// Flattening has a cost, so plain messages go without.
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plain = Plain {
            id: self.id,
            room_id: &self.room_id,
            seq: self.seq,
            user_id: &self.user_id,
            operator_id: &self.operator_id,
            message: &self.body,
            timestamp: &self.timestamp,
            client_message_id: &self.client_message_id,
        };
        match &self.state {
            None => plain.serialize(serializer),
            Some(state) => Stateful { plain, state }.serialize(serializer),
        }
    }
}

impl Message {
    /// Returns the message's newest change.
    pub fn revision(&self) -> Revision {
        let state = self.state.as_ref();
        state.map_or(Revision::ZERO, |state| state.revision)
    }

    /// Returns the message that it answers.
    pub fn reply_to(&self) -> Option<Seq> {
        self.state.as_ref()?.reply_to
    }

    /// Returns true while the message is pinned to its room.
    pub fn is_pinned(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.pinned)
    }

    /// Returns true once the message is deleted.
    pub fn is_deleted(&self) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| state.deleted_at.is_some())
    }
}

/// Serializes a time in the form for clients.
pub(crate) fn iso8601_millis<S: Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// A message's JSON, as rooms keep it and clients get it. It is written once, however many clients
/// get it and however often.
///
/// The answers to joins take it from there (`bench/`, workload `joins`), and a send's ack and
/// fan-out share it.
#[derive(Debug, Clone)]
pub struct EncodedMessage {
    /// The message's id.
    pub id: Uuid,
    /// The message's room.
    pub room_id: RoomId,
    /// Its place in the room.
    pub seq: Seq,
    /// Its newest change.
    pub revision: Revision,
    json: Arc<RawValue>,
}

impl EncodedMessage {
    /// Returns the message's JSON.
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
            revision: message.revision(),
            json: json.into(),
        }
    }
}

impl Serialize for EncodedMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// A send's outcome, and the body of its ack.
#[derive(Debug, Clone, Serialize)]
pub struct Stored<M> {
    /// The message of this send, or of the first one with the same `clientMessageId`.
    pub message: M,
    /// True when an earlier send stored it.
    pub duplicate: bool,
}

/// A change's outcome, and the body of its ack.
#[derive(Debug, Clone, Serialize)]
pub struct Changed<M> {
    /// The message in its present state.
    pub message: M,
    /// False when the message was in the wanted state already.
    pub changed: bool,
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

impl Changed<Arc<Message>> {
    /// Encodes the message for clients.
    pub fn encode(&self) -> Changed<EncodedMessage> {
        Changed {
            message: EncodedMessage::from(&*self.message),
            changed: self.changed,
        }
    }
}
