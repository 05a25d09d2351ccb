//! The newest messages of a room, kept in memory so that joining reads no database.

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

/// How many messages an active room keeps at most: as many as the largest join can ask for.
pub const CAPACITY: usize = 200;

/// The most bytes of messages that a room keeps while a joiner reads the log; more than the largest
/// answer has.
const HELD_BYTES: usize = 1024 * 1024;

/// About what a kept message takes besides its JSON, in bytes.
const POST_BYTES: usize = 256;

/// The end of a room's log: all messages after `floor`, up to `cursor`.
#[derive(Debug)]
pub(super) struct Recent {
    /// The newest message that is *not* kept; 0 when all are.
    floor: Seq,
    /// The newest message of all.
    cursor: Seq,
    /// Which message that is; nothing in an empty room.
    newest_id: Option<Uuid>,
    messages: VecDeque<EncodedMessage>,
    share: Share,
    /// Shared with the [`Hold`]s.
    held: Arc<()>,
}

/// A joiner's hold on a room's memory while it reads the log: meanwhile only [`CAPACITY`] and
/// [`HELD_BYTES`] bound what the room keeps, so that the messages after the hold are there when the
/// joiner is back.
#[derive(Debug)]
pub(super) struct Hold {
    /// The room's newest message when the hold began.
    through: Seq,
    held: Arc<()>,
}

/// A page of the log that ends at its hold.
#[derive(Debug)]
pub(super) struct Older {
    /// The newest messages up to the hold, oldest first: one more than the answer's limit, if there
    /// are so many.
    pub(super) messages: Vec<EncodedMessage>,
    pub(super) hold: Hold,
}

/// A message that is said to be in the log, compared with what the room has had from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The room has had it.
    Same,
    /// The room has had another one in its place.
    Other,
    /// The room has had none in its place.
    Gap,
    /// It lies before what the room keeps.
    Forgotten,
}

impl Recent {
    /// Starts from the newest messages, oldest first; `complete` says that there are no older ones.
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

    /// Takes the room's next message.
    pub(super) fn push(&mut self, message: EncodedMessage) {
        self.cursor = message.seq;
        self.newest_id = Some(message.id);
        self.share.take(weight(&message));
        self.messages.push_back(message);
        self.trim();
    }

    /// Forgets the oldest messages beyond what the room may keep.
    fn trim(&mut self) {
        while !self.messages.is_empty() && self.is_overfull() {
            self.forget_oldest();
        }
    }

    fn is_overfull(&self) -> bool {
        let is_held = Arc::strong_count(&self.held) > 1;
        self.messages.len() > CAPACITY
            || if is_held {
                self.share.bytes() > HELD_BYTES
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

    /// Compares a message up to the cursor with what the room has had.
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

    /// The newest `limit` messages after `after`, oldest first, and whether there are older ones
    /// after it; nothing when they are not all kept.
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

    /// Holds what comes after the newest message until a joiner has read the log up to it.
    pub(super) fn hold(&self) -> Hold {
        Hold {
            through: self.cursor,
            held: self.held.clone(),
        }
    }

    /// Returns the newest `limit` messages of a page and those that came after it, and whether
    /// others were left out; nothing when these are not all kept.
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

/// About how many bytes a kept message takes.
fn weight(message: &EncodedMessage) -> usize {
    message.json().len() + POST_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        model::{Body, Draft},
        room::{
            answer::MAX_ANSWER_BYTES,
            budget::{Budget, ROOM_BYTES},
        },
    };

    fn share() -> Share {
        Share::of(Arc::new(Budget::default()))
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
    fn the_oldest_make_way() {
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
    fn long_messages_make_way_sooner() {
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
    fn what_the_log_is_said_to_hold_is_compared_with_what_was_had() {
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
    fn an_answer_ends_at_its_most_bytes_and_has_one_message_at_least() {
        let posts: Vec<_> = (1..=3)
            .map(|seq| EncodedMessage::from(&said(seq, &"x".repeat(MAX_ANSWER_BYTES / 2))))
            .collect();
        let fit = |keep, limit| {
            let (kept, left_out) = answer::fit(posts.iter().cloned(), limit, keep);
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
