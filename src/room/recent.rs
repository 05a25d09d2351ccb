//! The newest messages of a room, kept in memory so that joining reads no database.

use std::collections::VecDeque;

use crate::model::{Post, Seq};

/// How many messages an active room keeps: as many as the largest join can ask for.
pub const CAPACITY: usize = 200;

/// The end of a room's log: all messages after `floor`, up to `cursor`.
#[derive(Debug)]
pub(super) struct Recent {
    /// The newest message that is *not* kept; 0 when all are.
    floor: Seq,
    /// The newest message of all.
    cursor: Seq,
    messages: VecDeque<Post>,
}

impl Recent {
    /// Starts from the newest messages, oldest first; `complete` says that there are no older ones.
    pub(super) fn new(newest: Vec<Post>, complete: bool) -> Self {
        let cursor = newest.last().map_or(Seq::ZERO, |message| message.seq);
        let messages = VecDeque::from(newest);
        let floor = match messages.front() {
            Some(oldest) if !complete => before(oldest),
            _ => Seq::ZERO,
        };
        Self { floor, cursor, messages }
    }

    pub(super) fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Takes the room's next message.
    pub(super) fn push(&mut self, message: Post) {
        self.cursor = message.seq;
        self.messages.push_back(message);
        if self.messages.len() > CAPACITY {
            self.floor = self.messages.pop_front().map_or(self.floor, |oldest| oldest.seq);
        }
    }

    /// The newest `limit` messages after `after`, oldest first, and whether there are older ones after it; nothing when
    /// they are not all kept.
    pub(super) fn newest(&self, after: Seq, limit: usize) -> Option<(Vec<Post>, bool)> {
        let start = self.messages.partition_point(|message| message.seq <= after);
        let found = self.messages.len() - start;
        if found < limit && after < self.floor {
            return None;
        }
        let skipped = found.saturating_sub(limit);
        let newest = self.messages.range(start + skipped..).cloned().collect();
        let has_more = skipped > 0 || after < self.floor;
        Some((newest, has_more))
    }
}

fn before(message: &Post) -> Seq {
    Seq::try_from(message.seq.get() - 1).unwrap_or(Seq::ZERO)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{Body, Draft};

    fn message(seq: i64) -> Post {
        let body = Body::parse("hi", 10).unwrap();
        let (room, user) = ("room".try_into().unwrap(), "user".try_into().unwrap());
        let mut draft = Draft::new(room, user, None, body, None);
        draft.id = Uuid::from_u128(seq as u128);
        Post::from(&draft.at(seq.try_into().unwrap()))
    }

    fn recent(seqs: std::ops::RangeInclusive<i64>, complete: bool) -> Recent {
        Recent::new(seqs.map(message).collect(), complete)
    }

    fn newest(recent: &Recent, after: i64, limit: usize) -> Option<(Vec<i64>, bool)> {
        let (messages, has_more) = recent.newest(after.try_into().unwrap(), limit)?;
        Some((messages.iter().map(|m| m.seq.get()).collect(), has_more))
    }

    #[test]
    fn an_empty_room_has_an_empty_history() {
        let recent = Recent::new(vec![], true);
        assert_eq!(newest(&recent, 0, 50), Some((vec![], false)));
        assert_eq!(newest(&recent, 7, 50), Some((vec![], false)));
        assert_eq!(recent.cursor(), Seq::ZERO);
    }

    #[test]
    fn the_newest_are_given_and_older_ones_announced() {
        let recent = recent(1..=5, true);
        assert_eq!(newest(&recent, 0, 50), Some((vec![1, 2, 3, 4, 5], false)));
        assert_eq!(newest(&recent, 0, 2), Some((vec![4, 5], true)));
        assert_eq!(newest(&recent, 3, 2), Some((vec![4, 5], false)));
        assert_eq!(newest(&recent, 0, 0), Some((vec![], true)));
        assert_eq!(newest(&recent, 9, 2), Some((vec![], false)));
    }

    #[test]
    fn what_is_not_kept_is_not_made_up() {
        let recent = recent(11..=15, false);
        assert_eq!(newest(&recent, 0, 5), Some((vec![11, 12, 13, 14, 15], true)));
        assert_eq!(newest(&recent, 0, 6), None);
        assert_eq!(newest(&recent, 9, 6), None);
        assert_eq!(newest(&recent, 10, 6), Some((vec![11, 12, 13, 14, 15], false)));
    }

    #[test]
    fn the_oldest_make_way() {
        let mut recent = recent(1..=3, true);
        for seq in 4..=(CAPACITY as i64 + 2) {
            recent.push(message(seq));
        }
        assert_eq!(newest(&recent, 0, CAPACITY).unwrap().0.len(), CAPACITY);
        assert_eq!(newest(&recent, 0, CAPACITY).unwrap().0[0], 3);
        assert_eq!(newest(&recent, 2, CAPACITY).map(|(_, more)| more), Some(false));
        assert_eq!(newest(&recent, 1, CAPACITY + 1), None);
    }
}
