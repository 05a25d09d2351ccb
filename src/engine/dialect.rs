//! Packets that Node's server takes or sends and the library does not, as each of them has it:
//! <https://github.com/socketio/socket.io/blob/main/packages/socket.io-parser/lib/index.ts>. By
//! polling only: a WebSocket's frames are not taken apart here.

use std::borrow::Cow;

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::{Deserializer, value::RawValue};

use super::{packet::Packets, query::Version};

/// The most characters of an event's name that is none; no event of the chat has so many.
const MAX_NAME_CHARS: usize = 80;

const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The reason of a refused CONNECT, as the library writes it.
#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

/// A client's payload as the library reads it.
pub(super) fn rewrite_from_client(payload: Bytes, version: Version) -> Bytes {
    rewrite_packets(payload, version, plain_packet)
}

/// The library's payload as clients of this version read it: old ones are refused by a text.
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
    // What is no text, the library refuses.
    let Ok(text) = str::from_utf8(&payload) else {
        return payload;
    };
    let packets = || {
        Packets::new(text.as_bytes(), version)
            .map(|(packet, _)| str::from_utf8(packet).unwrap_or_default())
    };
    // A payload can hold hundreds of thousands of packets: they are put together anew only where
    // one of them changes.
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

/// A packet without a query behind its namespace, white space behind its ack's id, and escapes in
/// its event's name.
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

/// An event that is to be written otherwise; nothing where it is as the library reads it, or is
/// none.
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

/// The name in a list of arguments, as JSON without escapes, and what stands behind it;
/// `Some(None)` where it is such already, and nothing where there is no JSON.
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
        let refused: Refusal<'_> = serde_json::from_str(refused).ok()?;
        Some([head, refused.message.get()].concat())
    };
    text().map_or(packet.into(), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_would_not_read_is_written_as_it_does() {
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
    fn anything_else_is_left_as_it_is() {
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
