//! Verdicts, and the JSON that they come in.

use serde::Deserialize;

use crate::model::{Body, Metadata};

/// The most characters of a reason.
pub const MAX_REASON_CHARS: usize = 300;
/// The reason where the program gives none.
const NO_REASON: &str = "the moderation refuses this message";

/// The program's answer to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The message is stored as it is.
    Allowed,
    /// The message is stored with another content.
    Changed(Replacement),
    /// The message is not stored, for a reason that its sender reads.
    Refused(String),
}

/// Another content of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Replacement {
    /// The text.
    pub body: Body,
    /// Other metadata; none to keep the sender's, an empty object to remove them.
    pub metadata: Option<Metadata>,
}

/// The JSON of a verdict. Other fields are ignored.
#[derive(Deserialize)]
struct Answer {
    action: Action,
    reason: Option<String>,
    message: Option<String>,
    metadata: Option<Metadata>,
}

/// The kinds of verdicts.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Allow,
    Refuse,
    Change,
}

impl Verdict {
    /// Parses an answer. A changed text must be one that a client could send.
    ///
    /// # Errors
    ///
    /// The reason why it is no verdict, without its texts.
    pub(super) fn parse(json: &[u8], max_message_bytes: usize) -> Result<Self, String> {
        let answer = serde_json::from_slice::<Answer>(json);
        let answer = answer.map_err(|error| format!("no verdict, at column {}", error.column()))?;
        match answer.action {
            Action::Allow => Ok(Self::Allowed),
            Action::Refuse => Ok(Self::Refused(shown(&answer.reason.unwrap_or_default()))),
            Action::Change => {
                let text = answer.message.ok_or("a change without a message")?;
                let body = Body::parse(&text, max_message_bytes);
                Ok(Self::Changed(Replacement {
                    body: body.map_err(|error| error.to_string())?,
                    metadata: answer.metadata,
                }))
            }
        }
    }
}

/// Returns a reason as its reader sees it: of bounded length, and without control characters.
fn shown(reason: &str) -> String {
    let visible = reason.chars().filter(|c| !c.is_control());
    let shown = String::from_iter(visible.take(MAX_REASON_CHARS));
    match shown.trim() {
        "" => NO_REASON.to_owned(),
        shown => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Verdict, String> {
        Verdict::parse(json.as_bytes(), 10)
    }

    fn refused(reason: &str) -> String {
        match parse(&serde_json::json!({ "action": "refuse", "reason": reason }).to_string()) {
            Ok(Verdict::Refused(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_action_is_read_and_other_fields_are_ignored() {
        assert_eq!(
            parse(r#"{"action":"allow","score":0.1}"#),
            Ok(Verdict::Allowed)
        );
        let changed = parse(r#"{"action":"change","message":"***","metadata":{"was":1}}"#);
        let Ok(Verdict::Changed(changed)) = changed else {
            panic!("{changed:?}");
        };
        assert_eq!(changed.body.as_str(), "***");
        assert_eq!(changed.metadata.unwrap().as_str(), r#"{"was":1}"#);
    }

    #[test]
    fn an_answer_that_is_no_verdict_is_a_failure_without_its_text() {
        for bad in [
            "",
            "hunter2",
            "[]",
            r#"{"action":"hunter2"}"#,
            r#"{"action":"refuse","reason":7}"#,
            r#"{"action":"change"}"#,
            r#"{"action":"change","message":" "}"#,
            r#"{"action":"change","message":"hunter2hunter2"}"#,
            r#"{"action":"change","message":"a","metadata":["hunter2"]}"#,
            r#"{"action":"change","message":"a\u0000"}"#,
        ] {
            let error = parse(bad).unwrap_err();
            assert!(!error.contains("hunter2"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_reason_is_bounded_and_never_empty() {
        assert_eq!(refused("  not\u{0} he\u{1b}re\n"), "not here");
        assert_eq!(
            refused(&"é".repeat(1_000)).chars().count(),
            MAX_REASON_CHARS
        );
        assert_eq!(refused("\n"), NO_REASON);
        assert_eq!(
            parse(r#"{"action":"refuse"}"#),
            Ok(Verdict::Refused(NO_REASON.into()))
        );
    }
}
