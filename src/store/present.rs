//! The part of the log that a batch's changes concern.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use crate::model::{Action, Change, Message, Reaction, Revision, RoomId, Seq, UserId};

/// The newest messages of a room among which an operator's shows that it has operators.
pub(super) const OPERATORS_AMONG: i64 = 200;

/// A message's place in the log.
pub(super) type Place = (RoomId, Seq);

/// A user's reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Reacted {
    pub(super) place: Place,
    pub(super) reaction: Reaction,
    pub(super) user_id: UserId,
}

/// A message named by a change.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) message: Message,
    /// The id of its newest change.
    pub(super) change_id: Option<Uuid>,
}

/// The part of the log that a batch's changes concern, read under the rooms' locks.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// The newest revision of each room with messages.
    pub(super) revisions: HashMap<RoomId, Revision>,
    /// The messages, as far as they exist.
    pub(super) subjects: HashMap<Place, Subject>,
    /// Those of the reactions in question that are set.
    pub(super) reacted: HashSet<Reacted>,
    /// The number of pinned messages of each room with a pin in question.
    pub(super) pins: HashMap<RoomId, i64>,
    /// The rooms, among those with a pin in question, that have operators.
    pub(super) operated: HashSet<RoomId>,
}

/// The questions to the log, for a batch of changes.
pub(super) struct Questions<'a> {
    pub(super) rooms: BTreeSet<&'a RoomId>,
    pub(super) places: BTreeSet<Place>,
    pub(super) reactions: BTreeSet<Reacted>,
    /// The rooms with a pin in question.
    pub(super) pinning: BTreeSet<&'a RoomId>,
}

impl<'a> Questions<'a> {
    pub(super) fn new(changes: &'a [Change]) -> Self {
        let reacting = changes.iter().filter_map(reacted);
        let pinning = changes
            .iter()
            .filter(|change| matches!(change.action, Action::Pin { .. }));
        Self {
            rooms: changes.iter().map(|change| &change.room_id).collect(),
            places: changes.iter().map(place).collect(),
            reactions: reacting.collect(),
            pinning: pinning.map(|change| &change.room_id).collect(),
        }
    }
}

pub(super) fn place(change: &Change) -> Place {
    (change.room_id.clone(), change.seq)
}

fn reacted(change: &Change) -> Option<Reacted> {
    let Action::React { reaction, .. } = &change.action else {
        return None;
    };
    Some(Reacted {
        place: place(change),
        reaction: reaction.clone(),
        user_id: change.user_id.clone(),
    })
}
