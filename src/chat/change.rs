//! Changing messages, and reading what has changed.

use std::{slice, sync::Arc};

use chrono::Utc;
use tokio::{sync::Semaphore, time::timeout};

use super::{Chat, MAX_HISTORY, Participant, Underway, charge, participant::Admission};
use crate::{
    error::Error,
    model::{
        Action, Authority, Change, Changed, Edit, EncodedMessage, Metadata, Revision, Role, RoomId,
        RoomSettings, Seq,
    },
    room::{MAX_BEHIND, READ_TIMEOUT, fit},
    store::{Keep, MessageStore, StoreError},
};

/// A change on its way into the log.
pub type Changing = Underway<Changed<EncodedMessage>>;

/// An author's new version of a message.
pub struct Version<'a> {
    /// The text.
    pub text: &'a str,
    /// New metadata; none to keep the present ones.
    pub metadata: Option<Metadata>,
    /// The message's revision as the author knows it; none when the last edit is to win.
    pub if_revision: Option<Revision>,
}

impl Chat {
    /// Queues an edit of a member's message.
    ///
    /// # Errors
    ///
    /// Those of a message's text, and of [`Chat::change`].
    pub async fn edit(
        &self,
        participant: &Participant,
        room: RoomId,
        seq: Seq,
        version: Version<'_>,
    ) -> Result<Changing, Error> {
        let edit = Edit {
            body: self.body(version.text)?,
            metadata: version.metadata,
            if_revision: version.if_revision,
            sent_since: self.limits.edit_window.map(|window| Utc::now() - window),
        };
        self.change(participant, room, seq, Action::Edit(edit))
            .await
    }

    /// Queues a member's change of a message. Its place among the member's messages and changes is
    /// settled on return. Moderators of the room delete and pin like operators.
    ///
    /// # Errors
    ///
    /// - [`Error::NotInRoom`] for a room the client is not in;
    /// - [`Error::RateLimited`] for too many messages and changes;
    /// - [`Error::Unavailable`] when the queue is full, the server is stopping, or the user's role cannot
    ///   be read.
    pub async fn change(
        &self,
        participant: &Participant,
        room: RoomId,
        seq: Seq,
        action: Action,
    ) -> Result<Changing, Error> {
        self.check_running()?;
        let (author, handle) = participant.author(&room)?;
        author.may_enter(&room)?;
        charge(&self.messages, &author)?;
        let mut is_operator = author.authority() != Authority::User;
        let is_moderated = matches!(action, Action::Delete | Action::Pin { .. });
        let is_created = handle.is_some_and(|handle| handle.is_created());
        if is_moderated && !is_operator && is_created {
            let role = self.standing(&author, &room).await?;
            is_operator = role >= Some(Role::Moderator);
        }
        let user = author.user_id().clone();
        let change = Change::new(room, seq, user, is_operator, action);
        match &self.moderated {
            None => self.writer.enqueue_change(change).map(Underway::Queued),
            Some(moderated) => moderated.change(participant.line(), &author, change),
        }
    }

    /// Admits a read of a room's changes.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for a room the client is not in, [`Error::RateLimited`] for too many
    /// requests, [`Error::Unavailable`] when the server is stopping.
    pub fn changes<'a>(
        &'a self,
        participant: &'a Participant,
        room: &'a RoomId,
        after: Revision,
        limit: Option<usize>,
    ) -> Result<ReadingChanges<'a>, Error> {
        self.check_running()?;
        let (identity, admission) = participant.admit(room)?;
        charge(&self.requests, &identity)?;
        Ok(ReadingChanges {
            store: &*self.store,
            admission,
            reads: participant.reads(),
            after,
            limit: limit.unwrap_or(MAX_HISTORY).min(MAX_HISTORY),
        })
    }
}

/// An admitted read of a room's changes, not yet begun.
#[must_use]
pub struct ReadingChanges<'a> {
    store: &'a dyn MessageStore,
    admission: Admission<'a>,
    reads: Arc<Semaphore>,
    after: Revision,
    limit: usize,
}

/// A room's changes after a revision.
#[derive(Debug)]
pub struct Changes {
    /// The changed messages in their present state, by revision.
    pub changes: Vec<EncodedMessage>,
    /// The newest change that the reader has with this answer.
    pub last_revision: Revision,
    /// True when further changes are left out.
    pub more: bool,
    /// True when the reader has missed too much to be told, or the log went back.
    pub reset: bool,
    /// The room's settings, if somebody created it.
    pub room: Option<RoomSettings>,
}

impl ReadingChanges<'_> {
    /// Reads the page.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the log cannot be read within [`READ_TIMEOUT`];
    /// [`Error::NotInRoom`] when the client is put out of the room meanwhile.
    pub async fn page(self) -> Result<Changes, Error> {
        let reading = async {
            let _one_of_few = self.reads.acquire().await;
            let room = self.admission.room;
            let heads = self.store.heads(slice::from_ref(room)).await?;
            let head = heads.get(room).map(|head| head.revision);
            let head = head.unwrap_or_default();
            let changes = if self.is_reset(head) {
                vec![]
            } else {
                let (after, limit) = (self.after, self.limit + 1);
                self.store.read_changes(room, after, limit).await?
            };
            // Read last: they are at least as new as the changes.
            let settings = self.store.rooms().settings(room).await?;
            Ok((changes, head, settings))
        };
        let read: Result<_, StoreError> = timeout(READ_TIMEOUT, reading)
            .await
            .map_err(|_| Error::Unavailable)?;
        let (messages, head, settings) = read?;
        self.admission.check()?;
        let messages = messages.iter().map(EncodedMessage::from);
        let (changes, more) = fit(messages, self.limit, Keep::Oldest);
        let last = changes.last().map(|change| change.revision);
        let last_revision = match last {
            Some(last) if more => last,
            Some(last) => last.max(head),
            None if more => self.after,
            None => head,
        };
        Ok(Changes {
            changes,
            last_revision,
            more,
            reset: self.is_reset(head),
            room: settings,
        })
    }

    fn is_reset(&self, head: Revision) -> bool {
        self.after > head || head.since(self.after) > MAX_BEHIND
    }
}
