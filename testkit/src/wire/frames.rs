//! WebSocket frames, cheaply: a load generator shares the machine with the servers, so it must cost
//! little. Payloads that arrive are not copied; payloads that leave are masked with zeros, which is
//! a valid mask.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::Decoder;

/// The bit of the second byte that announces a mask.
const MASKED: u8 = 0x80;
/// Values of the length's seven bits that say where the real length stands:
/// <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.
const LENGTH_IN_16_BITS: u8 = 126;
const LENGTH_IN_64_BITS: u8 = 127;

/// The kind of an unfragmented frame, as its first byte:
/// <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Text = 0x81,
    Binary = 0x82,
    Close = 0x88,
    Ping = 0x89,
    Pong = 0x8a,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Text,
        Self::Binary,
        Self::Close,
        Self::Ping,
        Self::Pong,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: Kind,
    pub payload: Bytes,
}

/// Decodes a server's frames.
#[derive(Debug)]
pub struct Frames;

impl Decoder for Frames {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
        let Some((header, length)) = header(buffer) else {
            return Ok(None);
        };
        let kind = Kind::from_byte(buffer[0]).filter(|_| buffer[1] & MASKED == 0);
        let kind = kind.ok_or(io::ErrorKind::InvalidData)?;
        if buffer.len() < header + length {
            buffer.reserve(header + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(header);
        let payload = buffer.split_to(length).freeze();
        Ok(Some(Frame { kind, payload }))
    }
}

/// Reads the lengths of a frame's header and payload, in bytes; none while the header is not whole.
fn header(buffer: &[u8]) -> Option<(usize, usize)> {
    let mut rest = buffer;
    rest.try_get_u8().ok()?;
    let length = match rest.try_get_u8().ok()? & !MASKED {
        LENGTH_IN_16_BITS => rest.try_get_u16().ok()?.into(),
        LENGTH_IN_64_BITS => rest.try_get_u64().ok()?.try_into().ok()?,
        length => length.into(),
    };
    Some((buffer.len() - rest.len(), length))
}

/// Appends a client's frame.
pub fn write_frame(kind: Kind, payload: &[u8], out: &mut BytesMut) {
    out.put_u8(kind as u8);
    match payload.len() {
        length if length < LENGTH_IN_16_BITS.into() => out.put_u8(MASKED | length as u8),
        length => match u16::try_from(length) {
            Ok(length) => {
                out.put_u8(MASKED | LENGTH_IN_16_BITS);
                out.put_u16(length);
            }
            Err(_) => {
                out.put_u8(MASKED | LENGTH_IN_64_BITS);
                out.put_u64(length as u64);
            }
        },
    }
    out.put_u32(0);
    out.put_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a server's frame: a client's without the mask.
    fn server_frame(kind: Kind, payload: &[u8]) -> BytesMut {
        let mut frame = BytesMut::new();
        write_frame(kind, payload, &mut frame);
        frame[1] &= !MASKED;
        let mask = frame.len() - payload.len() - 4;
        let rest = frame.split_off(mask).split_off(4);
        frame.unsplit(rest);
        frame
    }

    #[test]
    fn a_frame_of_any_length_is_decoded_once_it_is_whole() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let whole = server_frame(Kind::Binary, &payload);
            let mut part = BytesMut::from(&whole[..whole.len() - 1]);
            assert_eq!(Frames.decode(&mut part).unwrap(), None, "{length}");
            part.extend_from_slice(&whole[whole.len() - 1..]);
            let frame = Frames.decode(&mut part).unwrap().unwrap();
            assert_eq!(frame.kind, Kind::Binary);
            assert_eq!(frame.payload.len(), length);
            assert!(part.is_empty(), "{length}");
        }
    }

    #[test]
    fn a_masked_fragmented_or_unknown_frame_of_a_server_is_refused() {
        for head in [[0x81, 0x80], [0x01, 0x00], [0xc1, 0x00], [0x83, 0x00]] {
            assert!(
                Frames.decode(&mut BytesMut::from(&head[..])).is_err(),
                "{head:?}"
            );
        }
    }
}
