//! The joiners whose answers wait for a read of the room's.

use tokio::time::Instant;

use super::{
    joining::{Done, Joining},
    members::ClientId,
};
use crate::error::Error;

/// A joiner that waits for its answer.
pub(super) struct Waiting {
    pub(super) joining: Box<Joining>,
    pub(super) done: Done,
    /// True once the room has looked for the newest message that the joiner claims to have.
    pub(super) looked: bool,
}

impl Waiting {
    pub(super) fn deadline(&self) -> Instant {
        self.joining.join.deadline
    }
}

/// The joiners that wait, none beyond its deadline.
#[derive(Default)]
pub(super) struct WaitingList {
    joiners: Vec<Waiting>,
    /// The first of their deadlines, or an earlier time.
    next_deadline: Option<Instant>,
}

impl WaitingList {
    pub(super) fn push(&mut self, waiting: Waiting) {
        let deadline = waiting.deadline();
        let next = self.next_deadline.get_or_insert(deadline);
        *next = deadline.min(*next);
        self.joiners.push(waiting);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline
    }

    /// Takes out all joiners, in the order in which they came.
    pub(super) fn take(&mut self) -> Vec<Waiting> {
        self.next_deadline = None;
        std::mem::take(&mut self.joiners)
    }

    /// Drops a client's joins, which are thereby refused.
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
