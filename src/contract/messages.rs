//! Requests that send and read messages, and their answers.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::saturating;
use crate::{
    chat::Range,
    error::Error,
    model::{ClientMessageId, EncodedMessage, Metadata, RoomId, Seq, WholeNumber},
};

/// `sendMessage`: sends a message to a room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    /// The room.
    pub room_id: RoomId,
    /// The text.
    pub message: String,
    /// The client's id for the message.
    pub client_message_id: Option<ClientMessageId>,
    /// The message that it answers.
    pub reply_to: Option<Seq>,
    /// The client's own data.
    pub metadata: Option<Metadata>,
}

impl SendMessage {
    /// The event's name.
    pub const EVENT: &str = "sendMessage";

    /// Returns the request's size in bytes of text.
    pub fn size(&self) -> usize {
        let metadata = self.metadata.as_ref();
        self.message.len() + metadata.map_or(0, |json| json.as_str().len())
    }
}

/// `getHistory`: reads a part of a room's log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct GetHistory {
    /// The room.
    pub room_id: RoomId,
    before_seq: Option<Seq>,
    after_seq: Option<Seq>,
    /// Only the replies to this message.
    pub reply_to: Option<Seq>,
    limit: Option<WholeNumber>,
}

impl GetHistory {
    /// The event's name.
    pub const EVENT: &str = "getHistory";

    /// Returns the part of the log to read.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPayload`] when both directions are given.
    pub fn range(&self) -> Result<Range, Error> {
        match (self.before_seq, self.after_seq) {
            (None, None) => Ok(Range::Newest),
            (Some(seq), None) => Ok(Range::Before(seq)),
            (None, Some(seq)) => Ok(Range::After(seq)),
            (Some(_), Some(_)) => Err(Error::InvalidPayload(
                "beforeSeq and afterSeq: only one of them may be given".into(),
            )),
        }
    }

    /// Returns the number of messages asked for.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(saturating)
    }
}

/// The answer to `getHistory`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryPage {
    /// The messages, oldest first.
    pub messages: Vec<EncodedMessage>,
    /// True when the room has more messages in the direction of the read.
    pub has_more: bool,
}
