//! Users known to have written to a room: a first message makes a membership, a later one costs
//! nothing.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

use crate::model::{RoomId, UserId};

/// The most senders in memory. Beyond it all are forgotten, and noted again with their next messages.
const MAX_KNOWN: usize = 65_536;

/// The hashes of senders and their rooms. Of two with the same hash, the second is found by its
/// first read mark only.
#[derive(Default)]
pub(super) struct Senders {
    known: Mutex<HashSet<u64>>,
    hasher: RandomState,
}

impl Senders {
    /// Returns true for the first message of a user in a room, as far as is known.
    pub(super) fn is_new(&self, room: &RoomId, user: &UserId) -> bool {
        let sender = self.hasher.hash_one((room, user));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == MAX_KNOWN && !known.contains(&sender) {
            known.clear();
        }
        known.insert(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_new_once_and_the_memory_is_bounded() {
        let senders = Senders::default();
        let user = |number: usize| number.to_string().as_str().try_into().unwrap();
        let room = "r".try_into().unwrap();
        assert!(senders.is_new(&room, &user(0)));
        assert!(!senders.is_new(&room, &user(0)));
        assert!(senders.is_new(&"other".try_into().unwrap(), &user(0)));
        for number in 0..MAX_KNOWN + 1 {
            senders.is_new(&room, &user(number));
        }
        assert!(senders.known.lock().unwrap().len() <= MAX_KNOWN);
    }
}
