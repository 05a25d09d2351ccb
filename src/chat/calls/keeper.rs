//! The end of what nobody ends: calls that ring for too long, parties that are alone, and parties whose
//! connections broke or whose servers died.
//!
//! A party has a lease: each server renews those of the parties with clients on it by a heartbeat, and any
//! server puts out those that have run out. A server whose heartbeats failed, or that has just started, puts
//! nobody out for some time: the others' may have failed, too.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::parties::Place;
use crate::{
    chat::Chat,
    error::Error,
    model::{Authority, CallStep, DueCall, RoomAction, RoomChange},
    room::READ_TIMEOUT,
};

/// The time between two heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// The lease of a party. Its last heartbeat came up to [`HEARTBEAT_INTERVAL`] before its connection broke, and
/// it has 15 s to come back.
const LEASE: Duration = Duration::from_secs(20);

/// The time of successful heartbeats before parties are put out. After an outage of the database, each other
/// server has had two attempts in it, of which one may have hung.
const CAUTION: Duration = Duration::from_secs(15);

/// The longest time between two looks at the calls, and the shortest.
const LOOKS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));

/// The parties in one heartbeat, and the calls in one look.
const AT_ONCE: usize = 500;

/// Keeps the times of calls.
pub struct CallKeeper {
    chat: Arc<Chat>,
    /// The time since when no heartbeat has failed.
    beating_since: Mutex<Option<Instant>>,
}

impl CallKeeper {
    /// Creates the keeper of a server.
    pub fn new(chat: Arc<Chat>) -> Self {
        Self {
            chat,
            beating_since: Mutex::default(),
        }
    }

    /// Keeps the times until `stop`. The heartbeats wait for nothing else.
    pub async fn run(self, stop: CancellationToken) {
        let keeping = async { tokio::join!(self.beat(), self.expire()) };
        stop.run_until_cancelled(keeping).await;
    }

    async fn beat(&self) {
        loop {
            let beaten = self.chat.renew_parties().await;
            self.note(beaten);
            sleep(HEARTBEAT_INTERVAL).await;
        }
    }

    /// Notes the outcome of a heartbeat.
    fn note(&self, beaten: Result<(), Error>) {
        let mut since = self.since();
        match beaten {
            Ok(()) => _ = since.get_or_insert_with(Instant::now),
            Err(error) => {
                tracing::debug!(%error, "no heartbeat for the parties of calls");
                *since = None;
            }
        }
    }

    async fn expire(&self) {
        let (longest, shortest) = LOOKS;
        loop {
            let next = match self.chat.expire_calls(self.lease()).await {
                Ok(next) => next.clamp(shortest, longest),
                Err(error) => {
                    tracing::debug!(%error, "calls not looked after");
                    shortest
                }
            };
            sleep(next).await;
        }
    }

    /// Returns the lease of parties, or none while nobody is put out.
    fn lease(&self) -> Option<Duration> {
        let is_sure = self.since().is_some_and(|since| since.elapsed() >= CAUTION);
        is_sure.then_some(LEASE)
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.beating_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chat {
    /// Renews the leases of the parties with clients here, and forgets those whose calls are over. One failure
    /// keeps none of the others back.
    async fn renew_parties(&self) -> Result<(), Error> {
        let (here, mut renewed) = (self.calls.parties.here(), Ok(()));
        for some in here.chunks(AT_ONCE) {
            renewed = renewed.and(self.renew_some(some).await);
        }
        renewed
    }

    async fn renew_some(&self, some: &[Place]) -> Result<(), Error> {
        let store = self.store.calls().ok_or(Error::Unavailable)?;
        let renewed = timeout(READ_TIMEOUT, store.heartbeat(some)).await;
        let renewed: HashSet<_> = renewed
            .map_err(|_| Error::Unavailable)??
            .into_iter()
            .collect();
        let gone = some.iter().filter(|place| !renewed.contains(*place));
        gone.for_each(|place| self.calls.parties.forget(place));
        Ok(())
    }

    /// Ends the calls and puts out the parties whose time is over. Returns the time until the next one's is.
    async fn expire_calls(&self, lease: Option<Duration>) -> Result<Duration, Error> {
        let store = self.store.calls().ok_or(Error::Unavailable)?;
        let due = timeout(READ_TIMEOUT, store.due(lease, AT_ONCE)).await;
        let due = due.map_err(|_| Error::Unavailable)??;
        let mut next = Duration::MAX;
        for call in due {
            if call.due_in > Duration::ZERO {
                return Ok(next.min(call.due_in));
            }
            // It is tried again soon, should it fail.
            next = Duration::ZERO;
            self.expire_call(call, lease).await;
        }
        Ok(next)
    }

    async fn expire_call(&self, call: DueCall, lease: Option<Duration>) {
        let change = RoomChange {
            room_id: call.room_id,
            user_id: call.started_by,
            authority: Authority::Service,
            action: RoomAction::Call(CallStep::Expire { lease }),
        };
        let room = &change.room_id;
        // A room that is locked keeps its call, and the others do not wait for it.
        if let Err(error) = self.change_call(&change, || ()).await {
            tracing::debug!(%room, %error, "call not expired");
        }
    }
}
