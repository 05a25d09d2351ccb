//! How many may be connected at once, altogether and from one address, and how often an address may come.

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

/// How many files the process may need open besides connections: the database's, the listener, the log.
pub const OWN_FILES: u64 = 128;

/// When a client may try again whose address has too many sessions.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a deployment may set.
#[derive(Debug, Clone)]
pub struct AdmissionSettings {
    /// The most connections at once; none: as many as the process may open files, less [`OWN_FILES`].
    pub max_connections: Option<usize>,
    /// The most connections at once from one address; none: no limit. IPv6 addresses count by networks of 64 bits.
    pub max_per_address: Option<usize>,
    /// How often one address may begin a session.
    pub sessions: Rate,
    /// Who is believed when they say whom they speak for; their own connections do not count as from one address.
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
    places: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    sessions: Arc<Limiter<IpAddr>>,
    proxies: TrustedProxies,
}

/// A connection's, which counts as long as it is kept.
#[derive(Debug)]
pub struct Place {
    _place: OwnedSemaphorePermit,
    _address: Option<AddressPlace>,
}

/// A session's, which counts as long as it is kept; boxed, as most have none of their own.
#[derive(Debug)]
pub struct SessionPlace(#[expect(dead_code, reason = "it counts until it is dropped")] Option<Box<AddressPlace>>);

impl From<AdmissionSettings> for Admission {
    fn from(settings: AdmissionSettings) -> Self {
        let places = settings.max_connections.or_else(spare_files).unwrap_or(Semaphore::MAX_PERMITS);
        let max = settings.max_per_address.unwrap_or(usize::MAX);
        Self {
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            addresses: Arc::new(Addresses { max, counts: Mutex::default() }),
            sessions: Arc::new(Limiter::new(settings.sessions)),
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
        let place = self.places.clone().try_acquire_owned().ok()?;
        let address = if self.proxies.contain(peer) { None } else { Some(self.addresses.enter(peer)?) };
        Some(Place { _place: place, _address: address })
    }

    /// A place for a session. Those that come through trusted proxies count by their client's address; others do already, by
    /// their connection.
    ///
    /// Errors: [`Error::RateLimited`] when the client's address has come too often, or has too many.
    pub fn session<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Result<SessionPlace, Error> {
        let client = self.proxies.client(peer, forwarded);
        self.sessions.check(&counted_as(client))?;
        if !self.proxies.contain(peer) {
            return Ok(SessionPlace(None));
        }
        let address = self.addresses.enter(client).ok_or(Error::RateLimited { retry_after: RETRY_AFTER })?;
        Ok(SessionPlace(Some(Box::new(address))))
    }
}

/// How many there are from each address.
#[derive(Debug)]
struct Addresses {
    max: usize,
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
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(AddressPlace { address, addresses: self.clone() })
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
        let admission = Admission::from(AdmissionSettings { max_per_address: Some(2), ..AdmissionSettings::default() });
        let places: Vec<_> = (0..2).map(|_| admission.connection(PROXY)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(admission.connection(PROXY).is_none());
        drop(places);
        assert!(admission.addresses.counts().is_empty());
        assert!(admission.connection(PROXY).is_some());
    }

    #[test]
    fn behind_a_trusted_proxy_each_client_counts_by_itself() {
        let trusted_proxies = "10.0.0.0/8".parse().unwrap();
        let settings = AdmissionSettings { max_per_address: Some(1), trusted_proxies, ..AdmissionSettings::default() };
        let admission = Admission::from(settings);
        let session = |client: &'static str| admission.session(PROXY, [client].into_iter());
        let (_tunnel, _other_tunnel) = (admission.connection(PROXY).unwrap(), admission.connection(PROXY).unwrap());
        let ann = session("203.0.113.1").unwrap();
        assert_eq!(session("203.0.113.1").unwrap_err().code(), "RATE_LIMITED");
        assert!(session("203.0.113.2").is_ok());
        drop(ann);
        assert!(session("203.0.113.1").is_ok());
    }
}
