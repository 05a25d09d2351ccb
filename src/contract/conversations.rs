//! Requests about conversations, and their answers.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Cursor, saturating};
use crate::model::{
    Conversation, EncodedMessage, Handover, ListedConversation, Queued, RoomId, Status, Step,
    Title, UserId, WholeNumber,
};

/// `claimConversation`: takes a conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimConversation {
    /// The room.
    pub room_id: RoomId,
    /// The version of the conversation as the asker knows it.
    if_version: Option<WholeNumber>,
    /// True to take it from another operator; for supervisors.
    #[serde(default)]
    force: bool,
}

impl ClaimConversation {
    /// The event's name.
    pub const EVENT: &str = "claimConversation";

    /// Returns the change.
    pub fn handover(&self) -> Handover {
        let force = self.force;
        handover(Step::Claim { force }, self.if_version)
    }
}

/// `releaseConversation`: gives a conversation back to the queue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseConversation {
    /// The room.
    pub room_id: RoomId,
    /// The version of the conversation as the asker knows it.
    if_version: Option<WholeNumber>,
}

impl ReleaseConversation {
    /// The event's name.
    pub const EVENT: &str = "releaseConversation";

    /// Returns the change.
    pub fn handover(&self) -> Handover {
        handover(Step::Release, self.if_version)
    }
}

/// `transferConversation`: gives a conversation to another operator.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferConversation {
    /// The room.
    pub room_id: RoomId,
    /// The other operator.
    to: UserId,
    /// The version of the conversation as the asker knows it.
    if_version: Option<WholeNumber>,
}

impl TransferConversation {
    /// The event's name.
    pub const EVENT: &str = "transferConversation";

    /// Returns the change.
    pub fn handover(&self) -> Handover {
        let to = self.to.clone();
        handover(Step::Transfer { to }, self.if_version)
    }
}

/// `closeConversation`: ends a conversation, until the customer writes again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloseConversation {
    /// The room.
    pub room_id: RoomId,
    /// The version of the conversation as the asker knows it.
    if_version: Option<WholeNumber>,
}

impl CloseConversation {
    /// The event's name.
    pub const EVENT: &str = "closeConversation";

    /// Returns the change.
    pub fn handover(&self) -> Handover {
        handover(Step::Close, self.if_version)
    }
}

fn handover(step: Step, if_version: Option<WholeNumber>) -> Handover {
    Handover {
        step,
        if_version: if_version.map(|version| i64::try_from(version.0).unwrap_or(i64::MAX)),
    }
}

/// The answer to a change of a conversation.
#[derive(Debug, Serialize, ToSchema)]
pub struct HandedOver {
    /// The conversation.
    pub conversation: Conversation,
    /// False when it was so already.
    pub changed: bool,
}

impl From<(Conversation, bool)> for HandedOver {
    fn from((conversation, changed): (Conversation, bool)) -> Self {
        Self {
            conversation,
            changed,
        }
    }
}

/// `listConversations`: reads a page of the conversations of one state.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ListConversations {
    state: Option<Status>,
    /// Their operator; none for any.
    pub operator_id: Option<UserId>,
    limit: Option<WholeNumber>,
    /// The end of the page before.
    pub cursor: Option<Cursor>,
}

impl ListConversations {
    /// The event's name.
    pub const EVENT: &str = "listConversations";

    /// Returns the state asked for: open ones, unless it is named.
    pub fn state(&self) -> Status {
        self.state.unwrap_or(Status::Open)
    }

    /// Returns the number of conversations asked for.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(saturating)
    }
}

/// A conversation in the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationSummary {
    /// The room.
    pub room_id: RoomId,
    /// The room's title, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub title: Option<Title>,
    /// The newest message; null in a room without messages.
    pub last_message: Option<EncodedMessage>,
    /// The conversation, and the time of the oldest message without an answer.
    #[serde(flatten)]
    pub queued: Queued,
}

impl From<ListedConversation> for ConversationSummary {
    fn from(listed: ListedConversation) -> Self {
        Self {
            room_id: listed.room_id,
            title: listed.title,
            last_message: listed.last_message,
            queued: listed.queued,
        }
    }
}

/// The answer to `listConversations`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConversationsPage {
    /// The conversations: the longest waiting first, but the last closed first.
    pub conversations: Vec<ConversationSummary>,
    /// The place of the next page; null after the last one.
    pub cursor: Option<Cursor>,
}

impl ConversationsPage {
    /// Returns a page, and the place of the next one.
    pub fn new(conversations: Vec<ListedConversation>, cursor: Option<Cursor>) -> Self {
        Self {
            conversations: conversations.into_iter().map(Into::into).collect(),
            cursor,
        }
    }
}

/// `watchConversations`: begins or ends the news of all conversations.
#[derive(Debug, Deserialize)]
pub struct WatchConversations {
    /// True to begin.
    pub on: bool,
}

impl WatchConversations {
    /// The event's name.
    pub const EVENT: &str = "watchConversations";
}

/// `conversationActivity`, to the operators who watch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationActivity<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The conversation, and the time of the oldest message without an answer.
    #[serde(flatten)]
    pub queued: &'a Queued,
}
