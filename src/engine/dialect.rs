//! Differences between Node's server and the library: packets of clients, rewritten for the
//! library, and refusals of the library, rewritten for old clients
//! (<https://github.com/socketio/socket.io/blob/main/packages/socket.io-parser/lib/index.ts>).
//! They apply to polling alone: a WebSocket's frames are not taken apart here.

use std::borrow::Cow;

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::{Deserializer, value::RawValue};

use super::{packet::Packets, query::Version};

/// The most characters kept of an invalid event name; no event of the chat has as many.
const MAX_NAME_CHARS: usize = 80;

const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The reason for a refused CONNECT, as the library writes it.
#[derive(Deserialize)]
struct ConnectRefusal<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

/// Rewrites a client's payload for the library.
pub(super) fn rewrite_from_client(payload: Bytes, version: Version) -> Bytes {
    rewrite_packets(payload, version, plain_packet)
}

/// Rewrites the library's payload for clients of a version: old ones expect a refusal as text.
pub(super) fn rewrite_to_client(payload: Bytes, version: Version) -> Bytes {
    match version {
        Version::V3 => rewrite_packets(payload, version, refusal_as_text),
        Version::V4 => payload,
    }
}

fn rewrite_packets(
    payload: Bytes,
    version: Version,
    rewrite: impl Fn(&str) -> Cow<'_, str>,
) -> Bytes {
    // The library refuses a payload of other bytes than text.
    let Ok(text) = str::from_utf8(&payload) else {
        return payload;
    };
    let packets = || {
        Packets::new(text.as_bytes(), version)
            .map(|(packet, _)| str::from_utf8(packet).unwrap_or_default())
    };
    // A payload can hold hundreds of thousands of packets, so it is copied only if one of them
    // changes.
    if packets().all(|packet| matches!(rewrite(packet), Cow::Borrowed(_))) {
        return payload;
    }
    let packets: Vec<_> = packets().map(&rewrite).collect();
    let text = match version {
        Version::V3 => packets
            .iter()
            .map(|packet| format!("{}:{packet}", packet.chars().count()))
            .collect(),
        Version::V4 => packets.join("\x1e"),
    };
    text.into()
}

/// Rewrites a packet without a query behind its namespace, white space behind its ack's id, or
/// escapes in its event's name.
fn plain_packet(packet: &str) -> Cow<'_, str> {
    match packet.get(..2) {
        Some("40" | "41") => without_query(packet).map_or(packet.into(), Cow::Owned),
        Some("42") => plain_event(packet).map_or(packet.into(), Cow::Owned),
        _ => packet.into(),
    }
}

fn without_query(packet: &str) -> Option<String> {
    let namespace = packet[2..]
        .split(',')
        .next()
        .filter(|namespace| namespace.starts_with('/'))?;
    let (path, _) = namespace.split_once('?')?;
    Some([&packet[..2], path, &packet[2 + namespace.len()..]].concat())
}

/// Rewrites an event for the library; returns `None` if it needs no change or is no event.
fn plain_event(packet: &str) -> Option<String> {
    let namespace = if packet[2..].starts_with('/') {
        packet.find(',')? + 1
    } else {
        2
    };
    let (head, rest) = packet.split_at(namespace);
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (id, data) = rest.split_at(digits);
    let arguments = data
        .trim_start_matches(WHITE_SPACE)
        .strip_prefix('[')?
        .trim_start_matches(WHITE_SPACE);
    let plain = name(arguments)?;
    if plain.is_none() && (digits == 0 || data.starts_with('[')) {
        return None;
    }
    let (name, others) = plain.unwrap_or((String::new(), arguments));
    Some([head, id, "[", &name, others].concat())
}

/// Returns the name in a list of arguments, as JSON without escapes, and the rest of the list;
/// `Some(None)` if the name has none already, and `None` if it is not JSON.
fn name(arguments: &str) -> Option<Option<(String, &str)>> {
    if arguments.starts_with(']') {
        return Some(Some((r#""""#.into(), arguments)));
    }
    let mut values = Deserializer::from_str(arguments).into_iter::<&RawValue>();
    let value = values.next()?.ok()?.get();
    let is_text = value.starts_with('"');
    if is_text && !value.contains('\\') {
        return Some(None);
    }
    let text = if is_text {
        serde_json::from_str(value).ok()
    } else {
        None
    };
    let text = text.unwrap_or_else(|| value.trim_matches('"').to_owned());
    let plain = text.chars().take(MAX_NAME_CHARS).map(|c| match c {
        '"' | '\\' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    });
    Some(Some((
        format!("\"{}\"", plain.collect::<String>()),
        &arguments[value.len()..],
    )))
}

fn refusal_as_text(packet: &str) -> Cow<'_, str> {
    let text = || {
        let (head, refused) = packet
            .strip_prefix("44")
            .and_then(|_| Some(packet.split_at(packet.find('{')?)))?;
        let refused: ConnectRefusal<'_> = serde_json::from_str(refused).ok()?;
        Some([head, refused.message.get()].concat())
    };
    text().map_or(packet.into(), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_the_library_cannot_read_is_rewritten() {
        for (packet, expected) in [
            ("40/chat?x=1,", "40/chat,"),
            ("40/?x=1", "40/"),
            ("40/?token=a,{\"a\":\"?,\"}", "40/,{\"a\":\"?,\"}"),
            (r#"421 ["e",{}]"#, r#"421["e",{}]"#),
            ("42/chat,12\r\n [\"e\"]", r#"42/chat,12["e"]"#),
            (
                r#"42["gr\u00f6\u00dfe",{"a":"\u00f6"}]"#,
                r#"42["größe",{"a":"\u00f6"}]"#,
            ),
            (r#"421["join\u0052oom",{}]"#, r#"421["joinRoom",{}]"#),
            (
                r#"421["a\"\\\n\ud83d\ude00",1]"#,
                "421[\"a\u{fffd}\u{fffd}\u{fffd}😀\",1]",
            ),
            (r#"421["\ud83d"]"#, "421[\"\u{fffd}ud83d\"]"),
            ("421[5,{}]", r#"421["5",{}]"#),
            ("421[ null ]", r#"421["null" ]"#),
            (r#"421[["e"],{}]"#, "421[\"[\u{fffd}e\u{fffd}]\",{}]"),
            ("421[]", r#"421[""]"#),
        ] {
            assert_eq!(plain_packet(packet), expected);
        }
    }

    #[test]
    fn any_other_packet_is_left_unchanged() {
        for packet in [
            "",
            "4",
            "2",
            "40",
            "40{\"a\":\"/?\"}",
            "40/chat,{\"a\":\"?\"}",
            r#"42["e",{"a":"\u00f6"}]"#,
            r#"42[ "e",{}]"#,
            r#"42 ["e",{}]"#,
            "421",
            "42[",
            "42[\"e",
            "42{}",
            "42/chat",
            r#"451-["e\u0041"]"#,
            "42é",
            "4é",
        ] {
            assert!(
                matches!(plain_packet(packet), Cow::Borrowed(same) if same == packet),
                "{packet}"
            );
        }
    }

    #[test]
    fn a_payload_is_put_together_again() {
        let from = |payload: &'static str, version| rewrite_from_client(payload.into(), version);
        assert_eq!(
            from("3\x1e421 [\"e\"]\x1e42[\"f\"]", Version::V4),
            "3\x1e421[\"e\"]\x1e42[\"f\"]"
        );
        assert_eq!(
            from("10:42[\"\\u00f6\"]1:2", Version::V3),
            "10:42[\"\\u00f6\"]1:2"
        );
        assert_eq!(from("12:42[\"\\u00f6\"]1:2", Version::V3), "7:42[\"ö\"]1:2");
        let refused = "24:44/a,{\"message\":\"no: é\"}2:40";
        assert_eq!(
            rewrite_to_client(refused.into(), Version::V3),
            "12:44/a,\"no: é\"2:40"
        );
        assert_eq!(
            rewrite_to_client("44{\"message\":\"no\"}".into(), Version::V4),
            "44{\"message\":\"no\"}"
        );
    }
}
