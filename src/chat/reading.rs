//! Reads of a room's log.

use std::sync::Arc;

use tokio::{sync::Semaphore, time::timeout};

use super::participant::Admission;
use crate::{
    error::Error,
    model::{EncodedMessage, Seq},
    room::{CAPACITY, READ_TIMEOUT, fit},
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

impl Range {
    fn page(self, limit: usize) -> Page {
        let (after, before, keep) = match self {
            Self::Newest => (Seq::ZERO, Seq::END, Keep::Newest),
            Self::Before(seq) => (Seq::ZERO, seq, Keep::Newest),
            Self::After(seq) => (seq, Seq::END, Keep::Oldest),
        };
        Page {
            after,
            before,
            limit,
            keep,
        }
    }
}

/// An admitted read of a room's log, not yet begun.
#[must_use]
pub struct Reading<'a> {
    pub(super) store: &'a dyn MessageStore,
    pub(super) admission: Admission<'a>,
    pub(super) reads: Arc<Semaphore>,
    pub(super) range: Range,
    /// Only the replies to this message.
    pub(super) replies_to: Option<Seq>,
    pub(super) limit: usize,
}

impl Reading<'_> {
    /// Reads the page. Returns its messages, oldest first, and true when the log has more of them in
    /// the direction of the range.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the log cannot be read within [`READ_TIMEOUT`];
    /// [`Error::NotInRoom`] when the client is put out of the room meanwhile; [`Error::Internal`] when
    /// the log holds nothing readable.
    pub async fn page(self) -> Result<(Vec<EncodedMessage>, bool), Error> {
        let page = self.range.page(self.limit + 1);
        let reading = async {
            let _one_of_few = self.reads.acquire().await;
            let room = self.admission.room;
            match self.replies_to {
                Some(to) => self.store.read_replies(room, to, page).await,
                None => self.store.read(room, page).await,
            }
        };
        let messages = timeout(READ_TIMEOUT, reading)
            .await
            .map_err(|_| Error::Unavailable)??;
        self.admission.check()?;
        if let (Some(room), Some(newest)) = (self.admission.handle(), messages.last()) {
            room.saw(newest.seq, newest.id);
        }
        let messages = messages.iter().map(EncodedMessage::from);
        Ok(fit(messages, self.limit, page.keep))
    }
}
