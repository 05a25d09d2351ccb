//! The parties with clients on this server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::{
    chat::Participant,
    model::{Part, RoomId},
};

/// A part in the call of a room.
pub(super) type Place = (RoomId, Part);

/// The clients that are parties of calls, each the latest one of its party.
#[derive(Debug, Default)]
pub(super) struct Parties(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    clients: HashMap<Place, Entry>,
    /// The number of the latest entry.
    entries: u64,
}

/// A client's entry into a call.
#[derive(Debug)]
struct Entry {
    number: u64,
    client: Weak<Participant>,
}

/// A party that is here, with the number of its entry: it may leave and enter again meanwhile.
pub(super) type Here = (Place, u64);

impl Parties {
    /// Makes a client a party. Returns false when it is not in the room any more.
    pub(super) fn enter(&self, room: &RoomId, part: Part, client: &Arc<Participant>) -> bool {
        let state = &mut *self.lock();
        if !client.set_part(room, part.clone()) {
            return false;
        }
        state.entries += 1;
        let entry = Entry {
            number: state.entries,
            client: Arc::downgrade(client),
        };
        state.clients.insert((room.clone(), part), entry);
        true
    }

    /// Returns the parties with clients here, and forgets the others.
    pub(super) fn here(&self) -> Vec<Here> {
        let clients = &mut self.lock().clients;
        clients.retain(|(room, part), entry| {
            let client = entry.client.upgrade();
            client.is_some_and(|client| client.part(room).as_ref() == Some(part))
        });
        let here = clients.iter();
        here.map(|(place, entry)| (place.clone(), entry.number))
            .collect()
    }

    /// Forgets a party whose call is over, or goes on without it, unless it has entered again.
    pub(super) fn forget(&self, (place, number): &Here) {
        let clients = &mut self.lock().clients;
        if clients
            .get(place)
            .is_some_and(|entry| entry.number == *number)
            && let Some(client) = clients
                .remove(place)
                .and_then(|entry| entry.client.upgrade())
        {
            client.end_part(&place.0, &place.1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
