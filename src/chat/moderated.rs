//! Messages and edits on their way past the moderation to the writer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::{Changing, Sent};
use crate::{
    auth::Identity,
    error::Error,
    model::{
        Action, Change, Changed, ClientMessageId, Draft, EncodedMessage, RoomId, Stored, UserId,
    },
    moderation::{Line, Moderation, Place, Question},
    room::READ_TIMEOUT,
    store::MessageStore,
    writer::{Receipt, Writer},
};

/// A message or a change on its way into the log.
pub enum Underway<T> {
    /// It is queued.
    Queued(Receipt<T>),
    /// It is queued in its turn, once the moderation has answered.
    Asked(BoxFuture<'static, Result<T, Error>>),
}

impl<T> Underway<T> {
    /// Waits for the commit.
    ///
    /// # Errors
    ///
    /// As [`Receipt::settled`], and as [`Moderation::ask`].
    pub async fn settled(self) -> Result<T, Error> {
        match self {
            Self::Queued(receipt) => receipt.settled().await,
            Self::Asked(asked) => asked.await,
        }
    }
}

/// The way of messages past the moderation.
pub(super) struct Moderated {
    moderation: Moderation,
    writer: Writer,
    store: Arc<dyn MessageStore>,
    named: Arc<Named>,
}

impl Moderated {
    pub(super) fn new(
        moderation: Moderation,
        writer: Writer,
        store: Arc<dyn MessageStore>,
    ) -> Self {
        Self {
            moderation,
            writer,
            store,
            named: Arc::default(),
        }
    }

    /// Takes a message into its sender's line.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when too many messages of the sender wait, [`Error::Unavailable`] when too
    /// many of the node do.
    pub(super) fn send(self: &Arc<Self>, line: &Line, draft: Draft) -> Result<Sent, Error> {
        let place = self.moderation.enter(line, draft.size())?;
        let name = self.named.enter(&draft);
        let this = self.clone();
        let stored = async move { this.store(place, draft, name).await };
        Ok(Underway::Asked(Box::pin(stored)))
    }

    /// Asks about a message, and stores it in its turn.
    async fn store(
        &self,
        mut place: Place,
        mut draft: Draft,
        name: Option<Name>,
    ) -> Result<Stored<EncodedMessage>, Error> {
        let verdict = self.moderation.ask(&place, &question(&draft)).await;
        place.turn().await;
        match verdict {
            Ok(Some(replacement)) => {
                draft.body = replacement.body;
                let metadata = replacement.metadata.or(draft.metadata);
                draft.metadata = metadata.filter(|metadata| !metadata.is_empty());
            }
            Ok(None) => {}
            Err(error) => {
                drop(place);
                return self.repeated(name, error).await;
            }
        }
        let receipt = self.writer.enqueue(draft.accepted_now())?;
        drop(place);
        receipt.settled().await
    }

    /// Answers a message that must not be stored: a repeat of a stored one gets that one, whatever is
    /// thought of it now.
    async fn repeated(
        &self,
        name: Option<Name>,
        error: Error,
    ) -> Result<Stored<EncodedMessage>, Error> {
        let Some(name) = name else {
            return Err(error);
        };
        if !name.is_alone() {
            // The other one may be stored yet.
            return Err(Error::Unavailable);
        }
        let (room, user, id) = &name.key;
        let reading = timeout(READ_TIMEOUT, self.store.find_sent(room, user, id)).await;
        match reading.map_err(|_| Error::Unavailable)?? {
            Some(message) => Ok(Stored {
                message: EncodedMessage::from(&message),
                duplicate: true,
            }),
            None => Err(error),
        }
    }

    /// Takes a change into its user's line, and asks about an edit. The others wait only for what is in
    /// the line before them.
    ///
    /// # Errors
    ///
    /// As [`Moderated::send`].
    pub(super) fn change(
        self: &Arc<Self>,
        line: &Line,
        author: &Identity,
        change: Change,
    ) -> Result<Changing, Error> {
        if !matches!(change.action, Action::Edit(_)) && line.is_empty() {
            return self.writer.enqueue_change(change).map(Underway::Queued);
        }
        let place = self.moderation.enter(line, change.size())?;
        let (this, operator) = (self.clone(), author.operator_id().cloned());
        let revised = async move { this.revise(place, operator, change).await };
        Ok(Underway::Asked(Box::pin(revised)))
    }

    /// Asks about an edit, and queues a change in its turn.
    async fn revise(
        &self,
        mut place: Place,
        operator: Option<UserId>,
        mut change: Change,
    ) -> Result<Changed<EncodedMessage>, Error> {
        if let Action::Edit(edit) = &mut change.action {
            let question = Question {
                room_id: &change.room_id,
                user_id: &change.user_id,
                operator_id: operator.as_ref(),
                message: &edit.body,
                metadata: edit.metadata.as_ref(),
                reply_to: None,
                client_message_id: None,
                seq: Some(change.seq),
            };
            if let Some(replacement) = self.moderation.ask(&place, &question).await? {
                edit.body = replacement.body;
                edit.metadata = replacement.metadata.or(edit.metadata.take());
            }
        }
        place.turn().await;
        let receipt = self.writer.enqueue_change(change.accepted_now())?;
        drop(place);
        receipt.settled().await
    }
}

/// Returns the question about a message.
fn question(draft: &Draft) -> Question<'_> {
    Question {
        room_id: &draft.room_id,
        user_id: &draft.user_id,
        operator_id: draft.operator_id.as_ref(),
        message: &draft.body,
        metadata: draft.metadata.as_ref(),
        reply_to: draft.reply_to,
        client_message_id: draft.client_message_id.as_ref(),
        seq: None,
    }
}

/// The key of a message that can be repeated.
type Key = (RoomId, UserId, ClientMessageId);

/// The messages under way with identifiers of their senders, and how many have the same.
#[derive(Default)]
struct Named(Mutex<HashMap<Key, usize>>);

/// A message among the [`Named`]; dropping it takes it out.
struct Name {
    named: Arc<Named>,
    key: Key,
}

impl Named {
    fn enter(self: &Arc<Self>, draft: &Draft) -> Option<Name> {
        let id = draft.client_message_id.clone()?;
        let key = (draft.room_id.clone(), draft.user_id.clone(), id);
        *self.counts().entry(key.clone()).or_default() += 1;
        Some(Name {
            named: self.clone(),
            key,
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Key, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Name {
    /// Returns true while no other message of the same name is under way.
    fn is_alone(&self) -> bool {
        self.named.counts().get(&self.key) == Some(&1)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut counts = self.named.counts();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}
