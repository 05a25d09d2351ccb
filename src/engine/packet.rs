//! Packets, as far as this layer distinguishes them, and the polling payloads around them.

use super::query::Version;

/// The length of a packet's head, which tells its kind.
pub(super) const HEAD_BYTES: usize = 4;

/// Separates the packets of a payload:
/// <https://socket.io/docs/v4/engine-io-protocol/#http-long-polling-1>.
const SEPARATOR: u8 = 0x1e;

/// The kind of a packet from a client:
/// <https://socket.io/docs/v4/socket-io-protocol/#packet-encoding>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PacketKind {
    /// The client wishes to enter the main namespace.
    Connect,
    /// The client wishes to enter another namespace; there is none.
    ConnectElsewhere,
    /// The client leaves the main namespace.
    Disconnect,
    /// An event or an ack with attachments to come.
    Binary,
    /// An event, an ack, or anything else of Socket.IO's.
    Message,
    /// A packet of Engine.IO's own.
    Engine,
}

impl PacketKind {
    /// Tells a packet's kind by its first [`HEAD_BYTES`], or by all of a shorter packet.
    pub(super) fn from_head(head: &[u8]) -> Self {
        match head {
            [b'4', b'0', namespace @ ..] if is_main(namespace) => Self::Connect,
            [b'4', b'1', namespace @ ..] if is_main(namespace) => Self::Disconnect,
            [b'4', b'0', ..] => Self::ConnectElsewhere,
            [b'4', b'5' | b'6', ..] => Self::Binary,
            [b'4', ..] => Self::Message,
            [b'b', ..] => Self::Binary,
            _ => Self::Engine,
        }
    }

    /// Returns true for a packet that the chat counts itself under polling, in order to answer it
    /// even if there are too many.
    pub(super) fn is_event(self) -> bool {
        matches!(self, Self::Message | Self::Binary)
    }
}

/// Returns true for the main namespace, which may go unnamed.
fn is_main(namespace: &[u8]) -> bool {
    matches!(namespace, [] | [b'/'] | [b'/', b','] | [b',', ..]) || !namespace.starts_with(b"/")
}

/// The packets of a payload, each with the offset of the next one.
///
/// An old client's binary payload counts as one packet: no client sends binary data to the chat.
pub(super) struct Packets<'a> {
    payload: &'a [u8],
    /// The part of it in valid UTF-8.
    text: &'a str,
    version: Version,
    at: usize,
}

impl<'a> Packets<'a> {
    pub(super) fn new(payload: &'a [u8], version: Version) -> Self {
        let text = match version {
            Version::V3 => payload
                .utf8_chunks()
                .next()
                .map_or("", |chunk| chunk.valid()),
            Version::V4 => "",
        };
        Self {
            payload,
            text,
            version,
            at: 0,
        }
    }

    /// Returns the next packet, and its length including any separator or prefix.
    fn first(&self) -> (&'a [u8], usize) {
        let rest = &self.payload[self.at..];
        match self.version {
            Version::V4 => match rest.iter().position(|byte| *byte == SEPARATOR) {
                Some(end) => (&rest[..end], end + 1),
                None => (rest, rest.len()),
            },
            Version::V3 => self
                .text
                .get(self.at..)
                .and_then(split_prefixed)
                .unwrap_or((rest, rest.len())),
        }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = (&'a [u8], usize);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.payload.len() {
            return None;
        }
        let (packet, taken) = self.first();
        self.at += taken;
        Some((packet, self.at))
    }
}

/// Splits off a packet and the length before it, in characters; returns the bytes of both, or
/// `None` if there is no length: <https://github.com/socketio/engine.io-protocol/tree/v3#payload>.
fn split_prefixed(rest: &str) -> Option<(&[u8], usize)> {
    let (length, text) = rest.split_once(':')?;
    let bytes = text
        .char_indices()
        .nth(length.parse().ok()?)
        .map_or(text.len(), |(at, _)| at);
    Some((&text.as_bytes()[..bytes], length.len() + 1 + bytes))
}

/// Returns the length of a payload without its close packet, or `None` if the payload holds nothing
/// else.
pub(super) fn length_without_close(payload: &[u8], version: Version) -> Option<usize> {
    let mut end = 0;
    for (packet, next) in Packets::new(payload, version) {
        if packet == b"1" {
            return (end > 0).then(|| end - usize::from(version == Version::V4));
        }
        end = next;
    }
    Some(payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_known_by_its_head() {
        for (kind, packets) in [
            (
                PacketKind::Connect,
                &["40", "40{}", "40{\"a", "40/", "40/,", "40,"][..],
            ),
            (PacketKind::Disconnect, &["41", "41,", "41/,"]),
            (PacketKind::ConnectElsewhere, &["40/a", "40/a,{}"]),
            (PacketKind::Message, &["41/a", "42[", "43[", "4", "44"]),
            (PacketKind::Binary, &["451-", "461-", "bAQI"]),
            (PacketKind::Engine, &["2", "3", "1", "5", "", "0{}"]),
        ] {
            for packet in packets {
                assert_eq!(PacketKind::from_head(packet.as_bytes()), kind, "{packet}");
            }
        }
    }

    fn packets(payload: &str, version: Version) -> Vec<(&str, usize)> {
        let packets = Packets::new(payload.as_bytes(), version);
        packets
            .map(|(packet, end)| (str::from_utf8(packet).unwrap(), end))
            .collect()
    }

    #[test]
    fn a_payload_is_split_into_packets() {
        assert_eq!(
            packets("40\x1e42[]\x1e3", Version::V4),
            [("40", 3), ("42[]", 8), ("3", 9)]
        );
        assert_eq!(packets("40", Version::V4), [("40", 2)]);
        assert_eq!(packets("\x1e\x1e", Version::V4), [("", 1), ("", 2)]);
        assert_eq!(packets("2:4€1:2", Version::V3), [("4€", 6), ("2", 9)]);
        assert_eq!(packets("9:40", Version::V3), [("40", 4)]);
        assert_eq!(packets("x:40", Version::V3), [("x:40", 4)]);
    }

    #[test]
    fn a_close_packet_is_cut_off() {
        let cut = |payload: &'static str, version| {
            length_without_close(payload.as_bytes(), version).map(|end| &payload[..end])
        };
        assert_eq!(cut("1", Version::V4), None);
        assert_eq!(cut("42[]\x1e1", Version::V4), Some("42[]"));
        assert_eq!(cut("4x1", Version::V4), Some("4x1"));
        assert_eq!(cut("1:1", Version::V3), None);
        assert_eq!(cut("4:42[]1:1", Version::V3), Some("4:42[]"));
        assert_eq!(cut("5:4x1:1", Version::V3), Some("5:4x1:1"));
    }
}
