//! The frames of a client, as far as this layer reads them:
//! <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.

use std::{io, time::Duration};

use super::{
    inbound::LARGE_PACKET_BYTES,
    name::EventName,
    packet::{HEAD_BYTES, PacketKind},
    session::{Session, Verdict},
};

/// The longest header of a client's frame: two bytes, eight of length, four of mask.
const MAX_HEADER_BYTES: usize = 14;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// A state machine over the incoming frames.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    header: [u8; MAX_HEADER_BYTES],
    header_bytes: u8,
    frame: Frame,
    message: Message,
}

/// The frame whose payload is coming in.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// The bytes of the payload still to come.
    left: u64,
    mask: [u8; 4],
    /// The position of the next byte in the mask.
    mask_at: u8,
    is_last: bool,
    is_control: bool,
}

/// The message in the frames.
#[derive(Debug, Default)]
struct Message {
    is_open: bool,
    bytes: u64,
    is_reserved: bool,
    /// Its first bytes, up to the end of the part that tells its kind.
    head: [u8; HEAD_BYTES],
    head_bytes: u8,
    is_known: bool,
    passes_alone: bool,
    name: EventName,
}

/// A condition for reading on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// The end of a pause, after too many packets.
    For(Duration),
    UntilSettled,
    UntilReserved(usize),
}

/// The outcome of an inspection.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The number of bytes ready for the library.
    pub(super) passed: usize,
    /// The hold on the bytes behind them.
    pub(super) hold: Option<Hold>,
}

impl Message {
    /// Returns true once the rest of the message may pass without inspection.
    fn is_inspected(&self) -> bool {
        self.is_known && self.name.is_over()
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl FrameReader {
    /// Returns true if no message is incomplete.
    pub(super) fn is_between_messages(&self) -> bool {
        !self.message.is_open && self.header_bytes == 0 && self.frame.left == 0
    }

    /// Inspects the next bytes, and replaces any that the library cannot read.
    ///
    /// # Errors
    ///
    /// The frame is too large, or its packet may not come before the client has entered the chat.
    pub(super) fn scan(&mut self, bytes: &mut [u8], session: &Session) -> io::Result<Scan> {
        let mut scan = Scan::default();
        while scan.passed < bytes.len() && scan.hold.is_none() {
            let rest = &mut bytes[scan.passed..];
            if self.frame.left == 0 {
                self.take_header_byte(rest[0], session, &mut scan)?;
            } else if self.frame.is_control || self.message.is_inspected() {
                self.take_payload(rest.len(), &mut scan);
            } else {
                self.take_byte(&mut rest[0], session, &mut scan)?;
            }
        }
        Ok(scan)
    }

    /// Takes a byte of a header. The header's last byte waits if the frame must, and is then
    /// inspected again.
    fn take_header_byte(&mut self, byte: u8, session: &Session, scan: &mut Scan) -> io::Result<()> {
        self.header[usize::from(self.header_bytes)] = byte;
        let Some((length, frame)) = Frame::parse(&self.header[..=usize::from(self.header_bytes)])
        else {
            self.header_bytes += 1;
            scan.passed += 1;
            return Ok(());
        };
        if !frame.is_control {
            self.begin_data_frame(length, &frame, session, scan)?;
        }
        if scan.hold.is_none() {
            scan.hold = session
                .count_packet(usize::try_from(length).unwrap_or(usize::MAX))
                .map(Hold::For);
        }
        if scan.hold.is_some() {
            return Ok(());
        }
        if !frame.is_control {
            self.message.bytes += length;
        }
        (self.frame, self.header_bytes) = (
            Frame {
                left: length,
                ..frame
            },
            0,
        );
        scan.passed += 1;
        if length == 0 {
            self.end_frame(scan);
        }
        Ok(())
    }

    /// Inspects the beginning of a message, or of its next frame.
    fn begin_data_frame(
        &mut self,
        length: u64,
        frame: &Frame,
        session: &Session,
        scan: &mut Scan,
    ) -> io::Result<()> {
        let opcode = self.header[0] & 0x0f;
        if !self.message.is_open && opcode != CONTINUATION {
            // Attachments have no kind of their own.
            let name = if opcode == TEXT {
                EventName::default()
            } else {
                EventName::Over
            };
            self.message = Message {
                is_open: true,
                is_known: opcode != TEXT,
                name,
                ..Message::default()
            };
            if opcode == BINARY && session.judge(PacketKind::Binary) == Verdict::Refuse {
                return Err(refused("attachments before the chat is entered"));
            }
        }
        let bytes = self.message.bytes.saturating_add(length);
        let most = session.max_packet_bytes();
        if bytes > most as u64 {
            return Err(refused("a message over the limit"));
        }
        if bytes > LARGE_PACKET_BYTES as u64 && !self.message.is_reserved {
            self.message.is_reserved = true;
            scan.hold = Some(Hold::UntilReserved(if frame.is_last {
                bytes as usize
            } else {
                most
            }));
        } else if length == 0 && frame.is_last {
            // An empty last frame ends the head, too.
            self.judge_head(session, scan)?;
        }
        Ok(())
    }

    /// Takes this many bytes of a payload, or the rest of the frame.
    fn take_payload(&mut self, bytes: usize, scan: &mut Scan) {
        let taken = bytes.min(usize::try_from(self.frame.left).unwrap_or(usize::MAX));
        self.frame.left -= taken as u64;
        scan.passed += taken;
        if self.frame.left == 0 {
            self.end_frame(scan);
        }
    }

    /// Takes a byte of a message before the end of its head, or of its event's name.
    fn take_byte(&mut self, byte: &mut u8, session: &Session, scan: &mut Scan) -> io::Result<()> {
        let mask = self.frame.mask[usize::from(self.frame.mask_at)];
        let plain = *byte ^ mask;
        if !self.message.is_known && !self.take_head_byte(plain, session, scan)? {
            return Ok(());
        }
        *byte = self.message.name.step(plain) ^ mask;
        self.frame.mask_at = (self.frame.mask_at + 1) % 4;
        self.take_payload(1, scan);
        Ok(())
    }

    /// Takes a byte of a message's head; returns false if the byte must wait.
    fn take_head_byte(&mut self, byte: u8, session: &Session, scan: &mut Scan) -> io::Result<bool> {
        let message = &mut self.message;
        message.head[usize::from(message.head_bytes)] = byte;
        message.head_bytes += 1;
        let is_end = self.frame.is_last && self.frame.left == 1;
        let passes = !(is_end || usize::from(message.head_bytes) == HEAD_BYTES)
            || self.judge_head(session, scan)?;
        self.message.head_bytes -= u8::from(!passes);
        Ok(passes)
    }

    /// Judges the message by its head; returns false if it must wait.
    fn judge_head(&mut self, session: &Session, scan: &mut Scan) -> io::Result<bool> {
        let message = &mut self.message;
        if message.is_known {
            return Ok(true);
        }
        match session.judge(PacketKind::from_head(
            &message.head[..usize::from(message.head_bytes)],
        )) {
            Verdict::Pass => message.is_known = true,
            Verdict::PassAlone => (message.is_known, message.passes_alone) = (true, true),
            Verdict::Wait => scan.hold = Some(Hold::UntilSettled),
            Verdict::Refuse => return Err(refused("a packet before the chat is entered")),
        }
        Ok(message.is_known)
    }

    fn end_frame(&mut self, scan: &mut Scan) {
        if self.frame.is_control || !self.frame.is_last {
            return;
        }
        if self.message.passes_alone {
            scan.hold = Some(Hold::UntilSettled);
        }
        self.message = Message::default();
    }
}

impl Frame {
    /// Undoes the mask of a frame's payload.
    pub(super) fn unmask(&self, payload: &[u8]) -> Vec<u8> {
        payload
            .iter()
            .zip(self.mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask)
            .collect()
    }

    /// Parses a frame's length and kind; returns `None` while the header is incomplete.
    pub(super) fn parse(header: &[u8]) -> Option<(u64, Self)> {
        let (first, second) = (header.first()?, header.get(1)?);
        let (length_bytes, short) = match second & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, short),
        };
        let is_masked = second & 0x80 != 0;
        let end = 2 + length_bytes;
        if header.len() < end + if is_masked { 4 } else { 0 } {
            return None;
        }
        let long = header[2..end]
            .iter()
            .fold(0, |length: u64, byte| length << 8 | u64::from(*byte));
        let mask = if is_masked {
            header[end..end + 4].try_into().ok()?
        } else {
            [0; 4]
        };
        let (is_last, is_control) = (first & 0x80 != 0, first & 0x08 != 0);
        Some((
            long + u64::from(short),
            Self {
                left: 0,
                mask,
                mask_at: 0,
                is_last,
                is_control,
            },
        ))
    }
}
