//! Reads of a room's log.

use std::sync::Arc;

use tokio::{sync::Semaphore, time::timeout};

use super::{Chat, Participant};
use crate::{
    error::Error,
    model::{EncodedMessage, RoomId, Seq},
    room::{READ_TIMEOUT, RoomHandle, fit},
    store::{Keep, Page},
};

/// The most messages that one answer carries.
pub const MAX_HISTORY: usize = crate::room::CAPACITY;

/// How many of one connection's history reads the database has at once; others' need not wait for
/// all of them.
pub const READS_AT_ONCE: usize = 2;

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

impl Chat {
    /// Reads a part of the room's log, oldest first, and whether there is more of it in the
    /// direction asked for. Whether it may is settled when this returns.
    ///
    /// Errors: [`Error::NotInRoom`], [`Error::RateLimited`], [`Error::Unavailable`] when the log
    /// cannot be read in time.
    pub fn history<'a>(
        &'a self,
        participant: &Participant,
        room: &'a RoomId,
        range: Range,
        limit: Option<usize>,
    ) -> Result<impl Future<Output = Result<(Vec<EncodedMessage>, bool), Error>> + use<'a>, Error>
    {
        self.check_running()?;
        let (identity, handle) = participant.member(room)?;
        self.requests.check(identity.user_id())?;
        Ok(self.read(participant.reads(), handle, room, range, self.limit(limit)))
    }

    async fn read(
        &self,
        reads: Arc<Semaphore>,
        handle: RoomHandle,
        room: &RoomId,
        range: Range,
        limit: usize,
    ) -> Result<(Vec<EncodedMessage>, bool), Error> {
        let page = page(range, limit + 1);
        let reading = async {
            let _one_of_few = reads.acquire().await;
            self.store.read(room, page).await
        };
        let messages = timeout(READ_TIMEOUT, reading)
            .await
            .map_err(|_| Error::Unavailable)??;
        if let Some(newest) = messages.last() {
            handle.saw(newest.seq, newest.id);
        }
        Ok(fit(
            messages.iter().map(EncodedMessage::from),
            limit,
            page.keep,
        ))
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
