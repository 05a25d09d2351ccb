//! The parties with clients on this server.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::{
    chat::Participant,
    model::{PartyId, RoomId},
};

/// A party, by its room and its own identifier.
type Place = (RoomId, PartyId);

/// The clients that are parties of calls, each the latest one of its party.
#[derive(Debug, Default)]
pub(super) struct Parties(Mutex<HashMap<Place, Weak<Participant>>>);

impl Parties {
    /// Adds a client, which is a party as long as it says so.
    pub(super) fn add(&self, room: &RoomId, party: &PartyId, client: &Arc<Participant>) {
        let place = (room.clone(), party.clone());
        self.lock().insert(place, Arc::downgrade(client));
    }

    /// Returns the parties with clients here, and forgets the others.
    pub(super) fn here(&self) -> Vec<Place> {
        let mut parties = self.lock();
        parties.retain(|(room, party), client| {
            let client = client.upgrade();
            client.is_some_and(|client| client.party(room).as_ref() == Some(party))
        });
        parties.keys().cloned().collect()
    }

    /// Forgets parties of calls that are over, or go on without them.
    pub(super) fn forget(&self, gone: &HashSet<Place>) {
        let mut parties = self.lock();
        for place in gone {
            let client = parties.remove(place).and_then(|client| client.upgrade());
            if let Some(client) = client {
                client.end_party(&place.0, &place.1);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Weak<Participant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
