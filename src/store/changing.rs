//! The way of a batch's changes into the log, the same for all databases.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    batch::Distinct,
    error::StoreError,
    ledger::Ledger,
    present::{Place, Present, Questions, Reacted, Subject},
};
use crate::model::{
    Change, Committed, Draft, Message, Reaction, Refusal, Revision, RoomId, Stored, UserId,
};

/// The tables, within a transaction.
pub(super) trait Tables: Send {
    /// Returns those of the messages that exist.
    async fn existing(&mut self, places: &BTreeSet<Place>) -> Result<HashSet<Place>, StoreError>;

    /// Stores drafts without repeats among them, and returns their messages in order.
    async fn append(&mut self, drafts: &[&Draft]) -> Result<Vec<Message>, StoreError>;

    /// Locks the revisions of rooms, in the order of their names, and returns them. Rooms without
    /// messages are left out.
    async fn lock(
        &mut self,
        rooms: &BTreeSet<&RoomId>,
    ) -> Result<HashMap<RoomId, Revision>, StoreError>;

    /// Reads messages, with their newest changes.
    async fn subjects(&mut self, places: &BTreeSet<Place>) -> Result<Vec<Subject>, StoreError>;

    /// Returns those of the reactions that are set.
    async fn reacted(
        &mut self,
        reactions: &BTreeSet<Reacted>,
    ) -> Result<HashSet<Reacted>, StoreError>;

    /// Counts the pinned messages of a room.
    async fn pins(&mut self, room: &RoomId) -> Result<i64, StoreError>;

    /// Returns true when an operator wrote one of the newest messages of a room.
    async fn has_operators(&mut self, room: &RoomId) -> Result<bool, StoreError>;

    /// Adds reactions, removes others, and removes all of deleted messages.
    async fn write_reactions(
        &mut self,
        added: &[&Reacted],
        removed: &[&Reacted],
        deleted: &[&Place],
    ) -> Result<(), StoreError>;

    /// Returns the first users with each of these reactions.
    async fn reactors(
        &mut self,
        reactions: &BTreeSet<(Place, Reaction)>,
    ) -> Result<Vec<(Place, Reaction, UserId)>, StoreError>;

    /// Replaces the texts of messages.
    async fn rewrite(&mut self, messages: &[&Message]) -> Result<(), StoreError>;

    /// Writes the states of messages.
    async fn write_states(&mut self, changed: &[&Subject]) -> Result<(), StoreError>;

    /// Writes the newest revisions of rooms.
    async fn count(&mut self, rooms: &BTreeMap<&RoomId, Revision>) -> Result<(), StoreError>;
}

/// Stores a batch: its messages, then its changes. A room's changes are numbered under the lock of
/// its revision, so they become visible in this order.
///
/// # Errors
///
/// See [`StoreError`].
pub(super) async fn commit(
    tables: &mut impl Tables,
    drafts: &[Draft],
    changes: &[Change],
) -> Result<Committed, StoreError> {
    let mut committed = Committed {
        messages: append(tables, drafts).await?,
        ..Committed::default()
    };
    if !changes.is_empty() {
        let present = look(tables, &Questions::new(changes)).await?;
        let mut ledger = Ledger::new(present);
        ledger.apply(changes);
        write(tables, &mut ledger).await?;
        ledger.close(&mut committed);
    }
    Ok(committed)
}

/// Stores the drafts that answer no message, or one that exists.
async fn append(tables: &mut impl Tables, drafts: &[Draft]) -> Result<Vec<Answer>, StoreError> {
    let answered: BTreeSet<_> = drafts.iter().filter_map(answered_by).collect();
    let existing = if answered.is_empty() {
        HashSet::new()
    } else {
        tables.existing(&answered).await?
    };
    let is_accepted =
        |draft: &Draft| answered_by(draft).is_none_or(|place| existing.contains(&place));
    let accepted = drafts.iter().filter(|draft| is_accepted(draft));
    let accepted: Vec<_> = accepted.cloned().collect();
    let distinct = Distinct::new(&accepted);
    let messages = tables.append(distinct.drafts()).await?;
    let stored = distinct.answer(&accepted, messages);
    write_new_states(tables, &stored).await?;
    let mut stored = stored.into_iter();
    let answers = drafts.iter().map(|draft| {
        let stored = is_accepted(draft).then(|| stored.next()).flatten();
        stored.ok_or_else(|| Refusal::NotFound("replyTo: there is no such message".into()))
    });
    Ok(answers.collect())
}

type Answer = Result<Stored<Arc<Message>>, Refusal>;

/// Returns the message that a draft answers.
fn answered_by(draft: &Draft) -> Option<Place> {
    Some((draft.room_id.clone(), draft.reply_to?))
}

/// Writes the states of new messages that have more than a text. A message with a revision comes
/// from an attempt that was stored.
async fn write_new_states(
    tables: &mut impl Tables,
    stored: &[Stored<Arc<Message>>],
) -> Result<(), StoreError> {
    let new = stored.iter().filter(|stored| !stored.duplicate);
    let new = new.filter(|stored| {
        stored.message.state.is_some() && stored.message.revision() == Revision::ZERO
    });
    let new: Vec<_> = new
        .map(|stored| Subject {
            message: (*stored.message).clone(),
            change_id: None,
        })
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    tables.write_states(&Vec::from_iter(&new)).await
}

async fn look(tables: &mut impl Tables, questions: &Questions<'_>) -> Result<Present, StoreError> {
    let mut present = Present {
        revisions: tables.lock(&questions.rooms).await?,
        ..Present::default()
    };
    let subjects = tables.subjects(&questions.places).await?.into_iter();
    present.subjects = subjects
        .map(|subject| {
            let message = &subject.message;
            ((message.room_id.clone(), message.seq), subject)
        })
        .collect();
    if !questions.reactions.is_empty() {
        present.reacted = tables.reacted(&questions.reactions).await?;
    }
    for room in &questions.pinning {
        let pins = tables.pins(room).await?;
        present.pins.insert((*room).clone(), pins);
        if tables.has_operators(room).await? {
            present.operated.insert((*room).clone());
        }
    }
    Ok(present)
}

async fn write(tables: &mut impl Tables, ledger: &mut Ledger) -> Result<(), StoreError> {
    let counted = ledger.counted();
    if counted.is_empty() {
        return Ok(());
    }
    tables.count(&counted).await?;
    let deleted = Vec::from_iter(ledger.deleted());
    let (added, removed) = (ledger.added(), ledger.removed());
    if !(added.is_empty() && removed.is_empty() && deleted.is_empty()) {
        tables.write_reactions(&added, &removed, &deleted).await?;
        let reacting = ledger.reacting();
        if !reacting.is_empty() {
            let named = tables.reactors(&reacting).await?;
            ledger.name_reactors(named);
        }
    }
    let rewritten = Vec::from_iter(ledger.rewritten());
    if !rewritten.is_empty() {
        tables.rewrite(&rewritten).await?;
    }
    tables.write_states(&Vec::from_iter(ledger.changed())).await
}
