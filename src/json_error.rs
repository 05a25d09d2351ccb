//! A JSON parser's errors, in terms of JSON instead of Rust, for the programmers of clients.

use std::borrow::Cow;

use crate::error::{MAX_CAUSE_CHARS, shortened};

/// Describes the fault of a field. `path` leads to it in the JSON; it is empty at the top.
pub(crate) fn explain(path: &str, error: &serde_json::Error) -> String {
    let cause = error.to_string();
    // The parser's position in the text adds nothing to the field's name.
    let cause = cause
        .rsplit_once(" at line ")
        .map_or(&*cause, |(cause, _)| cause);
    let field_after = |beginning| {
        cause
            .strip_prefix(beginning)
            .and_then(|field: &str| field.strip_suffix('`'))
    };
    if let Some(field) = field_after("missing field `") {
        return named(&below(path, field), "is required");
    }
    if let Some(field) = field_after("duplicate field `") {
        return named(&below(path, field), "is given twice");
    }
    named(path, &translated(cause))
}

fn named(path: &str, words: &str) -> String {
    if path.is_empty() {
        words.to_owned()
    } else {
        format!("{path}: {words}")
    }
}

fn below<'a>(path: &'a str, field: &'a str) -> Cow<'a, str> {
    match path.rsplit('.').next() {
        Some("") | None => field.into(),
        Some(last) if last == field => path.into(),
        Some(_) => format!("{path}.{field}").into(),
    }
}

/// Translates serde's text for an unexpected value:
/// <https://docs.rs/serde/1/serde/de/enum.Unexpected.html>.
fn translated(cause: &str) -> Cow<'_, str> {
    let unfit = cause
        .strip_prefix("invalid type: ")
        .or_else(|| cause.strip_prefix("invalid value: "));
    let Some((found, expected)) = unfit.and_then(|unfit| unfit.rsplit_once(", expected ")) else {
        return shortened(cause, MAX_CAUSE_CHARS);
    };
    let expected = match expected {
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "f64" => "a number",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    format!(
        "must be {expected}, not {}",
        shortened(as_json(found), MAX_CAUSE_CHARS)
    )
    .into()
}

fn as_json(found: &str) -> &str {
    let scalar = ["integer `", "floating point `", "boolean `"]
        .iter()
        .find_map(|kind| found.strip_prefix(kind));
    match (scalar, found) {
        (Some(value), _) => value.trim_end_matches('`'),
        (None, "map") => "an object",
        (None, "sequence") => "an array",
        (None, "unit value") => "null",
        (None, other) => other.strip_prefix("string ").unwrap_or(other),
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, de::DeserializeOwned};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only parsed")]
    struct Payload {
        text: String,
        flag: bool,
        list: Vec<Payload>,
        number: f64,
    }

    fn said<T: DeserializeOwned + std::fmt::Debug>(path: &str, json: &str) -> String {
        explain(path, &serde_json::from_str::<T>(json).unwrap_err())
    }

    #[test]
    fn errors_of_serde_are_told_in_terms_of_json() {
        for (json, words) in [
            ("5", "a: must be a string, not 5"),
            ("-1.5", "a: must be a string, not -1.5"),
            ("true", "a: must be a string, not true"),
            ("null", "a: must be a string, not null"),
            ("[]", "a: must be a string, not an array"),
            ("{}", "a: must be a string, not an object"),
        ] {
            assert_eq!(said::<String>("a", json), words);
        }
        assert_eq!(
            said::<bool>("", r#""no""#),
            r#"must be true or false, not "no""#
        );
        assert_eq!(
            said::<Vec<u8>>("a", r#"", expected x""#),
            r#"a: must be an array, not ", expected x""#
        );
        assert_eq!(said::<f64>("a", "[]"), "a: must be a number, not an array");
        assert_eq!(said::<Payload>("a", "5"), "a: must be an object, not 5");
    }

    #[test]
    fn a_missing_or_duplicate_field_is_named() {
        assert_eq!(said::<Payload>("", "{}"), "text: is required");
        assert_eq!(
            said::<Payload>("list[0]", "{}"),
            "list[0].text: is required"
        );
        let twice = r#"{"text":"","text":""}"#;
        assert_eq!(said::<Payload>("", twice), "text: is given twice");
        assert_eq!(said::<Payload>("text", twice), "text: is given twice");
    }
}
