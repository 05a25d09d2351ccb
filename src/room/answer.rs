//! The bounds of an answer with messages.

use crate::{model::EncodedMessage, store::Keep};

/// The most bytes of messages, as JSON, in one answer; a single message may be larger. The whole
/// answer stays below 1,048,576 bytes, a common limit of WebSocket clients for one message.
pub const MAX_ANSWER_BYTES: usize = 960_000;

/// The messages of an answer, oldest first; true when others were left out.
pub(crate) type Answer = (Vec<EncodedMessage>, bool);

/// Fits messages into one answer: at most `limit` of them, the oldest or the newest, within
/// [`MAX_ANSWER_BYTES`]. The first one always fits, unless `limit` is 0.
pub(crate) fn fit<M>(messages: M, limit: usize, keep: Keep) -> Answer
where
    M: ExactSizeIterator<Item = EncodedMessage> + DoubleEndedIterator,
{
    let total = messages.len();
    let mut bytes = 0;
    let fits = |message: &EncodedMessage| {
        let first = bytes == 0;
        bytes += message.json().len() + 1;
        first || bytes <= MAX_ANSWER_BYTES
    };
    let kept: Vec<_> = match keep {
        Keep::Oldest => messages.take(limit).take_while(fits).collect(),
        Keep::Newest => {
            let mut newest: Vec<_> = messages.rev().take(limit).take_while(fits).collect();
            newest.reverse();
            newest
        }
    };
    let left_out = kept.len() < total;
    (kept, left_out)
}

/// Returns the bytes that are left of an answer with these messages.
pub(super) fn bytes_left(messages: &[EncodedMessage]) -> usize {
    let taken: usize = messages
        .iter()
        .map(|message| message.json().len() + 1)
        .sum();
    MAX_ANSWER_BYTES.saturating_sub(taken)
}
