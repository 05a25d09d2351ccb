//! The other servers' signs of life.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::bus::{Server, ServerId};

/// The time without a sign of life after which a server's members are gone. All servers lose a
/// database that restarts, and come back to it within this time.
pub(super) const GONE_AFTER: Duration = Duration::from_secs(6);

/// The other servers.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// The servers not known to be gone, with the begin of their absence.
    known: HashMap<ServerId, Option<Instant>>,
    /// The servers that are gone, and still listed.
    gone: HashSet<ServerId>,
}

impl Liveness {
    /// Takes in a list of the other servers. Returns the servers that are gone and have to be
    /// removed from it.
    pub(super) fn look(&mut self, now: Instant, servers: &[Server]) -> Vec<ServerId> {
        let alive: HashSet<_> = servers
            .iter()
            .filter(|server| server.is_alive)
            .map(|server| server.id)
            .collect();
        let listed: HashSet<_> = servers.iter().map(|server| server.id).collect();
        self.gone
            .retain(|server| listed.contains(server) && !alive.contains(server));
        for server in listed.difference(&self.gone) {
            self.known.entry(*server).or_default();
        }
        for (server, absent_since) in &mut self.known {
            if alive.contains(server) {
                *absent_since = None;
            } else {
                absent_since.get_or_insert(now);
            }
        }
        let is_gone = |absent_since: &Option<Instant>| {
            absent_since.is_some_and(|since| now.duration_since(since) >= GONE_AFTER)
        };
        let newly_gone = self.known.extract_if(|_, since| is_gone(since));
        let newly_gone: Vec<_> = newly_gone.map(|(server, _)| server).collect();
        self.gone
            .extend(newly_gone.iter().filter(|server| listed.contains(server)));
        self.gone
            .iter()
            .chain(&newly_gone)
            .copied()
            .collect::<HashSet<_>>()
            .into_iter()
            .collect()
    }

    /// Begins all absences anew: without an answer, nobody is known to be absent.
    pub(super) fn pause(&mut self) {
        self.known.values_mut().for_each(|since| *since = None);
    }

    /// Notes servers on a list.
    pub(super) fn note(&mut self, listed: &HashSet<ServerId>) {
        for server in listed {
            self.known.entry(*server).or_default();
        }
    }

    /// Returns true while a server is absent.
    pub(super) fn is_anyone_absent(&self) -> bool {
        self.known.values().any(Option::is_some)
    }

    /// Returns true when a server is gone.
    pub(super) fn is_gone(&self, server: &ServerId) -> bool {
        self.gone.contains(server)
    }

    /// Returns the servers not known to be gone.
    pub(super) fn known(&self) -> impl Iterator<Item = &ServerId> {
        self.known.keys()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const STEP: Duration = Duration::from_secs(2);

    fn server(number: u128, is_alive: bool) -> Server {
        Server {
            id: ServerId(Uuid::from_u128(number)),
            revision: 1,
            is_alive,
        }
    }

    fn id(number: u128) -> ServerId {
        server(number, true).id
    }

    #[test]
    fn a_server_is_gone_after_a_while_without_a_sign_of_life_until_it_is_back() {
        let (mut liveness, now) = (Liveness::default(), Instant::now());
        assert_eq!(liveness.look(now, &[server(1, true), server(2, true)]), []);
        let one_absent = [server(1, false), server(2, true)];
        for step in 0..3 {
            assert_eq!(liveness.look(now + step * STEP, &one_absent), []);
        }
        assert!(liveness.is_anyone_absent() && !liveness.is_gone(&id(1)));
        // A removal that failed is asked for again.
        for step in 3..5 {
            assert_eq!(liveness.look(now + step * STEP, &one_absent), [id(1)]);
            assert!(liveness.is_gone(&id(1)) && !liveness.is_anyone_absent());
        }
        assert_eq!(liveness.known().collect::<Vec<_>>(), [&id(2)]);
        assert_eq!(liveness.look(now, &[server(1, true), server(2, true)]), []);
        assert!(!liveness.is_gone(&id(1)));
    }

    #[test]
    fn a_server_that_is_no_longer_listed_is_absent_and_then_gone() {
        let (mut liveness, now) = (Liveness::default(), Instant::now());
        liveness.look(now, &[server(1, true)]);
        assert_eq!(liveness.look(now + STEP, &[]), []);
        assert_eq!(liveness.known().count(), 1);
        assert_eq!(liveness.look(now + STEP + GONE_AFTER, &[]), [id(1)]);
        assert_eq!(liveness.look(now + STEP + GONE_AFTER, &[]), []);
        assert_eq!(liveness.known().count(), 0);
    }

    #[test]
    fn absences_begin_anew_after_a_look_that_failed() {
        let (mut liveness, now) = (Liveness::default(), Instant::now());
        liveness.look(now, &[server(1, false)]);
        liveness.pause();
        let later = now + GONE_AFTER;
        assert_eq!(liveness.look(later, &[server(1, false)]), []);
        assert_eq!(
            liveness.look(later + GONE_AFTER, &[server(1, false)]),
            [id(1)]
        );
    }
}
