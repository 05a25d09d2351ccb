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
            rooms: operator.rooms().map(<[_]>::to_vec),
            after,
        };
        let store = self.store.conversations().ok_or(Error::Unavailable)?;
        let listing = timeout(READ_TIMEOUT, store.list(&query, limit + 1)).await;
        Ok(page(listing.map_err(|_| Error::Unavailable)??, limit))
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
            let (room, operator) = (&change.room_id, &change.user_id);
            // A room that is locked keeps its operator, and the others do not wait for it.
            match self.govern(&change).await {
                Ok(Ok(done)) if done.changed => {
                    tracing::info!(%room, %operator, "takes a conversation from an operator who is away");
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%room, %error, "conversation not taken"),
            }
        }
        Ok(())
    }
}

/// Fits conversations into one answer, and returns the place of the next one unless it is the last.
fn page(
    mut listed: Vec<ListedConversation>,
    limit: usize,
) -> (Vec<ListedConversation>, Option<ListPlace>) {
    let mut bytes = 0;
    let fits = |listed: &&ListedConversation| {
        let message = listed.last_message.as_ref();
        bytes += ENTRY_BYTES + message.map_or(0, |message| message.json().len());
        bytes <= MAX_ANSWER_BYTES
    };
    let fitting = listed.iter().take_while(fits).count();
    let kept = fitting.clamp(1, limit);
    let has_more = listed.len() > kept;
    listed.truncate(kept);
    let next = listed.last().filter(|_| has_more).map(ListPlace::from);
    (listed, next)
}
