//! Questions, and their JSON.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::model::{Body, ClientMessageId, Metadata, RoomId, Seq, UserId, iso8601_millis};

/// The type of a question.
const TYPE: &str = "message.before";

/// A message that is not stored yet, or an edit.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The author.
    pub user_id: &'a UserId,
    /// The author again, when acting as an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_id: Option<&'a UserId>,
    /// The text.
    pub message: &'a Body,
    /// The sender's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<&'a Metadata>,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// The sender's own identifier of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<&'a ClientMessageId>,
    /// The edited message; none for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
}

/// The JSON of a question.
#[derive(Serialize)]
struct Envelope<'a> {
    r#type: &'static str,
    #[serde(serialize_with = "iso8601_millis")]
    timestamp: &'a DateTime<Utc>,
    data: &'a Question<'a>,
}

impl Question<'_> {
    /// Encodes the question, as asked at this time.
    pub(super) fn json(&self, now: DateTime<Utc>) -> Bytes {
        let envelope = Envelope {
            r#type: TYPE,
            timestamp: &now,
            data: self,
        };
        let json = serde_json::to_vec(&envelope);
        json.expect("texts, numbers and times are JSON").into()
    }
}
