//! Tickets: each opens one stream, in place of a header that browsers' `EventSource` cannot send.
//!
//! A ticket stands in a URL, and URLs end up in logs: so it is good once, and for a short time. It is good
//! at the server that gave it out.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{auth::Identity, model::RoomId};

/// The time for a ticket to be used.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(60);

/// The most unused tickets of a node; beyond it, the oldest one is void.
pub const MAX_TICKETS: usize = 10_000;

/// The rights of a ticket's bearer.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The user.
    pub identity: Identity,
    /// The only room; none for all streams of the user.
    pub room: Option<RoomId>,
    /// The end of the stream.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The unused tickets of a node.
#[derive(Debug, Default)]
pub struct Tickets(Mutex<Unused>);

#[derive(Debug, Default)]
struct Unused {
    tickets: HashMap<String, Ticket>,
    /// All that were given out lately, the oldest first; some are used.
    given: VecDeque<(Instant, String)>,
}

impl Unused {
    /// Voids the tickets that are too old or too many.
    fn trim(&mut self) {
        let now = Instant::now();
        while let Some((until, _)) = self.given.front()
            && (*until <= now || self.given.len() > MAX_TICKETS)
        {
            if let Some((_, name)) = self.given.pop_front() {
                self.tickets.remove(&name);
            }
        }
    }
}

impl Tickets {
    /// Gives out a ticket. Returns its name, which nobody can guess, and its end.
    pub fn issue(&self, ticket: Ticket) -> (String, DateTime<Utc>) {
        let name = [Uuid::new_v4(), Uuid::new_v4()].map(|part| part.simple().to_string());
        let name = name.concat();
        let mut unused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unused
            .given
            .push_back((Instant::now() + TICKET_LIFETIME, name.clone()));
        unused.tickets.insert(name.clone(), ticket);
        unused.trim();
        (name, Utc::now() + TICKET_LIFETIME)
    }

    /// Takes a ticket; none if it was used, is too old, or was never given out here.
    pub fn redeem(&self, name: &str) -> Option<Ticket> {
        let mut unused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unused.trim();
        unused.tickets.remove(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            identity: Identity::user("ann".try_into().unwrap()),
            room: None,
            expires_at: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once_and_for_a_minute() {
        let tickets = Tickets::default();
        let (once, _) = tickets.issue(ticket());
        assert!(tickets.redeem(&once).is_some());
        assert!(tickets.redeem(&once).is_none());
        let (late, _) = tickets.issue(ticket());
        assert_ne!(once, late);
        tokio::time::advance(TICKET_LIFETIME - Duration::from_millis(1)).await;
        let (other, _) = tickets.issue(ticket());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(tickets.redeem(&late).is_none());
        assert!(tickets.redeem(&other).is_some());
    }

    #[test]
    fn tickets_that_nobody_uses_are_bounded() {
        let tickets = Tickets::default();
        let given: Vec<_> = (0..=MAX_TICKETS)
            .map(|_| tickets.issue(ticket()).0)
            .collect();
        assert!(tickets.redeem(&given[0]).is_none());
        assert!(tickets.redeem(&given[1]).is_some());
        let unused = tickets.0.lock().unwrap();
        assert!(unused.tickets.len() < MAX_TICKETS && unused.given.len() == MAX_TICKETS);
    }
}
