//! Parsing of JSON payloads.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::{error::Error, json_error};

/// The first of the two escapes for a character beyond the first 65,536:
/// <https://www.rfc-editor.org/rfc/rfc8259#section-7>.
const HIGH_HALVES: std::ops::RangeInclusive<u16> = 0xD800..=0xDBFF;
const LOW_HALVES: std::ops::RangeInclusive<u16> = 0xDC00..=0xDFFF;

/// `\uXXXX`
const ESCAPE_BYTES: usize = 6;

/// Parses a payload, a JSON object; unknown fields are ignored.
///
/// # Errors
///
/// [`Error::InvalidPayload`], with the field's name.
pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
    if !json.trim_start().starts_with('{') {
        return Err(Error::InvalidPayload(
            "the payload must be an object".into(),
        ));
    }
    let json = repaired(json);
    let deserializer = &mut serde_json::Deserializer::from_str(&json);
    let parsed = serde_path_to_error::deserialize(&mut *deserializer).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { "" } else { &path };
        Error::InvalidPayload(json_error::explain(path, error.inner()))
    })?;
    let is_all = deserializer.end();
    is_all.map_err(|error| Error::InvalidPayload(json_error::explain("", &error)))?;
    Ok(parsed)
}

/// Replaces each half of a character, as of an emoji cut in the middle, by U+FFFD. Browsers do the
/// same when they encode such a text:
/// <https://encoding.spec.whatwg.org/#interface-textencoder>.
pub fn repaired(json: &str) -> Cow<'_, str> {
    if !json.contains(r"\ud") && !json.contains(r"\uD") {
        return json.into();
    }
    let mut repaired = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        repaired.push_str(before);
        let (kept, length) = match (half(escape), escape.get(ESCAPE_BYTES..).and_then(half)) {
            (Some(high), Some(low)) if HIGH_HALVES.contains(&high) && LOW_HALVES.contains(&low) => {
                (&escape[..2 * ESCAPE_BYTES], 2 * ESCAPE_BYTES)
            }
            (Some(_), _) => (r"\ufffd", ESCAPE_BYTES),
            (None, _) => {
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                (&escape[..length], length)
            }
        };
        repaired.push_str(kept);
        rest = &escape[length..];
    }
    repaired.push_str(rest);
    repaired.into()
}

/// Returns the half of a character at the start of a text, if it is an escape for one.
fn half(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(r"\u")?.get(..4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (HIGH_HALVES.contains(&unit) || LOW_HALVES.contains(&unit)).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_is_replaced_and_nothing_else() {
        for (json, expected) in [
            (r#""ab\ud83d""#, r#""ab\ufffd""#),
            (r#""\uD83Dab""#, r#""\ufffdab""#),
            (
                r#""\udc00\ud83d\ud83d\ude00\udc00""#,
                r#""\ufffd\ufffd\ud83d\ude00\ufffd""#,
            ),
            (r#""\ud83d\n\ud83d\u0041""#, r#""\ufffd\n\ufffd\u0041""#),
            (
                r#"{"\ud83d":"\\ud83d\\\ud83d"}"#,
                r#"{"\ufffd":"\\ud83d\\\ufffd"}"#,
            ),
            (r#""\ud83"#, r#""\ud83"#),
            (r#""\ud83é"#, r#""\ud83é"#),
            (r#""\u+83d \ud83d\"#, r#""\u+83d \ufffd\"#),
            (r#""😀\ud83d\é""#, r#""😀\ufffd\é""#),
        ] {
            assert_eq!(repaired(json), expected);
        }
    }
}
