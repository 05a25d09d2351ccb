//! Admission of connections: a maximum altogether, and a maximum from one address.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rlimit::Resource;
use tokio::sync::Semaphore;

use super::{
    address::TrustedProxies,
    slots::{Slot, Slots},
};

/// The number of files left to the process besides its connections: the database's, the listener,
/// the log.
pub const OWN_FILES: u64 = 128;

/// Settings of [`Admission`].
#[derive(Debug, Clone, Default)]
pub struct AdmissionSettings {
    /// The most connections at once, and likewise the most sessions; without it, as many as the
    /// process may open files, less [`OWN_FILES`].
    pub max_connections: Option<usize>,
    /// The most connections at once from one address, and likewise the most sessions; without it,
    /// no limit. IPv6 addresses count by networks of 64 bits.
    pub max_per_address: Option<usize>,
    /// The proxies that are believed about their clients. Their own connections do not count as
    /// from one address.
    pub trusted_proxies: TrustedProxies,
}

/// Admits connections while there are free slots.
#[derive(Debug, Clone)]
pub struct Admission {
    connections: Slots,
    max: usize,
    max_per_address: Option<usize>,
    proxies: TrustedProxies,
    refused: Arc<AtomicU64>,
}

impl From<AdmissionSettings> for Admission {
    fn from(settings: AdmissionSettings) -> Self {
        let max = settings
            .max_connections
            .or_else(spare_files)
            .map_or(Semaphore::MAX_PERMITS, |max| {
                max.min(Semaphore::MAX_PERMITS)
            });
        Self {
            connections: Slots::new(max, settings.max_per_address),
            max,
            max_per_address: settings.max_per_address,
            proxies: settings.trusted_proxies,
            refused: Arc::default(),
        }
    }
}

fn spare_files() -> Option<usize> {
    let (files, _) = Resource::NOFILE.get().ok()?;
    usize::try_from(files.saturating_sub(OWN_FILES).max(1)).ok()
}

impl Admission {
    /// Returns the trusted proxies.
    pub fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// Creates free slots with the same maxima as those of the connections.
    pub fn new_slots(&self) -> Slots {
        Slots::new(self.max, self.max_per_address)
    }

    /// Returns the number of open connections.
    pub fn open(&self) -> usize {
        self.max - self.connections.free()
    }

    /// Returns the number of connections refused so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Admits a connection if there is a slot for it.
    pub(super) fn admit(&self, peer: IpAddr) -> Option<Slot> {
        let address = (!self.proxies.contains(peer)).then_some(peer);
        let slot = self.connections.take(address);
        if slot.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        slot
    }
}
