//! Payloads in the making: lines, each payload within the bounds of its engine.

use std::mem;

use uuid::Uuid;

use super::parts::Cutting;
use crate::model::RoomId;

/// The version of the format. A server that reads another version looks into the log instead.
pub(super) const VERSION: &str = "1";

/// The most bytes of a payload's first line, for a schema of at most 63 bytes, and of its end.
const MAX_HEAD_BYTES: usize = 128;

/// The bounds of the payloads sent together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The most bytes of a payload.
    pub(super) bytes: usize,
    /// The most payloads.
    pub(super) payloads: usize,
}

/// The sender's part of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The server that sent it.
    pub(super) node: Uuid,
    /// Its place among the server's payloads.
    pub(super) number: u64,
    /// The schema of the server's tables; empty when it has none of its own.
    pub(super) schema: String,
}

/// Payloads in the making.
pub(super) struct Payloads {
    header: Header,
    limits: Limits,
    done: Vec<String>,
    open: String,
}

impl Payloads {
    /// Begins the first payload.
    pub(super) fn begin(header: Header, limits: Limits) -> Self {
        let mut payloads = Self {
            header,
            limits,
            done: vec![],
            open: String::new(),
        };
        payloads.open = payloads.head();
        payloads
    }

    /// Returns the payloads, and sets the number of the next one in the header.
    pub(super) fn end(mut self, header: &mut Header) -> Vec<String> {
        header.number = self.header.number;
        self.done.push(self.open);
        self.done
    }

    fn head(&mut self) -> String {
        let Header {
            node,
            number,
            schema,
        } = &self.header;
        let head = format!("{VERSION} {node} {number} {schema}");
        self.header.number += 1;
        head
    }

    /// Adds a line. Returns false when it does not fit any more.
    pub(super) fn push(&mut self, line: &str) -> bool {
        if line.len() > self.free() && !self.begin_next() {
            return false;
        }
        self.open.push('\n');
        self.open.push_str(line);
        true
    }

    /// Returns the bytes of a further line in the open payload.
    fn free(&self) -> usize {
        self.limits.bytes.saturating_sub(self.open.len() + 1)
    }

    /// Begins the next payload. Returns false when there are enough.
    fn begin_next(&mut self) -> bool {
        if self.done.len() + 1 == self.limits.payloads {
            return false;
        }
        let next = self.head();
        self.done.push(mem::replace(&mut self.open, next));
        true
    }

    /// Adds the line of a signal, in parts if it is too long for any payload. Returns false when not all of
    /// it fits any more.
    pub(super) fn push_signal(&mut self, room: &RoomId, line: &str) -> bool {
        let longest = self.limits.bytes - MAX_HEAD_BYTES;
        if line.len() <= longest {
            return self.push(line);
        }
        let (done, open, number) = (self.done.len(), self.open.len(), self.header.number);
        let is_whole = self.push_parts(Cutting::new(room, number, line));
        if !is_whole {
            if let Some(begun) = self.done.drain(done..).next() {
                self.open = begun;
            }
            self.open.truncate(open);
            self.header.number = number;
        }
        is_whole
    }

    fn push_parts(&mut self, mut cutting: Cutting<'_>) -> bool {
        while !cutting.is_over() {
            match cutting.next(self.free()) {
                Some(part) => _ = self.push(&part),
                None if self.begin_next() => {}
                None => return false,
            }
        }
        true
    }
}
