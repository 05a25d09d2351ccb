//! The members on other servers.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    bus::{Roster, ServerId},
    model::UserId,
};

/// News of a room's rosters on other servers.
#[derive(Debug, Clone)]
pub struct RostersRead {
    /// The rosters of the servers that are listed. A listed server without one has no members.
    pub rosters: Vec<(ServerId, Roster)>,
    /// Servers that are not listed, and not known to be gone: their rosters stay as they were.
    pub kept: Arc<HashSet<ServerId>>,
}

/// The rosters of a room on other servers.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(HashMap<ServerId, Roster>);

impl Elsewhere {
    /// Takes news in, and returns the rosters before it.
    pub(super) fn replace(&mut self, news: RostersRead) -> Self {
        let mut rosters: HashMap<_, _> = news.rosters.into_iter().collect();
        for (server, roster) in &self.0 {
            if news.kept.contains(server) {
                rosters.insert(*server, roster.clone());
            }
        }
        Self(std::mem::replace(&mut self.0, rosters))
    }

    /// Returns each name on each server.
    pub(super) fn names(&self) -> impl Iterator<Item = &UserId> {
        self.0.values().flat_map(|roster| match roster {
            Roster::Named(names) => names.as_slice(),
            Roster::Counted(_) => &[],
        })
    }

    /// Returns the number of members without names.
    pub(super) fn unnamed(&self) -> usize {
        let counts = self.0.values().map(|roster| match roster {
            Roster::Named(_) => 0,
            Roster::Counted(count) => *count,
        });
        counts.sum()
    }
}
