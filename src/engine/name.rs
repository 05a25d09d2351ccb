//! An event's name on its way to the library. The library reads names without copying them, and
//! closes the connection for a name with escapes.

/// The replacement for an escape. No event has such a name, so the event is answered as unknown.
const IN_PLACE_OF_ESCAPE: u8 = b'?';

/// A state machine over a packet up to the end of its event's name: `42`, perhaps a namespace and
/// an ack's id, then `["name"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum EventName {
    #[default]
    PacketType,
    EventType,
    BeforeArguments,
    BeforeName,
    Inside,
    Escaped,
    /// The name is over, or the packet is no event.
    Over,
}

impl EventName {
    pub(super) fn is_over(self) -> bool {
        self == Self::Over
    }

    /// Takes the packet's next byte; returns the byte for the library in its place.
    pub(super) fn step(&mut self, byte: u8) -> u8 {
        let (next, read) = match (*self, byte) {
            (Self::PacketType, b'4') => (Self::EventType, byte),
            (Self::EventType, b'2') => (Self::BeforeArguments, byte),
            (Self::BeforeArguments, b'[') => (Self::BeforeName, byte),
            (Self::BeforeArguments, _) => (Self::BeforeArguments, byte),
            (Self::BeforeName, b' ' | b'\t' | b'\n' | b'\r') => (Self::BeforeName, byte),
            (Self::BeforeName, b'"') => (Self::Inside, byte),
            (Self::Inside, b'\\') => (Self::Escaped, IN_PLACE_OF_ESCAPE),
            (Self::Escaped, b'"' | b'\\') => (Self::Inside, IN_PLACE_OF_ESCAPE),
            (Self::Escaped, _) => (Self::Inside, byte),
            (Self::Inside, byte) if byte != b'"' => (Self::Inside, byte),
            _ => (Self::Over, byte),
        };
        *self = next;
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_in_a_name_are_replaced_and_nothing_else_is() {
        for (packet, expected) in [
            (
                r#"42["a\"b\\\n",{"c":"\""}]"#,
                r#"42["a??b???n",{"c":"\""}]"#,
            ),
            (r#"42/chat,17[ "a\u00e9"]"#, r#"42/chat,17[ "a?u00e9"]"#),
            (r#"42["plain","\n"]"#, r#"42["plain","\n"]"#),
            (r#"42[5,"a\n"]"#, r#"42[5,"a\n"]"#),
            (r#"43["a\n"]"#, r#"43["a\n"]"#),
            (r#"40{"a":"\n"}"#, r#"40{"a":"\n"}"#),
        ] {
            let mut name = EventName::default();
            let read: Vec<u8> = packet.bytes().map(|byte| name.step(byte)).collect();
            assert_eq!(String::from_utf8(read).unwrap(), expected);
        }
    }
}
