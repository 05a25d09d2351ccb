//! A room's newest messages, kept in memory to spare joins a read of the database.

#[cfg(test)]
mod tests;

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

    /// Replaces a message by a later state of it, if memory has it.
    pub(super) fn replace(&mut self, message: &EncodedMessage) {
        let place = self
            .messages
            .binary_search_by_key(&message.seq, |kept| kept.seq);
        let kept = place.ok().and_then(|place| self.messages.get_mut(place));
        if let Some(kept) = kept.filter(|kept| kept.revision < message.revision) {
            self.share.give_back(weight(kept));
            self.share.take(weight(message));
            *kept = message.clone();
        }
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

    /// Forgets the messages up to one that are not in the log any more. The rest of the log is read
    /// from the database.
    pub(super) fn forget_through(&mut self, seq: Seq) {
        while self
            .messages
            .front()
            .is_some_and(|oldest| oldest.seq <= seq)
        {
            self.forget_oldest();
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
