//! The counts of the clients' doings.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts of what happened so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Clients at this moment.
    pub clients: AtomicU64,
    /// Messages acknowledged as stored.
    pub sent: AtomicU64,
    /// Messages received by clients.
    pub received: AtomicU64,
    /// Connections that ended without a goodbye.
    pub cuts: AtomicU64,
    pub reconnects: AtomicU64,
    /// Slow readers that the server disconnected.
    pub overflows: AtomicU64,
    /// Failed lives, by error.
    pub errors: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    /// Returns all counts but the errors, in the order of the fields.
    pub fn numbers(&self) -> [u64; 6] {
        [
            &self.clients,
            &self.sent,
            &self.received,
            &self.cuts,
            &self.reconnects,
            &self.overflows,
        ]
        .map(|count| count.load(Ordering::Relaxed))
    }
}

/// A drop guard that counts a client as present.
pub struct Present<'a>(&'a Counts);

impl<'a> Present<'a> {
    pub fn new(counts: &'a Counts) -> Self {
        add(&counts.clients);
        Self(counts)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

pub fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
