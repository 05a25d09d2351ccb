//! Joiners waiting for a read by the room.

use tokio::time::Instant;

use super::{
    joining::{Done, Joining},
    members::ClientId,
};
use crate::error::Error;

/// A waiting joiner.
pub(super) struct Waiting {
    pub(super) joining: Box<Joining>,
    pub(super) done: Done,
    /// True once the room has looked for the joiner's newest message in the log.
    pub(super) looked: bool,
}

impl Waiting {
    pub(super) fn deadline(&self) -> Instant {
        self.joining.join.deadline
    }
}

/// The waiting joiners. Each is answered at its deadline at the latest, and a client waits in one
/// room at a time, so the limits on clients bound their number.
#[derive(Default)]
pub(super) struct WaitingList {
    joiners: Vec<Waiting>,
    /// The earliest deadline, or an earlier time.
    next_deadline: Option<Instant>,
}

impl WaitingList {
    /// Adds a joiner; `reads` is true when the room reads its log for it.
    pub(super) fn push(&mut self, mut waiting: Waiting, reads: bool) {
        waiting.joining.has_read |= reads;
        let deadline = waiting.deadline();
        let next = self.next_deadline.get_or_insert(deadline);
        *next = deadline.min(*next);
        self.joiners.push(waiting);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline
    }

    /// Takes all joiners, in order of arrival.
    pub(super) fn take(&mut self) -> Vec<Waiting> {
        self.next_deadline = None;
        std::mem::take(&mut self.joiners)
    }

    /// Refuses a client's joins.
    pub(super) fn forget(&mut self, client: ClientId) {
        self.joiners
            .retain(|waiting| waiting.joining.join.client != client);
    }

    pub(super) fn refuse_all(&mut self, error: &Error) {
        for waiting in self.take() {
            waiting.done.send(Err(error.clone())).ok();
        }
    }
}

/// Waits until a time; without one, for ever.
pub(super) async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
