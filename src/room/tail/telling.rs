//! The telling of changes to a room's members: at once when it is quiet, else a few times a second.
//!
//! A thousand people may react to one message at the same time, and each packet goes to everybody in
//! the room. A change carries the message's whole state, so only the last one of an interval
//! matters. While one message waits, all later changes of the room wait with it: a member's revision
//! must not pass a change that it has not been told of.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::Tail;
use crate::{
    model::{EncodedMessage, Revision, RoomSettings, Seq},
    room::fanout::{MessageChanged, SettingsChanged},
};

/// The least time between two packets about one message.
pub const CHANGES_INTERVAL: Duration = Duration::from_millis(250);

/// The most messages that wait, and their bytes; beyond it they are told early.
const CAPACITY: usize = 64;
const BYTES: usize = 64 * 1024;

/// A change on its way to a room's members.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// A message's later state.
    Message(EncodedMessage),
    /// The room's settings.
    Settings(RoomSettings),
}

impl Told {
    /// Returns the message; none for the room itself.
    fn seq(&self) -> Option<Seq> {
        match self {
            Self::Message(message) => Some(message.seq),
            Self::Settings(_) => None,
        }
    }

    fn revision(&self) -> Revision {
        match self {
            Self::Message(message) => message.revision,
            Self::Settings(settings) => settings.revision,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Message(message) => message.json().len(),
            Self::Settings(settings) => settings.info.size(),
        }
    }
}

/// The changes on their way to a room's members.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// The newest change told.
    told: Revision,
    /// The messages told of within the last interval, the earliest first.
    recent: VecDeque<(Instant, Option<Seq>)>,
    /// The latest states that wait, by revision.
    waiting: VecDeque<Told>,
    bytes: usize,
    due_at: Option<Instant>,
}

impl Telling {
    /// Starts anew at a revision: members have it with the messages.
    pub(super) fn start_from(&mut self, revision: Revision) {
        *self = Self {
            told: revision,
            ..Self::default()
        };
    }

    /// Adds a change, with the next revision.
    pub(super) fn add(&mut self, change: Told) {
        let (now, seq) = (Instant::now(), change.seq());
        let earlier = self.recent.iter().find(|(_, told)| *told == seq);
        let next = earlier.map_or(now, |(told_at, _)| *told_at + CHANGES_INTERVAL);
        self.waiting.retain(|waiting| waiting.seq() != seq);
        self.waiting.push_back(change);
        self.bytes = self.waiting.iter().map(Told::size).sum();
        let is_full = self.waiting.len() > CAPACITY || self.bytes > BYTES;
        let due_at = self.due_at.get_or_insert(next);
        if is_full {
            *due_at = now;
        }
    }

    /// Returns the time of the next [`Telling::take`] with a result.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Takes the next change now due, with the revision of the one told before it.
    pub(super) fn take(&mut self) -> Option<(Revision, Told)> {
        let now = Instant::now();
        self.due_at.filter(|due_at| *due_at <= now)?;
        let Some(change) = self.waiting.pop_front() else {
            self.due_at = None;
            return None;
        };
        while let Some((told_at, _)) = self.recent.front()
            && (*told_at + CHANGES_INTERVAL <= now || self.recent.len() > 2 * CAPACITY)
        {
            self.recent.pop_front();
        }
        self.recent.retain(|(_, seq)| *seq != change.seq());
        self.recent.push_back((now, change.seq()));
        let previous = std::mem::replace(&mut self.told, change.revision());
        Some((previous, change))
    }

    /// Forgets the messages up to one: they are not in the log any more.
    pub(super) fn forget_through(&mut self, seq: Seq) {
        self.waiting
            .retain(|waiting| waiting.seq().is_none_or(|kept| kept > seq));
    }
}

impl Tail {
    /// Tells the members of the changes now due.
    pub(in crate::room) fn tell_changes(&mut self) {
        while let Some((previous, change)) = self.telling.take() {
            let (room_id, revision) = (self.id.clone(), change.revision());
            let fanout = &self.context.fanout;
            match change {
                Told::Message(message) => fanout.changed(&MessageChanged {
                    room_id,
                    revision,
                    previous,
                    message,
                }),
                Told::Settings(room) => fanout.settings(&SettingsChanged {
                    room_id,
                    revision,
                    previous,
                    room,
                }),
            }
        }
    }

    /// Returns the time of the next [`Tail::tell_changes`].
    pub(in crate::room) fn next_telling(&self) -> Option<Instant> {
        self.telling.due_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Body, Draft, State};

    fn message(seq: i64, revision: i64, text: &str) -> Told {
        let body = Body::parse(text, text.len()).unwrap();
        let (room, user) = ("r".try_into().unwrap(), "ann".try_into().unwrap());
        let mut message = Draft::new(room, user, None, body, None).at(seq.try_into().unwrap());
        message.state = Some(Box::new(State {
            revision: revision.try_into().unwrap(),
            ..State::default()
        }));
        Told::Message((&message).into())
    }

    /// Returns what is told now: the revisions, each with the one before it.
    fn told(telling: &mut Telling) -> Vec<(i64, i64)> {
        let told = std::iter::from_fn(|| telling.take());
        told.map(|(previous, change)| (previous.get(), change.revision().get()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_of_changes_is_told_four_times_a_second_with_the_last_state() {
        let mut telling = Telling::default();
        let mut packets = vec![];
        for revision in 1..=1_000 {
            telling.add(message(1, revision, "hello"));
            packets.extend(told(&mut telling));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        tokio::time::advance(CHANGES_INTERVAL).await;
        packets.extend(told(&mut telling));
        assert_eq!(packets.len(), 5, "{packets:?}");
        assert_eq!((packets[0], packets[4].1), ((0, 1), 1_000));
        assert!(
            packets.is_sorted_by(|one, next| next.0 == one.1),
            "{packets:?}"
        );
        assert_eq!(telling.due_at(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_of_other_messages_go_out_at_once_unless_an_earlier_one_waits() {
        let mut telling = Telling::default();
        for revision in 1..=3 {
            telling.add(message(revision, revision, "hello"));
            assert_eq!(told(&mut telling), [(revision - 1, revision)]);
        }
        telling.add(message(1, 4, "hello"));
        telling.add(message(9, 5, "hello"));
        assert_eq!(
            told(&mut telling),
            [],
            "no member may think that it has the fourth"
        );
        tokio::time::advance(CHANGES_INTERVAL).await;
        assert_eq!(told(&mut telling), [(3, 4), (4, 5)]);
        telling.start_from(7.try_into().unwrap());
        telling.add(message(1, 8, "hello"));
        assert_eq!(told(&mut telling), [(7, 8)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_bounded() {
        for (messages, text) in [(3 * CAPACITY, "x".to_owned()), (20, "x".repeat(8_192))] {
            let mut telling = Telling::default();
            telling.add(message(0, 1, "first"));
            told(&mut telling);
            telling.add(message(0, 2, "waits"));
            for number in 0..messages {
                let number = i64::try_from(number).unwrap();
                telling.add(message(number + 1, number + 3, &text));
                told(&mut telling);
                assert!(telling.waiting.len() <= CAPACITY);
                assert!(telling.waiting.is_empty() || telling.bytes <= BYTES);
            }
        }
    }
}
