//! The library's frames, as far as their beginnings:
//! <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.

/// Engine.IO's close packet in a text frame.
const CLOSE_PACKET: [u8; 3] = [0x81, 1, b'1'];

/// The longest header of a server's frame: two bytes, and eight of length.
const MAX_HEADER_BYTES: usize = 10;

/// A state machine over the outgoing frames.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FrameWriter {
    /// The bytes of the current frame still to come.
    left: u64,
    header: [u8; MAX_HEADER_BYTES],
    header_bytes: u8,
    /// True after the close packet: nothing more is written.
    has_ended: bool,
    /// True while the first frame is withheld from the client.
    withholds: bool,
}

/// A plan for the next write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The most bytes of the write.
    pub(super) bytes: usize,
    /// True if the bytes count as written, and go nowhere.
    pub(super) is_withheld: bool,
    /// True if the connection ends before them.
    pub(super) ends_connection: bool,
}

impl FrameWriter {
    pub(super) fn without_first_frame() -> Self {
        Self {
            withholds: true,
            ..Self::default()
        }
    }

    /// Plans the write of the next bytes. The library writes whole frames, so no frame is split
    /// within its header.
    pub(super) fn plan_write(&mut self, bytes: &[u8]) -> Plan {
        if self.has_ended {
            return Plan {
                bytes: bytes.len(),
                is_withheld: true,
                ends_connection: false,
            };
        }
        if self.is_between_frames() && bytes.starts_with(&CLOSE_PACKET) {
            self.has_ended = true;
            return Plan {
                bytes: bytes.len(),
                is_withheld: true,
                ends_connection: true,
            };
        }
        let bytes = self.before_close(bytes);
        Plan {
            bytes,
            is_withheld: self.withholds,
            ends_connection: false,
        }
    }

    /// Counts the bytes before a close packet, or before the end of a withheld frame.
    fn before_close(&self, bytes: &[u8]) -> usize {
        let mut ahead = *self;
        let mut at = 0;
        while at < bytes.len() {
            if at > 0
                && ahead.is_between_frames()
                && (self.withholds || bytes[at..].starts_with(&CLOSE_PACKET))
            {
                break;
            }
            at += ahead.step(&bytes[at..]);
        }
        at
    }

    /// Advances over bytes after their write.
    pub(super) fn advance(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() && !self.has_ended {
            at += self.step(&bytes[at..]);
        }
        self.withholds &= !self.is_between_frames() || bytes.is_empty();
    }

    fn is_between_frames(&self) -> bool {
        self.left == 0 && self.header_bytes == 0
    }

    /// Takes a byte of a header, or the available part of a payload.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let taken = bytes
                .len()
                .min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= taken as u64;
            return taken;
        }
        self.header[usize::from(self.header_bytes)] = bytes[0];
        self.header_bytes += 1;
        if let Some(length) = payload_length(&self.header[..usize::from(self.header_bytes)]) {
            (self.left, self.header_bytes) = (length, 0);
        }
        1
    }
}

/// Parses a payload's length; returns `None` while the header is incomplete.
fn payload_length(header: &[u8]) -> Option<u64> {
    match (header.get(1)? & 0x7f, &header[2..]) {
        (126, &[a, b]) => Some(u16::from_be_bytes([a, b]).into()),
        (127, length) => Some(u64::from_be_bytes(length.try_into().ok()?)),
        (126, _) => None,
        (length, _) => Some(length.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Vec<u8> {
        let mut frame = vec![0x81];
        match text.len() {
            length @ 0..126 => frame.push(length as u8),
            length => {
                frame.push(126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend(text.as_bytes());
        frame
    }

    /// Returns the bytes that reach the client when one write takes `most` of them, and true if the
    /// connection ends.
    fn through(mut writer: FrameWriter, bytes: &[u8], most: usize) -> (Vec<u8>, bool) {
        let (mut at, mut through, mut ended) = (0, vec![], false);
        while at < bytes.len() {
            let plan = writer.plan_write(&bytes[at..]);
            ended |= plan.ends_connection;
            let written = if plan.is_withheld {
                plan.bytes
            } else {
                plan.bytes.min(most)
            };
            if !plan.is_withheld {
                through.extend(&bytes[at..at + written]);
            }
            writer.advance(&bytes[at..at + written]);
            at += written;
        }
        (through, ended)
    }

    #[test]
    fn a_close_packet_ends_the_connection_after_all_earlier_frames() {
        let long = "x".repeat(300);
        let before = [frame("41"), frame(&long), frame("1x"), frame("")].concat();
        let all = [before.clone(), frame("1"), vec![0x88, 2, 3, 0xe8]].concat();
        for most in [1, 2, 7, 1000] {
            assert_eq!(
                through(FrameWriter::default(), &all, most),
                (before.clone(), true),
                "{most}"
            );
            assert_eq!(
                through(FrameWriter::default(), &before, most),
                (before.clone(), false),
                "{most}"
            );
        }
    }

    #[test]
    fn the_first_frame_alone_can_be_withheld() {
        let rest = [frame("4a"), frame("4b")].concat();
        let all = [frame("3probe"), rest.clone()].concat();
        assert_eq!(
            through(FrameWriter::without_first_frame(), &all, 3),
            (rest, false)
        );
    }
}
