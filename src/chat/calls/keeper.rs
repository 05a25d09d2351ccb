//! The end of what nobody ends: calls that ring for too long, parties that are alone, and parties whose
//! connections broke or whose servers died.
//!
//! Each server notes the parties with clients on it, and any server puts out those that were not noted. A
//! server that could not write, or has just started, waits with that: the others may not have written,
//! either.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    chat::Chat,
    error::Error,
    model::{Authority, CallStep, DueCall, RoomAction, RoomChange},
    room::READ_TIMEOUT,
};

/// The time between two notes of the parties here.
const SEE_INTERVAL: Duration = Duration::from_secs(5);

/// The time since a party was noted after which it is out. It was noted up to [`SEE_INTERVAL`] before its
/// connection broke, and has 15 s to come back.
const LOST_AFTER: Duration = Duration::from_secs(20);

/// The successful notes before parties are put out: the other servers have noted theirs by then.
const NOTES_BEFORE: u32 = 2;

/// The time before a call is looked at again that could not be settled.
const RETRY: Duration = Duration::from_secs(1);

/// The parties in one note, and the calls in one look.
const AT_ONCE: usize = 500;

/// Keeps the times of calls.
pub struct CallKeeper {
    chat: Arc<Chat>,
    /// The number of notes without a failure between them.
    notes: u32,
    next_note: Instant,
}

impl CallKeeper {
    /// Creates the keeper of a server.
    pub fn new(chat: Arc<Chat>) -> Self {
        Self {
            chat,
            notes: 0,
            next_note: Instant::now(),
        }
    }

    /// Keeps the times until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                let next_end = match self.look().await {
                    Ok(next_end) => next_end,
                    Err(error) => {
                        tracing::debug!(%error, "calls not looked after");
                        Instant::now() + RETRY
                    }
                };
                tokio::select! {
                    () = sleep_until(next_end.min(self.next_note)) => {}
                    () = self.chat.calls.changed.notified() => {}
                }
            }
        })
        .await;
    }

    /// Notes the parties here when it is time to, and settles the calls that have to be. Returns the time
    /// of the next look.
    async fn look(&mut self) -> Result<Instant, Error> {
        if self.next_note <= Instant::now() {
            self.next_note = Instant::now() + SEE_INTERVAL;
            let noted = self.chat.note_parties().await;
            self.notes = if noted.is_ok() { self.notes + 1 } else { 0 };
            noted?;
        }
        let lost_after = (self.notes >= NOTES_BEFORE).then_some(LOST_AFTER);
        let due_in = self.chat.settle_calls(lost_after).await?;
        Ok(Instant::now() + due_in)
    }
}

impl Chat {
    /// Notes the parties with clients here, and forgets those whose calls are over.
    async fn note_parties(&self) -> Result<(), Error> {
        let parties = self.calls.parties.here();
        for some in parties.chunks(AT_ONCE) {
            let seen = self.see_parties(some).await?;
            let seen: HashSet<_> = seen.into_iter().collect();
            let gone = some.iter().filter(|party| !seen.contains(*party));
            self.calls.parties.forget(&gone.cloned().collect());
        }
        Ok(())
    }

    /// Settles the calls that have to be. Returns the time until the next one has to be.
    async fn settle_calls(&self, lost_after: Option<Duration>) -> Result<Duration, Error> {
        let store = self.store.calls().ok_or(Error::Unavailable)?;
        let due = timeout(READ_TIMEOUT, store.due(LOST_AFTER, AT_ONCE)).await;
        let due = due.map_err(|_| Error::Unavailable)??;
        let mut next = SEE_INTERVAL;
        for call in due {
            if call.due_in > Duration::ZERO {
                return Ok(next.min(call.due_in));
            }
            next = RETRY;
            self.settle_call(call, lost_after).await;
        }
        Ok(next)
    }

    async fn settle_call(&self, call: DueCall, lost_after: Option<Duration>) {
        let change = RoomChange {
            room_id: call.room_id,
            user_id: call.started_by,
            authority: Authority::Service,
            action: RoomAction::Call(CallStep::Settle { lost_after }),
        };
        let room = &change.room_id;
        // A room that is locked keeps its call, and the others do not wait for it.
        if let Err(error) = self.change_call(&change, || ()).await {
            tracing::debug!(%room, %error, "call not settled");
        }
    }
}
