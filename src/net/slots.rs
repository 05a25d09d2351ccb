//! Slots for clients: a maximum altogether, and a maximum from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::client_network;

/// Slots for clients of one kind.
#[derive(Debug, Clone)]
pub struct Slots {
    free: Arc<Semaphore>,
    addresses: Arc<Addresses>,
}

/// A taken slot; dropping it frees the slot.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
    _address: Option<AddressSlot>,
}

impl Slots {
    /// Creates slots, all of them free; without `max_per_address`, one address may take all.
    pub fn new(max: usize, max_per_address: Option<usize>) -> Self {
        let addresses = Addresses {
            max: max_per_address,
            counts: Mutex::default(),
        };
        Self {
            free: Arc::new(Semaphore::new(max)),
            addresses: Arc::new(addresses),
        }
    }

    /// Returns the number of free slots.
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// Takes a slot, if one is free. Without an address, the slot counts towards the total alone.
    pub fn take(&self, address: Option<IpAddr>) -> Option<Slot> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        let address = match address {
            Some(address) if self.addresses.max.is_some() => Some(self.addresses.take(address)?),
            _ => None,
        };
        Some(Slot {
            _permit: permit,
            _address: address,
        })
    }
}

/// The number of taken slots for each address.
#[derive(Debug)]
struct Addresses {
    max: Option<usize>,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

impl Addresses {
    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, address: IpAddr) -> Option<AddressSlot> {
        let network = client_network(address);
        let mut counts = self.counts();
        let count = counts.entry(network).or_default();
        if self.max.is_some_and(|max| *count >= max) {
            return None;
        }
        *count += 1;
        Some(AddressSlot {
            network,
            addresses: self.clone(),
        })
    }
}

#[derive(Debug)]
struct AddressSlot {
    network: IpAddr,
    addresses: Arc<Addresses>,
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts();
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ADDRESS: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

    #[test]
    fn an_address_without_clients_takes_no_memory() {
        let slots = Slots::new(100, Some(2));
        let taken: Vec<_> = (0..2).map(|_| slots.take(ADDRESS)).collect();
        assert!(taken.iter().all(Option::is_some));
        assert!(slots.take(ADDRESS).is_none());
        drop(taken);
        assert!(slots.addresses.counts().is_empty());
        assert!(slots.take(ADDRESS).is_some());
    }
}
