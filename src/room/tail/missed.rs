//! The changes that a joiner has missed.

use std::{cmp::Reverse, collections::HashSet};

use super::changes::Changes;
use crate::{
    model::{EncodedMessage, Revision, Seq},
    room::recent::Older,
};

/// The most changes in one answer.
pub const MAX_CHANGES: usize = 200;
/// The most changes that a client may be behind before it starts anew.
pub const MAX_BEHIND: usize = 1_000;

/// The part of a room's log that a joiner has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// The newest message.
    pub last_seq: Option<Seq>,
    /// The newest change; none when the joiner asks for no changes.
    pub last_revision: Option<Revision>,
}

/// A joiner's own reading of the log, where memory does not reach far enough.
pub struct FromLog {
    /// The room's newest change before the reading.
    pub read_at: Revision,
    /// The page.
    pub older: Older,
    /// The changes that the joiner has missed, oldest first; empty unless asked for.
    pub changes: Vec<EncodedMessage>,
    /// True when the log has further changes.
    pub has_more_changes: bool,
}

/// The answer to a joiner's wish for changes.
#[derive(Debug, Default)]
pub struct Missed {
    /// The changed messages that the joiner has, in their present state, by revision; none unless
    /// asked for.
    pub changes: Option<Vec<EncodedMessage>>,
    /// True when further changes are left out.
    pub more: bool,
    /// True when the joiner has missed too much to be told.
    pub reset: bool,
    /// The newest change that the joiner has with this answer.
    pub last_revision: Revision,
}

impl Missed {
    /// Finds the changes in memory and in the joiner's page; none when they have to be read first.
    pub(super) fn new(changes: &Changes, known: Known, own: Option<&FromLog>) -> Option<Self> {
        let last_revision = changes.cursor();
        let missed = Self {
            last_revision,
            ..Self::default()
        };
        let Some(revision) = known.last_revision else {
            return Some(missed);
        };
        if last_revision.since(revision) > MAX_BEHIND {
            return Some(Self {
                changes: Some(vec![]),
                reset: true,
                ..missed
            });
        }
        let (mut found, more) = match (changes.after(revision), own) {
            (Some(kept), _) => (kept.cloned().collect(), false),
            (None, Some(own)) if own.has_more_changes => (own.changes.clone(), true),
            (None, Some(own)) => {
                let later = changes.after(own.read_at)?;
                (own.changes.iter().chain(later).cloned().collect(), false)
            }
            (None, None) => return None,
        };
        let last_revision = match found.last() {
            Some(last) if more => last.revision,
            _ => last_revision,
        };
        keep_newest_of_each(&mut found, known.last_seq.unwrap_or(Seq::END));
        Some(Self {
            changes: Some(found),
            more,
            last_revision,
            ..missed
        })
    }

    /// Cuts the changes down to [`MAX_CHANGES`] and a number of bytes.
    pub(super) fn fit(mut self, known: Option<Revision>, bytes: usize) -> Self {
        let Some(changes) = &mut self.changes else {
            return self;
        };
        let mut taken = 0;
        let fits = changes.iter().take(MAX_CHANGES).take_while(|change| {
            taken += change.json().len() + 1;
            taken <= bytes
        });
        let count = fits.count();
        if count < changes.len() {
            changes.truncate(count);
            self.more = true;
            let last = changes.last().map(|change| change.revision);
            self.last_revision = last.or(known).unwrap_or_default();
        }
        self
    }
}

/// Keeps the newest change of each message up to `last`, by revision.
fn keep_newest_of_each(changes: &mut Vec<EncodedMessage>, last: Seq) {
    let mut seen = HashSet::new();
    changes.retain(|change| change.seq <= last);
    changes.sort_by_key(|change| Reverse(change.revision));
    changes.retain(|change| seen.insert(change.seq));
    changes.reverse();
}
