//! The request of a search, and its answer.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::saturating;
use crate::model::{EncodedMessage, RoomId, Seq, WholeNumber};

/// `searchMessages`: finds messages by their words.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct SearchMessages {
    /// The only room; none for all rooms that the user follows.
    pub room_id: Option<RoomId>,
    /// The words, or the beginnings of words.
    pub query: String,
    /// Only messages before this one.
    pub before_seq: Option<Seq>,
    limit: Option<WholeNumber>,
}

impl SearchMessages {
    /// The event's name.
    pub const EVENT: &str = "searchMessages";

    /// Returns the number of messages asked for.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(saturating)
    }
}

/// The answer to `searchMessages`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundMessages {
    /// The messages in their present state, the newest first.
    pub messages: Vec<EncodedMessage>,
    /// True when there are others.
    pub has_more: bool,
}
