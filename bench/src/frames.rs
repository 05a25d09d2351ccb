//! WebSocket frames, cheaply: a load generator that shares the machine with the servers must cost
//! little of it. What comes is not copied; what goes is masked with zeros, which is a mask.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::Decoder;

/// A whole text, and a close frame, as first bytes:
/// <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
/// The bit that tells that a mask follows; then lengths that are not lengths but tell where the
/// length stands.
const MASKED: u8 = 0x80;
const LENGTH_IN_16_BITS: u8 = 126;
const LENGTH_IN_64_BITS: u8 = 127;

/// Takes the texts out of what a server sends.
#[derive(Debug)]
pub struct Frames;

impl Decoder for Frames {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
        let Some((header, length)) = header(buffer) else {
            return Ok(None);
        };
        if buffer[0] == CLOSE {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if buffer.len() < header + length {
            buffer.reserve(header + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(header);
        Ok(Some(buffer.split_to(length).freeze()))
    }
}

/// How long a frame's header and its payload are; nothing as long as the header is not whole.
fn header(buffer: &[u8]) -> Option<(usize, usize)> {
    let mut rest = buffer;
    rest.try_get_u8().ok()?;
    let length = match rest.try_get_u8().ok()? {
        LENGTH_IN_16_BITS => rest.try_get_u16().ok()?.into(),
        LENGTH_IN_64_BITS => rest.try_get_u64().ok()?.try_into().ok()?,
        length => length.into(),
    };
    Some((buffer.len() - rest.len(), length))
}

/// Appends a text as a client's frame.
pub fn write_text(text: &[u8], out: &mut BytesMut) {
    out.put_u8(TEXT);
    match u8::try_from(text.len()) {
        Ok(length) if length < LENGTH_IN_16_BITS => out.put_u8(MASKED | length),
        _ => {
            out.put_u8(MASKED | LENGTH_IN_16_BITS);
            out.put_u16(
                text.len()
                    .try_into()
                    .expect("a packet of this bench has less than 64 KiB"),
            );
        }
    }
    out.put_u32(0);
    out.put_slice(text);
}
