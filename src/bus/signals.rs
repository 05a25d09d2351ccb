//! Signals on their way to or from the bus, in order, within bounds.

use std::{ops::Deref, vec};

use crate::model::{RoomId, Signal};

/// The most signals under way. Further ones are dropped.
pub const MAX_SIGNALS: usize = 4_096;
/// The most signals under way of which clients' own events are still added: they leave the servers' signals
/// their place.
pub const MAX_RELAYED: usize = 3_072;
/// The most bytes of clients' own events under way, not counting the last one.
pub const MAX_RELAYED_BYTES: usize = 4 * 1024 * 1024;

/// Signals to the members of rooms, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signals {
    list: Vec<(RoomId, Signal)>,
    bytes: usize,
}

impl Signals {
    /// Adds a signal, without a bound.
    pub(super) fn push(&mut self, room: RoomId, signal: Signal) {
        self.bytes += signal.bytes();
        self.list.push((room, signal));
    }

    /// Returns true when a signal still fits.
    pub(super) fn has_room_for(&self, signal: &Signal) -> bool {
        match signal {
            Signal::Relayed(_) => self.list.len() < MAX_RELAYED && self.bytes <= MAX_RELAYED_BYTES,
            _ => self.list.len() < MAX_SIGNALS,
        }
    }

    /// Returns true when so many wait that few clients' own events still fit.
    pub(super) fn are_many(&self) -> bool {
        self.list.len() >= MAX_RELAYED / 2 || self.bytes >= MAX_RELAYED_BYTES / 2
    }
}

impl Deref for Signals {
    type Target = [(RoomId, Signal)];

    fn deref(&self) -> &[(RoomId, Signal)] {
        &self.list
    }
}

impl FromIterator<(RoomId, Signal)> for Signals {
    fn from_iter<I: IntoIterator<Item = (RoomId, Signal)>>(signals: I) -> Self {
        let mut all = Self::default();
        for (room, signal) in signals {
            all.push(room, signal);
        }
        all
    }
}

impl IntoIterator for Signals {
    type Item = (RoomId, Signal);
    type IntoIter = vec::IntoIter<(RoomId, Signal)>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Relayed;

    fn relayed(number: usize, bytes: usize) -> (RoomId, Signal) {
        let data = format!(r#"{{"{number}":"{}"}}"#, "x".repeat(bytes));
        let relayed = Relayed {
            user_id: "ann".try_into().unwrap(),
            party_id: None,
            call_id: None,
            client: 0,
            to: None,
            event: "move".try_into().unwrap(),
            data: serde_json::from_str(&data).unwrap(),
        };
        let room = "a".try_into().unwrap();
        (room, Signal::Relayed(relayed.into()))
    }

    /// Returns as many events as fit, and the number of those before they were many.
    fn full(bytes: usize) -> (Signals, usize) {
        let (mut signals, mut few) = (Signals::default(), 0);
        loop {
            let (room, signal) = relayed(signals.len(), bytes);
            if !signals.has_room_for(&signal) {
                return (signals, few);
            }
            few += usize::from(!signals.are_many());
            signals.push(room, signal);
        }
    }

    #[test]
    fn events_of_clients_are_bounded_and_leave_the_servers_signals_their_place() {
        for (bytes, most) in [(0, MAX_RELAYED), (16_000, 1 + MAX_RELAYED_BYTES / 16_000)] {
            let (mut signals, _) = full(bytes);
            assert!(
                (most - 2..=most).contains(&signals.len()),
                "{}",
                signals.len()
            );
            while signals.len() < MAX_SIGNALS {
                let user_id = "ann".try_into().unwrap();
                let followed = Signal::Followed { user_id };
                assert!(signals.has_room_for(&followed));
                signals.push("a".try_into().unwrap(), followed);
            }
        }
    }

    #[test]
    fn events_are_many_while_half_of_them_still_fit() {
        for bytes in [0, 16_000] {
            let (signals, few) = full(bytes);
            let half = signals.len() / 2;
            assert!(
                (half - 1..=half + 1).contains(&few),
                "{few}, half of {}",
                signals.len()
            );
        }
    }
}
