//! Answers with many messages that a client has asked for and does not read.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{engine::Session, error::Error, model::Message};

/// How many bytes of messages may wait, in answers, for a client before it is given no more of them. A client that joins all of
/// its rooms at once has less waiting.
pub const MAX_UNREAD_BYTES: u64 = 16 * 1024 * 1024;

/// About what a message takes in an answer besides its text, in bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// When a client may ask again that has not read its answers.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How much of its answers a client has not read yet. What else it is sent counts as read with them, so this is the least that it
/// may be.
#[derive(Debug, Default)]
pub struct Unread(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    bytes: u64,
    /// How many bytes the client had taken when they were counted.
    taken: u64,
}

impl Unread {
    /// Whether the client may be given more.
    ///
    /// Errors: [`Error::RateLimited`].
    pub fn check(&self, session: &Session) -> Result<(), Error> {
        if self.count(0, session.taken()) > MAX_UNREAD_BYTES {
            return Err(Error::RateLimited { retry_after: RETRY_AFTER });
        }
        Ok(())
    }

    /// Counts bytes of messages that the client is being given.
    pub fn add(&self, bytes: usize, session: &Session) {
        self.count(bytes as u64, session.taken());
    }

    fn count(&self, more: u64, taken: u64) -> u64 {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = taken.saturating_sub(waiting.taken);
        *waiting = Waiting { bytes: waiting.bytes.saturating_sub(read) + more, taken };
        waiting.bytes
    }
}

/// About how many bytes a message has in an answer.
pub fn weight(message: &Message) -> usize {
    message.body.as_str().len() + MESSAGE_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_takes_waits_no_more() {
        let unread = Unread::default();
        assert_eq!(unread.count(100, 50), 100);
        assert_eq!(unread.count(100, 90), 160);
        assert_eq!(unread.count(0, 90), 160);
        assert_eq!(unread.count(30, 1_000), 30);
    }
}
