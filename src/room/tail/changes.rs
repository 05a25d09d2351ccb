//! The changes of a room's messages, delivered in the order of their revisions.

use std::collections::VecDeque;

use crate::model::{EncodedMessage, Revision, Seq};

/// The most changes in memory.
const CAPACITY: usize = 64;
/// The most bytes of changed messages in memory.
const BYTES: usize = 64 * 1024;

/// The changes delivered last.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The newest delivered change.
    cursor: Revision,
    /// The newest change reported.
    reported: Revision,
    /// True when there may be changes that nobody reported.
    is_suspected: bool,
    /// All changes after this one, up to the cursor, are kept.
    floor: Revision,
    /// The messages, as of the change of their revision.
    kept: VecDeque<EncodedMessage>,
    bytes: usize,
}

impl Changes {
    /// Starts at a revision, with what has been reported before.
    pub(super) fn start_from(&mut self, cursor: Revision) {
        *self = Self {
            cursor,
            floor: cursor,
            reported: self.reported,
            ..Self::default()
        };
    }

    pub(super) fn cursor(&self) -> Revision {
        self.cursor
    }

    /// Takes a report that the room has reached a revision.
    pub(super) fn report(&mut self, revision: Revision) {
        self.reported = self.reported.max(revision);
    }

    /// Asks for a look for changes that nobody reported.
    pub(super) fn look(&mut self) {
        self.is_suspected = true;
    }

    /// Returns the newest change known, if there is reason to read.
    pub(super) fn missing(&self) -> Option<Revision> {
        let is_behind = self.reported > self.cursor;
        (is_behind || self.is_suspected).then_some(self.reported.max(self.cursor))
    }

    /// Notes the begin of a read of all changes after the cursor.
    pub(super) fn begin_read(&mut self) {
        self.is_suspected = false;
    }

    /// Forgets reports of changes that never were.
    pub(super) fn forget_reports(&mut self) {
        self.reported = Revision::ZERO;
    }

    /// Notes a change as delivered. An earlier state of the message is forgotten: it may be what was
    /// deleted.
    pub(super) fn push(&mut self, message: EncodedMessage) {
        self.cursor = message.revision;
        self.kept.retain(|kept| kept.seq != message.seq);
        self.kept.push_back(message);
        self.bytes = self.kept.iter().map(|kept| kept.json().len()).sum();
        while self.kept.len() > CAPACITY || self.bytes > BYTES {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.bytes -= oldest.json().len();
            self.floor = oldest.revision;
        }
    }

    /// Forgets the messages up to one: they are not in the log any more.
    pub(super) fn forget_through(&mut self, seq: Seq) {
        self.kept.retain(|kept| kept.seq > seq);
    }

    /// Notes that nothing up to a revision is left to deliver.
    pub(super) fn skip_to(&mut self, revision: Revision) {
        self.cursor = self.cursor.max(revision);
    }

    /// Returns the kept changes after a revision, oldest first; none when memory does not reach
    /// back to it.
    pub(super) fn after(
        &self,
        revision: Revision,
    ) -> Option<impl Iterator<Item = &EncodedMessage> + Clone> {
        let kept = self.kept.iter();
        (revision >= self.floor).then(|| kept.filter(move |change| change.revision > revision))
    }

    /// Brings messages read at a revision or later up to date.
    pub(super) fn update(&self, messages: &mut [EncodedMessage], read_at: Revision) -> bool {
        let Some(changes) = self.after(read_at) else {
            return false;
        };
        for change in changes {
            let place = messages.binary_search_by_key(&change.seq, |message| message.seq);
            let message = place.ok().map(|place| &mut messages[place]);
            if let Some(message) = message.filter(|message| message.revision < change.revision) {
                *message = change.clone();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Body, Draft, State};

    fn message(seq: i64, revision: i64) -> EncodedMessage {
        let body = Body::parse("hello", 5).unwrap();
        let (room, user) = ("r".try_into().unwrap(), "ann".try_into().unwrap());
        let mut message = Draft::new(room, user, None, body, None).at(seq.try_into().unwrap());
        message.state = Some(Box::new(State {
            revision: revision.try_into().unwrap(),
            ..State::default()
        }));
        (&message).into()
    }

    fn after(changes: &Changes, revision: i64) -> Option<Vec<(i64, i64)>> {
        let kept = changes.after(revision.try_into().unwrap())?;
        Some(
            kept.map(|kept| (kept.seq.get(), kept.revision.get()))
                .collect(),
        )
    }

    #[test]
    fn memory_has_the_newest_state_of_each_message_and_knows_how_far_it_reaches() {
        let mut changes = Changes::default();
        changes.start_from(10.try_into().unwrap());
        for (seq, revision) in [(1, 11), (2, 12), (1, 13)] {
            changes.push(message(seq, revision));
        }
        assert_eq!(after(&changes, 10), Some(vec![(2, 12), (1, 13)]));
        assert_eq!(after(&changes, 12), Some(vec![(1, 13)]));
        assert_eq!(after(&changes, 13), Some(vec![]));
        assert_eq!(after(&changes, 9), None);
        let last = 13 + CAPACITY as i64;
        for revision in 14..=last {
            changes.push(message(revision, revision));
        }
        assert_eq!(after(&changes, 12), None);
        assert_eq!(after(&changes, 13).unwrap().len(), CAPACITY);
    }

    #[test]
    fn a_page_read_earlier_is_brought_up_to_date() {
        let mut changes = Changes::default();
        for (seq, revision) in [(1, 1), (3, 2), (9, 3)] {
            changes.push(message(seq, revision));
        }
        let mut page = [message(1, 1), message(2, 0), message(3, 0)];
        assert!(changes.update(&mut page, 1.try_into().unwrap()));
        let revisions = page.map(|message| message.revision.get());
        assert_eq!(revisions, [1, 0, 2]);
        changes.start_from(3.try_into().unwrap());
        assert!(!changes.update(&mut [], 2.try_into().unwrap()));
    }
}
