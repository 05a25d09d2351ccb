//! The bounds of an answer that carries messages.

use crate::{model::EncodedMessage, store::Keep};

/// The most bytes of messages, as JSON, in one answer; a single message may be larger. With the
/// rest of the answer it stays below the 1,048,576 bytes that many clients take as one WebSocket
/// message.
pub const MAX_ANSWER_BYTES: usize = 960_000;

/// Messages for an answer, oldest first, and whether others were left out.
pub(crate) type Answer = (Vec<EncodedMessage>, bool);

/// Returns the messages of one answer, oldest first, and whether others were left out: the `limit`
/// oldest or newest of `posts` that fit, and at least one where `limit` allows it.
pub(crate) fn fit<P>(posts: P, limit: usize, keep: Keep) -> Answer
where
    P: ExactSizeIterator<Item = EncodedMessage> + DoubleEndedIterator,
{
    let total = posts.len();
    let mut bytes = 0;
    let fits = |message: &EncodedMessage| {
        let first = bytes == 0;
        bytes += message.json().len() + 1;
        first || bytes <= MAX_ANSWER_BYTES
    };
    let kept: Vec<_> = match keep {
        Keep::Oldest => posts.take(limit).take_while(fits).collect(),
        Keep::Newest => {
            let mut newest: Vec<_> = posts.rev().take(limit).take_while(fits).collect();
            newest.reverse();
            newest
        }
    };
    let left_out = kept.len() < total;
    (kept, left_out)
}
