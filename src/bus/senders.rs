//! The numbers of the other servers' payloads: a gap means that some were lost.

use std::collections::HashMap;

use uuid::Uuid;

/// The most servers remembered, ended ones included.
const MAX_SENDERS: usize = 1_024;

/// The latest payload of each other server.
#[derive(Debug, Default)]
pub(super) struct Senders(HashMap<Uuid, u64>);

impl Senders {
    /// Notes a payload's number. Returns true unless it follows the sender's previous one.
    pub(super) fn note_gap(&mut self, sender: Uuid, number: u64) -> bool {
        if self.0.len() >= MAX_SENDERS && !self.0.contains_key(&sender) {
            self.0.clear();
        }
        let previous = self.0.insert(sender, number);
        previous.is_some_and(|previous| number != previous + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_payload_is_noticed_once_and_each_sender_has_its_own_numbers() {
        let mut senders = Senders::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let heard = [(one, 7), (other, 1), (one, 8), (other, 3), (other, 4)];
        let gaps = heard.map(|(sender, number)| senders.note_gap(sender, number));
        assert_eq!(gaps, [false, false, false, true, false]);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut senders = Senders::default();
        for number in 0..2 * MAX_SENDERS as u128 {
            senders.note_gap(Uuid::from_u128(number), 1);
            assert!(senders.0.len() <= MAX_SENDERS);
        }
    }
}
