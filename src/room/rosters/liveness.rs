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

    /// Notes a server on a list.
    pub(super) fn note(&mut self, server: ServerId) {
        self.known.entry(server).or_default();
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
