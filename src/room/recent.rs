//! A room's newest messages, kept in memory to spare joins a read of the database.

use std::{collections::VecDeque, sync::Arc};

use uuid::Uuid;

use super::{
    answer::{self, Answer},
    budget::Share,
};
use crate::{
    model::{EncodedMessage, Message, Seq},
    store::Keep,
};

/// The most messages in an active room's memory: the largest limit of a join.
pub const CAPACITY: usize = 200;

/// The most bytes of messages in a room's memory while a joiner reads the log; more than the
/// largest answer.
const HELD_BYTES: usize = 1024 * 1024;

/// The approximate bytes of a kept message besides its JSON.
const MESSAGE_OVERHEAD: usize = 256;

/// The end of a room's log: all messages after `floor`, up to `cursor`.
#[derive(Debug)]
pub(super) struct Recent {
    /// The newest message *not* kept; 0 when all are kept.
    floor: Seq,
    /// The newest message.
    cursor: Seq,
    /// The newest message's id; none in an empty room.
    newest_id: Option<Uuid>,
    messages: VecDeque<EncodedMessage>,
    share: Share,
    /// Shared with the [`Hold`]s.
    held: Arc<()>,
}

/// A joiner's hold on a room's memory while it reads the log. Until it is dropped, the room may keep
/// [`HELD_BYTES`] beyond its allowance, so the messages after the page are still in memory when the
/// joiner returns; all rooms together keep at most [`ALL_HELD_BYTES`](super::budget::ALL_HELD_BYTES).
#[derive(Debug)]
pub(super) struct Hold {
    /// The room's newest message when the hold began.
    through: Seq,
    held: Arc<()>,
}

/// A page read by a joiner.
#[derive(Debug)]
pub(super) struct Older {
    /// The newest messages up to the start of the hold, oldest first: one more than the answer's
    /// limit, if the log has as many.
    pub(super) messages: Vec<EncodedMessage>,
    pub(super) hold: Hold,
}

/// The comparison of a reported message with the room's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The room had this message.
    Same,
    /// The room had another message in its place.
    Other,
    /// The room had none in its place.
    Gap,
    /// Its place lies before the room's memory.
    Forgotten,
}

impl Recent {
    /// Starts from the newest messages, oldest first; `complete` when the log has no older ones.
    pub(super) fn new(newest: &[Message], complete: bool, share: Share) -> Self {
        let last = newest.last();
        let cursor = last.map_or(Seq::ZERO, |message| message.seq);
        let newest_id = last.map(|message| message.id);
        let floor = match newest.first() {
            Some(oldest) if !complete => oldest.seq.previous(),
            _ => Seq::ZERO,
        };
        let mut recent = Self {
            floor,
            cursor,
            newest_id,
            messages: VecDeque::new(),
            share,
            held: Arc::default(),
        };
        for message in newest.iter().rev() {
            let message = EncodedMessage::from(message);
            recent.share.take(weight(&message));
            recent.messages.push_front(message);
            if recent.share.is_exceeded() {
                recent.forget_oldest();
                break;
            }
        }
        recent
    }

    pub(super) fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Returns the id of the newest message; none in an empty room.
    pub(super) fn newest_id(&self) -> Option<Uuid> {
        self.newest_id
    }

    /// Adds the room's next message.
    pub(super) fn push(&mut self, message: EncodedMessage) {
        self.cursor = message.seq;
        self.newest_id = Some(message.id);
        self.share.take(weight(&message));
        self.messages.push_back(message);
        self.trim();
    }

    /// Forgets the oldest messages until the rest is within bounds.
    fn trim(&mut self) {
        while !self.messages.is_empty() && self.is_overfull() {
            self.forget_oldest();
        }
    }

    fn is_overfull(&self) -> bool {
        let is_held = Arc::strong_count(&self.held) > 1;
        self.messages.len() > CAPACITY
            || if is_held {
                self.share.is_exceeded_while_held(HELD_BYTES)
            } else {
                self.share.is_exceeded()
            }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.messages.pop_front() {
            self.share.give_back(weight(&oldest));
            self.floor = oldest.seq;
        }
    }

    /// Compares a message up to the cursor with the room's own.
    pub(super) fn compare(&self, seq: Seq, id: Uuid) -> Comparison {
        let place = self.messages.partition_point(|message| message.seq < seq);
        let kept = self
            .messages
            .get(place)
            .filter(|message| message.seq == seq)
            .map(|message| message.id);
        match kept.or(self.newest_id.filter(|_| seq == self.cursor)) {
            Some(had) if had == id => Comparison::Same,
            Some(_) => Comparison::Other,
            None if seq <= self.floor => Comparison::Forgotten,
            None => Comparison::Gap,
        }
    }

    /// Returns the newest `limit` messages after `after`, or `None` when memory does not reach far
    /// enough.
    pub(super) fn newest(&self, after: Seq, limit: usize) -> Option<Answer> {
        let start = self
            .messages
            .partition_point(|message| message.seq <= after);
        let found = self.messages.len() - start;
        if found < limit && after < self.floor {
            return None;
        }
        let (newest, left_out) =
            answer::fit(self.messages.range(start..).cloned(), limit, Keep::Newest);
        Some((newest, left_out || after < self.floor))
    }

    /// Holds the messages after the newest one for a joiner that is about to read the log up to it.
    pub(super) fn hold(&self) -> Hold {
        Hold {
            through: self.cursor,
            held: self.held.clone(),
        }
    }

    /// Returns the newest `limit` messages of a page and of memory after it, or `None` when memory
    /// does not reach back to the page.
    pub(super) fn newest_with(&mut self, older: Older, limit: usize) -> Option<Answer> {
        let Older { mut messages, hold } = older;
        let continues = Arc::ptr_eq(&hold.held, &self.held) && hold.through >= self.floor;
        let start = self
            .messages
            .partition_point(|message| message.seq <= hold.through);
        messages.extend(self.messages.range(start..).cloned());
        drop(hold);
        self.trim();
        continues.then(|| answer::fit(messages.into_iter(), limit, Keep::Newest))
    }
}

/// Returns the approximate bytes of a kept message.
fn weight(message: &EncodedMessage) -> usize {
    message.json().len() + MESSAGE_OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        model::{Body, Draft},
        room::{
            answer::MAX_ANSWER_BYTES,
            budget::{ALL_HELD_BYTES, ALL_ROOMS_BYTES, Budget, ROOM_BYTES},
        },
    };

    fn share() -> Share {
        Share::new(Arc::new(Budget::default()))
    }

    fn message(seq: i64) -> Message {
        said(seq, "hi")
    }

    fn said(seq: i64, text: &str) -> Message {
        let body = Body::parse(text, text.len()).unwrap();
        let (room, user) = ("room".try_into().unwrap(), "user".try_into().unwrap());
        let mut draft = Draft::new(room, user, None, body, None);
        draft.id = Uuid::from_u128(seq as u128);
        draft.at(seq.try_into().unwrap())
    }

    fn recent(seqs: std::ops::RangeInclusive<i64>, complete: bool) -> Recent {
        Recent::new(&seqs.map(message).collect::<Vec<_>>(), complete, share())
    }

    fn newest(recent: &Recent, after: i64, limit: usize) -> Option<(Vec<i64>, bool)> {
        let (messages, has_more) = recent.newest(after.try_into().unwrap(), limit)?;
        Some((messages.iter().map(|m| m.seq.get()).collect(), has_more))
    }

    #[test]
    fn an_empty_room_has_an_empty_history() {
        let recent = Recent::new(&[], true, share());
        assert_eq!(newest(&recent, 0, 50), Some((vec![], false)));
        assert_eq!(newest(&recent, 7, 50), Some((vec![], false)));
        assert_eq!(recent.cursor(), Seq::ZERO);
    }

    #[test]
    fn an_answer_has_the_newest_messages_and_says_when_older_ones_were_left_out() {
        let recent = recent(1..=5, true);
        assert_eq!(newest(&recent, 0, 50), Some((vec![1, 2, 3, 4, 5], false)));
        assert_eq!(newest(&recent, 0, 2), Some((vec![4, 5], true)));
        assert_eq!(newest(&recent, 3, 2), Some((vec![4, 5], false)));
        assert_eq!(newest(&recent, 0, 0), Some((vec![], true)));
        assert_eq!(newest(&recent, 9, 2), Some((vec![], false)));
    }

    #[test]
    fn an_answer_beyond_memory_is_not_given_from_memory() {
        let recent = recent(11..=15, false);
        assert_eq!(
            newest(&recent, 0, 5),
            Some((vec![11, 12, 13, 14, 15], true))
        );
        assert_eq!(newest(&recent, 0, 6), None);
        assert_eq!(newest(&recent, 9, 6), None);
        assert_eq!(
            newest(&recent, 10, 6),
            Some((vec![11, 12, 13, 14, 15], false))
        );
    }

    #[test]
    fn the_oldest_messages_are_forgotten_beyond_the_capacity() {
        let mut recent = recent(1..=3, true);
        for seq in 4..=(CAPACITY as i64 + 2) {
            recent.push((&message(seq)).into());
        }
        assert_eq!(newest(&recent, 0, CAPACITY).unwrap().0.len(), CAPACITY);
        assert_eq!(newest(&recent, 0, CAPACITY).unwrap().0[0], 3);
        assert_eq!(
            newest(&recent, 2, CAPACITY).map(|(_, more)| more),
            Some(false)
        );
        assert_eq!(newest(&recent, 1, CAPACITY + 1), None);
    }

    #[test]
    fn long_messages_are_forgotten_sooner() {
        let long = "\u{1}".repeat(8_000);
        let read: Vec<_> = (1..=50).map(|seq| said(seq, &long)).collect();
        let mut recent = Recent::new(&read, true, share());
        for seq in 51..=100 {
            let kept: usize = recent.messages.iter().map(weight).sum();
            assert!((ROOM_BYTES / 2..=ROOM_BYTES).contains(&kept), "{kept}");
            recent.push((&said(seq, &long)).into());
        }
        let kept = recent.messages.len();
        assert_eq!(
            newest(&recent, 0, kept).map(|(seqs, more)| (seqs.len(), more)),
            Some((kept, true))
        );
        assert_eq!(newest(&recent, 0, kept + 1), None);
        assert_eq!(recent.cursor().get(), 100);
    }

    #[test]
    fn one_message_larger_than_a_room_may_keep_is_counted_and_not_kept() {
        let mut recent = Recent::new(&[], true, share());
        recent.push((&said(1, &"x".repeat(ROOM_BYTES))).into());
        assert_eq!(newest(&recent, 0, 1), None);
        assert_eq!(newest(&recent, 1, 1), Some((vec![], false)));
        assert_eq!(
            recent.compare(Seq::ZERO.next(), Uuid::from_u128(1)),
            Comparison::Same
        );
    }

    #[test]
    fn messages_after_a_hold_are_kept_for_its_holder() {
        let long = "x".repeat(ROOM_BYTES / 2);
        let mut recent = recent(11..=12, false);
        let older = Older {
            messages: (9..=12).map(|seq| (&message(seq)).into()).collect(),
            hold: recent.hold(),
        };
        for seq in 13..=15 {
            recent.push((&said(seq, &long)).into());
        }
        let (messages, has_more) = recent.newest_with(older, 6).unwrap();
        let seqs: Vec<_> = messages.iter().map(|message| message.seq.get()).collect();
        assert_eq!((seqs, has_more), (vec![10, 11, 12, 13, 14, 15], true));
        let kept: usize = recent.messages.iter().map(weight).sum();
        assert!(kept <= ROOM_BYTES, "{kept}");
    }

    #[test]
    fn rooms_held_by_joiners_are_bounded_together() {
        const ROOMS: usize = 400;
        let budget = Arc::new(Budget::default());
        let long = EncodedMessage::from(&said(1, &"x".repeat(ROOM_BYTES / 2)));
        let held = (0..ROOMS).map(|_| {
            let mut recent = Recent::new(&[], true, Share::new(budget.clone()));
            let hold = recent.hold();
            (0..8).for_each(|_| recent.push(long.clone()));
            (recent, hold)
        });
        let held: Vec<_> = held.collect();
        let kept = |(recent, _): &(Recent, Hold)| recent.messages.iter().map(weight).sum::<usize>();
        assert!(kept(&held[0]) > 2 * ROOM_BYTES);
        let all: usize = held.iter().map(kept).sum();
        assert!(
            (2 * ALL_ROOMS_BYTES..ALL_HELD_BYTES + ROOM_BYTES).contains(&all),
            "{all}"
        );
    }

    #[test]
    fn a_page_that_does_not_reach_what_is_kept_is_no_answer() {
        let long = "x".repeat(ROOM_BYTES / 2);
        let mut recent = recent(1..=2, true);
        let older = |hold| Older {
            messages: vec![],
            hold,
        };
        let hold = recent.hold();
        for seq in 3..=20 {
            recent.push((&said(seq, &long)).into());
        }
        assert!(recent.newest_with(older(hold), 20).is_none());
        let before = recent.hold();
        let mut anew = Recent::new(&[message(1)], true, share());
        assert!(anew.newest_with(older(before), 20).is_none());
    }

    #[test]
    fn a_reported_message_is_compared_with_the_rooms_own() {
        let mut recent = recent(3..=4, false);
        recent.push((&message(6)).into());
        let compare = |seq, id| recent.compare(Seq::try_from(seq).unwrap(), Uuid::from_u128(id));
        assert_eq!(compare(6, 6), Comparison::Same);
        assert_eq!(compare(3, 3), Comparison::Same);
        assert_eq!(compare(4, 9), Comparison::Other);
        assert_eq!(compare(5, 5), Comparison::Gap);
        assert_eq!(compare(2, 2), Comparison::Forgotten);
    }

    #[test]
    fn an_answer_ends_at_its_most_bytes_and_has_at_least_one_message() {
        let messages: Vec<_> = (1..=3)
            .map(|seq| EncodedMessage::from(&said(seq, &"x".repeat(MAX_ANSWER_BYTES / 2))))
            .collect();
        let fit = |keep, limit| {
            let (kept, left_out) = answer::fit(messages.iter().cloned(), limit, keep);
            (
                kept.iter()
                    .map(|message| message.seq.get())
                    .collect::<Vec<_>>(),
                left_out,
            )
        };
        assert_eq!(fit(Keep::Newest, 3), (vec![3], true));
        assert_eq!(fit(Keep::Oldest, 3), (vec![1], true));
        assert_eq!(fit(Keep::Oldest, 0), (vec![], true));
    }
}
