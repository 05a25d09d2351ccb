//! Reads of a room's log.

use std::sync::Arc;

use tokio::{sync::Semaphore, time::timeout};

use super::{Chat, Participant};
use crate::{
    error::Error,
    model::{EncodedMessage, RoomId, Seq},
    room::{CAPACITY, READ_TIMEOUT, RoomHandle, fit},
    store::{Keep, MessageStore, Page},
};

/// The most messages that one answer carries.
pub const MAX_HISTORY: usize = CAPACITY;

/// Which part of a room's history is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The newest ones.
    Newest,
    /// The newest ones before a message.
    Before(Seq),
    /// The oldest ones after a message.
    After(Seq),
}

/// A read of a room's log that is allowed and has not begun.
#[must_use]
pub struct Reading<'a> {
    store: &'a dyn MessageStore,
    room: &'a RoomId,
    handle: RoomHandle,
    reads: Arc<Semaphore>,
    range: Range,
    limit: usize,
}

impl Reading<'_> {
    /// Reads the page: its messages, oldest first, and whether there are more in the direction
    /// asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the log cannot be read within [`READ_TIMEOUT`].
    pub async fn page(self) -> Result<(Vec<EncodedMessage>, bool), Error> {
        let page = page(self.range, self.limit + 1);
        let reading = async {
            let _one_of_few = self.reads.acquire().await;
            self.store.read(self.room, page).await
        };
        let messages = timeout(READ_TIMEOUT, reading)
            .await
            .map_err(|_| Error::Unavailable)??;
        if let Some(newest) = messages.last() {
            self.handle.saw(newest.seq, newest.id);
        }
        let messages = messages.iter().map(EncodedMessage::from);
        Ok(fit(messages, self.limit, page.keep))
    }
}

impl Chat {
    /// Allows a read of a part of the room's log, or refuses it.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`], [`Error::RateLimited`], [`Error::Unavailable`] when the server is
    /// stopping.
    pub fn history<'a>(
        &'a self,
        participant: &Participant,
        room: &'a RoomId,
        range: Range,
        limit: Option<usize>,
    ) -> Result<Reading<'a>, Error> {
        self.check_running()?;
        let (identity, handle) = participant.member(room)?;
        self.requests.check(identity.user_id())?;
        Ok(Reading {
            store: &*self.store,
            room,
            handle,
            reads: participant.reads(),
            range,
            limit: self.limit(limit),
        })
    }

    pub(super) fn limit(&self, asked: Option<usize>) -> usize {
        asked.unwrap_or(self.limits.history_limit).min(MAX_HISTORY)
    }
}

fn page(range: Range, limit: usize) -> Page {
    let (after, before, keep) = match range {
        Range::Newest => (Seq::ZERO, Seq::END, Keep::Newest),
        Range::Before(seq) => (Seq::ZERO, seq, Keep::Newest),
        Range::After(seq) => (seq, Seq::END, Keep::Oldest),
    };
    Page {
        after,
        before,
        limit,
        keep,
    }
}
