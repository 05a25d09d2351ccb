//! The parties with clients on this server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::{
    chat::Participant,
    model::{CallId, Part, PartyId, RoomId},
};

/// A part in the call of a room.
pub(super) type Place = (RoomId, Part);

/// The clients that are parties of calls, each the latest one of its party.
#[derive(Debug, Default)]
pub(super) struct Parties(Mutex<HashMap<(RoomId, PartyId), Entered>>);

/// A client in a call.
#[derive(Debug)]
struct Entered {
    part: Part,
    client: Weak<Participant>,
}

impl Entered {
    /// Ends the client's part.
    fn end(&self, room: &RoomId) {
        if let Some(client) = self.client.upgrade() {
            client.end_part(room, &self.part);
        }
    }
}

impl Parties {
    /// Makes a client a party, in the place of the one before. Returns false when it is not in the room any more.
    pub(super) fn enter(&self, room: &RoomId, part: Part, client: &Arc<Participant>) -> bool {
        let mut parties = self.lock();
        let place = (room.clone(), part.party_id.clone());
        if let Some(before) = parties.remove(&place) {
            before.end(room);
        }
        if !client.set_part(room, part.clone()) {
            return false;
        }
        let client = Arc::downgrade(client);
        parties.insert(place, Entered { part, client });
        true
    }

    /// Returns the parties with clients here, and forgets the others.
    pub(super) fn here(&self) -> Vec<Place> {
        let mut parties = self.lock();
        parties.retain(|(room, _), entered| {
            let client = entered.client.upgrade();
            client.is_some_and(|client| client.part(room).as_ref() == Some(&entered.part))
        });
        let here = parties.iter();
        here.map(|((room, _), entered)| (room.clone(), entered.part.clone()))
            .collect()
    }

    /// Forgets a party that has left its call, by whatever client.
    pub(super) fn leave(&self, room: &RoomId, call_id: &CallId, party_id: &PartyId) {
        self.end(room, party_id, |part| part.call_id == *call_id);
    }

    /// Forgets a party whose call is over, or goes on without it, unless it has entered again.
    pub(super) fn forget(&self, (room, gone): &Place) {
        self.end(room, &gone.party_id, |part| part == gone);
    }

    fn end(&self, room: &RoomId, party_id: &PartyId, is_over: impl Fn(&Part) -> bool) {
        let mut parties = self.lock();
        let place = (room.clone(), party_id.clone());
        if parties.get(&place).is_some_and(|here| is_over(&here.part))
            && let Some(here) = parties.remove(&place)
        {
            here.end(room);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(RoomId, PartyId), Entered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
