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

/// The most messages in one answer.
pub const MAX_HISTORY: usize = CAPACITY;

/// A part of a room's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The newest messages.
    Newest,
    /// The newest messages before one.
    Before(Seq),
    /// The oldest messages after one.
    After(Seq),
}

/// An admitted read of a room's log, not yet begun.
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
    /// Reads the page. Returns its messages, oldest first, and true when the log has more of them in
    /// the direction of the range.
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
    /// Admits a read of a part of a room's log.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for a room the client is not in, [`Error::RateLimited`] for too many
    /// requests, [`Error::Unavailable`] when the server is stopping.
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
