//! Reading history.

use super::{Chat, MAX_HISTORY, Participant, Range, Reading, charge};
use crate::{
    error::Error,
    model::{RoomId, Seq},
};

impl Chat {
    /// Admits a read of a part of a room's log, or of the replies to a message in it.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for a room the client is not in, [`Error::RateLimited`] for too many
    /// requests, [`Error::Unavailable`] when the server is stopping.
    pub fn history<'a>(
        &'a self,
        participant: &'a Participant,
        room: &'a RoomId,
        range: Range,
        replies_to: Option<Seq>,
        limit: Option<usize>,
    ) -> Result<Reading<'a>, Error> {
        self.check_running()?;
        let (identity, admission) = participant.admit(room)?;
        charge(&self.requests, &identity)?;
        Ok(Reading {
            store: &*self.store,
            admission,
            reads: participant.reads(),
            range,
            replies_to,
            limit: self.limit(limit),
        })
    }

    pub(super) fn limit(&self, asked: Option<usize>) -> usize {
        asked.unwrap_or(self.limits.history_limit).min(MAX_HISTORY)
    }
}
