//! Requests that change messages, and the reading of changes.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::saturating;
use crate::{
    chat,
    model::{EncodedMessage, Metadata, Reaction, Revision, RoomId, RoomSettings, Seq, WholeNumber},
};

/// `editMessage`: replaces the text of a message of one's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EditMessage {
    /// The room.
    pub room_id: RoomId,
    /// The message.
    pub seq: Seq,
    /// The new text.
    pub message: String,
    /// New metadata; an empty object removes the present ones.
    pub metadata: Option<Metadata>,
    /// The message's revision known to the client; 0 for a message that never changed.
    pub if_revision: Option<Revision>,
}

impl EditMessage {
    /// The event's name.
    pub const EVENT: &str = "editMessage";
}

/// `deleteMessage`: erases a message for ever.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct DeleteMessage {
    /// The room.
    pub room_id: RoomId,
    /// The message.
    pub seq: Seq,
}

impl DeleteMessage {
    /// The event's name.
    pub const EVENT: &str = "deleteMessage";
}

/// `setReaction`: sets the user's reaction to a message, or takes it back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetReaction {
    /// The room.
    pub room_id: RoomId,
    /// The message.
    pub seq: Seq,
    /// The reaction.
    pub reaction: Reaction,
    /// False to take it back.
    pub on: bool,
}

impl SetReaction {
    /// The event's name.
    pub const EVENT: &str = "setReaction";
}

/// `setPinned`: pins a message to its room, or unpins it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetPinned {
    /// The room.
    pub room_id: RoomId,
    /// The message.
    pub seq: Seq,
    /// False to unpin.
    pub on: bool,
}

impl SetPinned {
    /// The event's name.
    pub const EVENT: &str = "setPinned";
}

/// `getChanges`: reads the changes after a revision.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct GetChanges {
    /// The room.
    pub room_id: RoomId,
    /// The newest change known to the client; 0 for none.
    pub after_revision: Revision,
    limit: Option<WholeNumber>,
}

impl GetChanges {
    /// The event's name.
    pub const EVENT: &str = "getChanges";

    /// Returns the number of changes asked for.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(saturating)
    }
}

/// The answer to `getChanges`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangesPage {
    /// The changed messages in their present state, by revision.
    pub changes: Vec<EncodedMessage>,
    /// The newest change that the client has with this answer.
    pub last_revision: Revision,
    /// True when the room has further changes.
    pub more_changes: bool,
    /// True when the client has missed too many changes to be told: it is to read anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub changes_reset: bool,
    /// The room's settings, if somebody created it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomSettings>,
}

impl From<chat::Changes> for ChangesPage {
    fn from(read: chat::Changes) -> Self {
        Self {
            changes: read.changes,
            last_revision: read.last_revision,
            more_changes: read.more,
            changes_reset: read.reset,
            room: read.room,
        }
    }
}
