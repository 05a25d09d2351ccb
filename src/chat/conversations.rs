//! Conversations: operators answer customers, each conversation held by one of them.

use std::time::Duration;

use tokio::time::timeout;

use super::{Chat, Participant};
use crate::{
    auth::Identity,
    error::Error,
    model::{
        Authority, Conversation, Handover, ListedConversation, RoomAction, RoomChange, RoomId,
        Speaker, Status, Step, UserId,
    },
    room::{MAX_ANSWER_BYTES, READ_TIMEOUT},
    store::{ConversationQuery, ConversationStore, ListPlace, StoreError},
};

/// The most conversations in one answer.
pub const MAX_CONVERSATIONS: usize = 100;

/// The most bytes of an entry besides its message.
const ENTRY_BYTES: usize = 1_024;

/// The operators and the conversations in one question to the database.
const AT_ONCE: usize = 500;

impl Chat {
    /// Changes a conversation. Returns false when it was so already.
    ///
    /// # Errors
    ///
    /// - [`Error::Forbidden`] for others than operators, for an operator without the right to it, or where
    ///   rooms have no conversations;
    /// - [`Error::NotFound`] for a room without one;
    /// - [`Error::Conflict`] with the conversation when somebody was faster;
    /// - [`Error::RateLimited`] for too many changes;
    /// - [`Error::Unavailable`] when the database does not answer or the server is stopping; the change
    ///   may be stored, and can be repeated.
    pub async fn hand_over(
        &self,
        participant: &Participant,
        room: RoomId,
        handover: Handover,
    ) -> Result<(Conversation, bool), Error> {
        self.operator(participant)?;
        if !self.limits.conversations.match_any(&room) {
            let why = "roomId: rooms of this name have no conversations";
            return Err(Error::NotFound(why.into()));
        }
        let action = RoomAction::HandOver(handover);
        let changed = self.change_room(participant, room, action).await?;
        let conversation = changed.settings.info.conversation;
        Ok((conversation.ok_or(Error::Unavailable)?, changed.changed))
    }

    /// Reads a page of conversations, at most `limit`. Returns the place of the next page, too, unless this
    /// is the last one.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for others than operators, [`Error::RateLimited`] for too many requests;
    /// [`Error::Unavailable`] when the database does not answer or the server is stopping.
    pub async fn conversations(
        &self,
        participant: &Participant,
        state: Status,
        operator_id: Option<UserId>,
        after: Option<ListPlace>,
        limit: Option<usize>,
    ) -> Result<(Vec<ListedConversation>, Option<ListPlace>), Error> {
        let operator = self.operator(participant)?;
        self.requester(participant)?;
        let limit = limit
            .unwrap_or(MAX_CONVERSATIONS)
            .clamp(1, MAX_CONVERSATIONS);
        let reads = participant.reads();
        let _one_of_few = reads.acquire().await;
        let reader = (!operator.is_service_itself()).then(|| operator.user_id().clone());
        let query = ConversationQuery {
            state,
            operator_id,
            reader,
            after,
        };
        let reading = page_of(self.store.conversations(), query, limit, &operator);
        let read = timeout(READ_TIMEOUT, reading).await;
        Ok(read.map_err(|_| Error::Unavailable)??)
    }

    /// Checks that a client may hear of all conversations.
    ///
    /// # Errors
    ///
    /// As [`Chat::conversations`].
    pub fn watch_conversations(&self, participant: &Participant) -> Result<(), Error> {
        self.operator(participant)?;
        self.requester(participant).map(drop)
    }

    /// Returns the identity of an operator, or of a service.
    fn operator(&self, participant: &Participant) -> Result<Identity, Error> {
        let identity = participant.identify(None)?;
        if self.limits.conversations.is_empty() {
            let why = "this server has no conversations (CONVERSATIONS)";
            return Err(Error::Forbidden(why.into()));
        }
        if !identity.is_operator() && !identity.is_service() {
            let why = "this client does not act as an operator";
            return Err(Error::Forbidden(why.into()));
        }
        Ok(identity)
    }

    /// Returns the part of an author's messages in a room's conversation.
    pub(super) fn speaker(&self, author: &Identity, room: &RoomId) -> Option<Speaker> {
        let conversations = &self.limits.conversations;
        author.speaker().filter(|_| conversations.match_any(room))
    }

    /// Notes the holders of conversations with clients here.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub(super) async fn see_operators(
        &self,
        store: &dyn ConversationStore,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let holders = store.holders(after.as_ref(), AT_ONCE).await?;
            let is_here = |holder: &&UserId| self.inbox.is_here(holder);
            let here: Vec<_> = holders.iter().filter(is_here).cloned().collect();
            if !here.is_empty() {
                store.see(&here).await?;
            }
            if holders.len() < AT_ONCE {
                return Ok(());
            }
            after = holders.last().cloned();
        }
    }

    /// Takes the conversations from operators who are away on all servers for some time.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the database does not answer.
    pub(super) async fn release_absent(
        &self,
        store: &dyn ConversationStore,
        away: Duration,
    ) -> Result<(), Error> {
        for (room_id, user_id, version) in store.lapsed(away, AT_ONCE).await? {
            tracing::info!(room = %room_id, operator = %user_id, "an operator is away, and its conversation open");
            let handover = Handover {
                step: Step::Lapse,
                if_version: Some(version),
            };
            let change = RoomChange {
                room_id,
                user_id,
                authority: Authority::Service,
                action: RoomAction::HandOver(handover),
            };
            self.govern(&change).await?.ok();
        }
        Ok(())
    }
}

/// Reads on until the page is full: the place of its end must not name a room that the reader's token is not
/// for.
async fn page_of(
    store: Option<&dyn ConversationStore>,
    mut query: ConversationQuery,
    limit: usize,
    reader: &Identity,
) -> Result<(Vec<ListedConversation>, Option<ListPlace>), StoreError> {
    let (mut found, mut next, mut bytes) = (vec![], None, 0);
    let Some(store) = store else {
        return Ok((found, next));
    };
    loop {
        let page = store.list(&query, MAX_CONVERSATIONS).await?;
        let is_last = page.len() < MAX_CONVERSATIONS;
        query.after = page.last().map(ListPlace::from);
        for conversation in page {
            if reader.may_enter(&conversation.room_id).is_ok() {
                let message = conversation.last_message.as_ref();
                bytes += ENTRY_BYTES + message.map_or(0, |message| message.json().len());
                if found.len() == limit || bytes > MAX_ANSWER_BYTES && !found.is_empty() {
                    return Ok((found, next));
                }
                next = Some(ListPlace::from(&conversation));
                found.push(conversation);
            }
        }
        if is_last {
            return Ok((found, None));
        }
    }
}
