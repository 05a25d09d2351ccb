//! New positions of readers, told to the members of small rooms.
//!
//! Receipts would cost the square of a room's size: they go out at most once a second, and not at
//! all in a large room.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::fanout;
use crate::model::{Read, RoomId, Seq, UserId};

/// The least time between two packets with reads of a room.
pub const READS_INTERVAL: Duration = Duration::from_secs(1);

/// The most members of a room that are told of reads.
pub const MAX_TOLD: usize = 100;

/// The most readers in a packet. A small room has more only when users mark it from outside.
const MAX_READERS: usize = 256;

/// The positions since the last packet.
#[derive(Debug)]
pub(super) struct Reads {
    new: HashMap<UserId, Seq>,
    quiet_until: Instant,
}

impl Reads {
    pub(super) fn new() -> Self {
        Self {
            new: HashMap::new(),
            quiet_until: Instant::now(),
        }
    }

    /// Adds a reader's position, unless a later one is known or there are too many.
    pub(super) fn add(&mut self, user: UserId, seq: Seq) {
        if self.new.len() < MAX_READERS || self.new.contains_key(&user) {
            let newest = self.new.entry(user).or_default();
            *newest = seq.max(*newest);
        }
    }

    /// Returns the time of the next [`Reads::tick`].
    pub(super) fn next_tick(&self) -> Option<Instant> {
        (!self.new.is_empty()).then_some(self.quiet_until)
    }

    /// Returns the packet now due, if any; a room with too many members gets none.
    pub(super) fn tick(&mut self, room_id: &RoomId, members: usize) -> Option<fanout::Reads> {
        let now = Instant::now();
        if self.new.is_empty() || now < self.quiet_until {
            return None;
        }
        self.quiet_until = now + READS_INTERVAL;
        let new = self.new.drain();
        let reads = new.map(|(user_id, seq)| Read { user_id, seq }).collect();
        (members <= MAX_TOLD).then(|| fanout::Reads {
            room_id: room_id.clone(),
            reads,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: impl ToString) -> UserId {
        name.to_string().as_str().try_into().unwrap()
    }

    fn seq(number: i64) -> Seq {
        number.try_into().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn reads_go_out_at_most_once_a_second_each_reader_with_the_furthest_position() {
        let (mut reads, room) = (Reads::new(), "r".try_into().unwrap());
        reads.add(user("ann"), seq(3));
        let told = reads.tick(&room, 2).unwrap();
        assert_eq!(told.reads.len(), 1);
        for number in [7, 5, 6] {
            reads.add(user("ann"), seq(number));
        }
        assert!(reads.tick(&room, 2).is_none(), "a second has not passed");
        tokio::time::advance(READS_INTERVAL).await;
        let told = reads.tick(&room, 2).unwrap();
        assert_eq!(
            told.reads,
            [Read {
                user_id: user("ann"),
                seq: seq(7)
            }]
        );
        assert!(reads.next_tick().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_room_is_not_told_and_strangers_do_not_fill_the_memory() {
        let (mut reads, room) = (Reads::new(), "r".try_into().unwrap());
        for number in 0..2 * MAX_READERS {
            reads.add(user(number), seq(1));
        }
        assert!(reads.tick(&room, MAX_TOLD + 1).is_none());
        assert!(reads.next_tick().is_none(), "they are forgotten");
        tokio::time::advance(READS_INTERVAL).await;
        for number in 0..2 * MAX_READERS {
            reads.add(user(number), seq(1));
        }
        let told = reads.tick(&room, MAX_TOLD).unwrap();
        assert_eq!(told.reads.len(), MAX_READERS);
    }
}
