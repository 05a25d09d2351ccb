//! How many may be connected at once, altogether and from one address, and how often an address may
//! come.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rlimit::Resource;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::{TrustedProxies, counted_as};
use crate::{
    error::Error,
    rates::{Limiter, Rate},
};

/// How many files the process may need open besides connections: the database's, the listener, the
/// log.
pub const OWN_FILES: u64 = 128;

/// When a client may try again for whose session there is no place.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a deployment may set.
#[derive(Debug, Clone)]
pub struct AdmissionSettings {
    /// The most connections at once, and likewise the most sessions; none: as many as the process
    /// may open files, less [`OWN_FILES`].
    pub max_connections: Option<usize>,
    /// The most connections at once from one address, and likewise the most sessions; none: no
    /// limit. IPv6 addresses count by networks of 64 bits.
    pub max_per_address: Option<usize>,
    /// How often one address may begin a session.
    pub sessions: Rate,
    /// Who is believed when they say whom they speak for; their own connections do not count as
    /// from one address.
    pub trusted_proxies: TrustedProxies,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self {
            max_connections: None,
            max_per_address: None,
            sessions: Rate::UNLIMITED,
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

/// Counts who is connected.
#[derive(Debug, Clone)]
pub struct Admission {
    connections: Places,
    sessions: Places,
    begun: Arc<Limiter<IpAddr>>,
    proxies: TrustedProxies,
}

/// Places for connections, or for sessions: altogether, and from one address.
#[derive(Debug, Clone)]
struct Places {
    all: Arc<Semaphore>,
    addresses: Arc<Addresses>,
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub struct Place {
    _place: OwnedSemaphorePermit,
    _address: Option<AddressPlace>,
}

impl Places {
    fn new(all: usize, max_per_address: Option<usize>) -> Self {
        let addresses = Addresses {
            max: max_per_address,
            counts: Mutex::default(),
        };
        Self {
            all: Arc::new(Semaphore::new(all)),
            addresses: Arc::new(addresses),
        }
    }

    /// Takes a place, from an address if it is one of a client, if there is one left.
    fn enter(&self, client: Option<IpAddr>) -> Option<Place> {
        let place = self.all.clone().try_acquire_owned().ok()?;
        let address = match client.filter(|_| self.addresses.max.is_some()) {
            Some(client) => Some(self.addresses.enter(client)?),
            None => None,
        };
        Some(Place {
            _place: place,
            _address: address,
        })
    }
}

impl From<AdmissionSettings> for Admission {
    fn from(settings: AdmissionSettings) -> Self {
        let max = settings
            .max_connections
            .or_else(spare_files)
            .unwrap_or(Semaphore::MAX_PERMITS);
        let places = || Places::new(max.min(Semaphore::MAX_PERMITS), settings.max_per_address);
        Self {
            connections: places(),
            sessions: places(),
            begun: Arc::new(Limiter::new(settings.sessions)),
            proxies: settings.trusted_proxies,
        }
    }
}

fn spare_files() -> Option<usize> {
    let (files, _) = Resource::NOFILE.get().ok()?;
    usize::try_from(files.saturating_sub(OWN_FILES).max(1)).ok()
}

impl Admission {
    /// Returns the proxies that are believed.
    pub fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// A place for a connection, if there is one left.
    pub(super) fn connection(&self, peer: IpAddr) -> Option<Place> {
        self.connections
            .enter((!self.proxies.contains(peer)).then_some(peer))
    }

    /// Takes a place for a session, whatever carries it, by its client's address.
    ///
    /// # Errors
    /// [`Error::RateLimited`] when the client's address has come too often, or there are too many
    /// of it, or altogether.
    pub fn session<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Result<Place, Error> {
        let client = self.proxies.client(peer, forwarded);
        self.begun.check(&counted_as(client))?;
        self.sessions.enter(Some(client)).ok_or(Error::RateLimited {
            retry_after: RETRY_AFTER,
        })
    }
}

/// How many there are from each address.
#[derive(Debug)]
struct Addresses {
    max: Option<usize>,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

impl Addresses {
    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, client: IpAddr) -> Option<AddressPlace> {
        let address = counted_as(client);
        let mut counts = self.counts();
        let count = counts.entry(address).or_default();
        if self.max.is_some_and(|max| *count >= max) {
            return None;
        }
        *count += 1;
        Some(AddressPlace {
            address,
            addresses: self.clone(),
        })
    }
}

#[derive(Debug)]
struct AddressPlace {
    address: IpAddr,
    addresses: Arc<Addresses>,
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn nothing_is_kept_of_an_address_that_nobody_comes_from() {
        let admission = Admission::from(AdmissionSettings {
            max_per_address: Some(2),
            ..AdmissionSettings::default()
        });
        let places: Vec<_> = (0..2).map(|_| admission.connection(PROXY)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(admission.connection(PROXY).is_none());
        drop(places);
        assert!(admission.connections.addresses.counts().is_empty());
        assert!(admission.connection(PROXY).is_some());
    }

    #[test]
    fn behind_a_trusted_proxy_each_client_counts_by_itself() {
        let trusted_proxies = "10.0.0.0/8".parse().unwrap();
        let settings = AdmissionSettings {
            max_per_address: Some(1),
            trusted_proxies,
            ..AdmissionSettings::default()
        };
        let admission = Admission::from(settings);
        let session = |client: &'static str| admission.session(PROXY, [client].into_iter());
        let (_tunnel, _other_tunnel) = (
            admission.connection(PROXY).unwrap(),
            admission.connection(PROXY).unwrap(),
        );
        let ann = session("203.0.113.1").unwrap();
        assert_eq!(session("203.0.113.1").unwrap_err().code(), "RATE_LIMITED");
        assert!(session("203.0.113.2").is_ok());
        drop(ann);
        assert!(session("203.0.113.1").is_ok());
    }
}
