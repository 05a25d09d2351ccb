//! The parts of a signal that is too large for a payload. They are lines one after another, so a receiver
//! joins those of each sender in their order; whatever is missing, the signal is dropped.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::RoomId;

/// The most bytes of a signal's line. The largest signals are clients' own events of 16 KiB, with names.
pub(super) const MAX_LINE_BYTES: usize = 64 * 1024;

/// The most senders with a signal in parts at a time.
const MAX_SENDERS: usize = 32;

/// A part of a signal's line. A server of a version before skips it as a signal that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part<'a> {
    r#type: Kind,
    /// The signal, by a number among those of its sender.
    id: u64,
    /// The place of the part: 0, 1, …
    part: u32,
    /// True for the last part.
    last: bool,
    /// The piece of the line.
    text: Cow<'a, str>,
}

/// The kind of a part among the kinds of signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "part")]
    Part,
}

impl Part<'_> {
    /// Reads a part.
    pub(super) fn from_json(json: &str) -> Option<Part<'static>> {
        serde_json::from_str(json).ok()
    }
}

/// A line that is cut into parts.
pub(super) struct Cutting<'a> {
    room: &'a RoomId,
    id: u64,
    part: u32,
    rest: &'a str,
}

impl<'a> Cutting<'a> {
    /// Begins with a line of a room's signal.
    pub(super) fn new(room: &'a RoomId, id: u64, line: &'a str) -> Self {
        Self {
            room,
            id,
            part: 0,
            rest: line,
        }
    }

    /// Returns true when the line is cut up.
    pub(super) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// Cuts the next part off, as a line of at most `bytes`; none when they are too few for any piece.
    pub(super) fn next(&mut self, bytes: usize) -> Option<String> {
        let frame = self.line("", false).len();
        let length = fitting(self.rest, bytes.checked_sub(frame)?);
        let (text, rest) = self
            .rest
            .split_at_checked(length)
            .filter(|(text, _)| !text.is_empty())?;
        let line = self.line(text, rest.is_empty());
        self.rest = rest;
        self.part += 1;
        Some(line)
    }

    fn line(&self, text: &str, last: bool) -> String {
        let part = Part {
            r#type: Kind::Part,
            id: self.id,
            part: self.part,
            last,
            text: text.into(),
        };
        serde_json::to_string(&(self.room, part)).expect("texts and numbers are JSON")
    }
}

/// Returns the length of the longest beginning of a text that takes at most `bytes` within JSON.
fn fitting(text: &str, mut bytes: usize) -> usize {
    let is_over = |(_, c): &(usize, char)| {
        let size = match c {
            '"' | '\\' => 2,
            c if c.is_ascii_control() => 6,
            c => c.len_utf8(),
        };
        bytes.checked_sub(size).map(|left| bytes = left).is_none()
    };
    let end = text.char_indices().find(is_over);
    end.map_or(text.len(), |(length, _)| length)
}

/// The signals of which some parts have come.
#[derive(Debug, Default)]
pub(super) struct Parts(HashMap<Uuid, Open>);

/// A signal of which some parts have come.
#[derive(Debug)]
struct Open {
    id: u64,
    /// The place of the next part.
    next: u32,
    line: String,
}

impl Parts {
    /// Drops the open signal of a sender. Returns true when there was one.
    pub(super) fn forget(&mut self, sender: Uuid) -> bool {
        self.0.remove(&sender).is_some()
    }

    /// Adds the next part of a sender. Returns the line once it is whole, and true when a signal is lost.
    pub(super) fn add(&mut self, sender: Uuid, part: &Part<'_>) -> (Option<String>, bool) {
        let mut is_lost = false;
        if part.part == 0 {
            is_lost = self.begin(sender, part.id);
        }
        let Some(open) = self.0.get_mut(&sender) else {
            return (None, is_lost);
        };
        let is_next = (open.id, open.next) == (part.id, part.part);
        if !is_next || open.line.len() + part.text.len() > MAX_LINE_BYTES {
            return (None, self.forget(sender));
        }
        open.line.push_str(&part.text);
        open.next += 1;
        let line = part.last.then(|| self.0.remove(&sender)).flatten();
        (line.map(|open| open.line), is_lost)
    }

    /// Begins a signal of a sender. Returns true when another one is lost by that: the sender's own one before, or,
    /// with too many senders, one of another, which has perhaps died.
    fn begin(&mut self, sender: Uuid, id: u64) -> bool {
        let is_full = self.0.len() >= MAX_SENDERS && !self.0.contains_key(&sender);
        let evicted = self.0.keys().next().copied().filter(|_| is_full);
        let is_lost = evicted.is_some_and(|other| self.forget(other));
        let open = Open {
            id,
            next: 0,
            line: String::new(),
        };
        self.0.insert(sender, open).is_some() || is_lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn cut(id: u64, line: &str) -> Vec<Part<'static>> {
        let room = "a \" room".try_into().unwrap();
        let mut cutting = Cutting::new(&room, id, line);
        let mut parts = vec![];
        while !cutting.is_over() {
            let line = cutting.next(120).unwrap();
            assert!(line.len() <= 120, "{}", line.len());
            let (_, part): (String, Part<'_>) = serde_json::from_str(&line).unwrap();
            parts.push(part);
        }
        parts
    }

    fn text(of: &str) -> String {
        format!("{of} \"é\\\u{1}\n😀").repeat(20)
    }

    /// Adds parts, and returns the lines and the number of lost signals.
    fn joined<'a>(
        parts: impl IntoIterator<Item = (Uuid, &'a Part<'static>)>,
    ) -> (Vec<String>, usize) {
        let (mut open, mut lines, mut lost) = (Parts::default(), vec![], 0);
        for (sender, part) in parts {
            let (line, is_lost) = open.add(sender, part);
            lines.extend(line);
            lost += usize::from(is_lost);
        }
        (lines, lost)
    }

    #[test]
    fn parts_are_joined_and_those_of_two_senders_never_mixed() {
        let (a, b) = (cut(7, &text("a")), cut(7, &text("b")));
        assert!(a.len() > 5);
        let mixed = a.iter().zip(&b).flat_map(|(a, b)| [(ONE, a), (OTHER, b)]);
        assert_eq!(joined(mixed), (vec![text("a"), text("b")], 0));
    }

    #[test]
    fn a_signal_without_one_of_its_parts_is_dropped_and_the_next_one_is_whole() {
        let (a, b) = (cut(1, &text("a")), cut(9, &text("b")));
        for missing in 0..a.len() {
            let rest = a.iter().enumerate().filter(|(part, _)| *part != missing);
            let all = rest.map(|(_, part)| part).chain(&b);
            let (lines, lost) = joined(all.map(|part| (ONE, part)));
            assert_eq!(lines, [text("b")], "without part {missing}");
            assert_eq!(lost, usize::from(missing > 0));
        }
    }

    #[test]
    fn the_beginning_of_one_signal_and_the_end_of_another_are_no_signal() {
        let (a, b) = (cut(1, &text("a")), cut(2, &text("b")));
        for missing in 1..a.len() {
            let halves = a[..missing].iter().chain(&b[missing..]);
            assert_eq!(joined(halves.map(|part| (ONE, part))), (vec![], 1));
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut open = Parts::default();
        let endless = |part| Part {
            r#type: Kind::Part,
            id: 1,
            part,
            last: false,
            text: "x".repeat(7_000).into(),
        };
        for part in 0..100 {
            open.add(ONE, &endless(part));
            assert!(
                open.0
                    .values()
                    .all(|open| open.line.len() <= MAX_LINE_BYTES)
            );
        }
        for sender in 0..1_000 {
            open.add(Uuid::from_u128(sender), &endless(0));
            assert!(open.0.len() <= MAX_SENDERS);
        }
    }
}
