//! The message that a call leaves in its room's log.

use std::time::Duration;

use serde_json::json;

use crate::model::{Body, Call, Draft, EndedReason, Media, RoomId};

/// Returns the message that an ended call leaves in its room's log, as its starter's.
pub(super) fn trace(room: &RoomId, call: &Call) -> Draft {
    let text = text(call);
    let body = Body::parse(&text, text.len()).expect("the text can be seen");
    let mut draft = Draft::new(room.clone(), call.started_by.clone(), None, body, None);
    let mut summary = json!({
        "callId": call.call_id,
        "media": call.media,
        "outcome": call.ended_reason,
    });
    if let Some(duration) = call.duration() {
        summary["durationMs"] = json!(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    }
    let metadata = json!({ "call": summary }).to_string();
    draft.metadata = serde_json::from_str(&metadata).ok();
    draft
}

/// Returns the text of the message, for clients that know nothing of calls.
fn text(call: &Call) -> String {
    let kind = match call.media {
        Media::Audio => "call",
        Media::Video => "video call",
    };
    let text = match (call.duration(), call.ended_reason) {
        (Some(duration), _) => format!("{kind}, {}", words(duration)),
        (None, Some(EndedReason::Rejected)) => format!("declined {kind}"),
        (None, Some(EndedReason::Cancelled)) => format!("cancelled {kind}"),
        (None, _) => format!("missed {kind}"),
    };
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}

/// Returns a time in words, in hours, minutes and seconds.
fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts
        .map(|(number, unit)| format!("{number} {unit}"))
        .collect();
    if parts.is_empty() {
        return "0 s".into();
    }
    parts.join(" ")
}
