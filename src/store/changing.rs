//! The way of a batch's changes into the log, the same for all databases.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    sync::Arc,
};

use uuid::Uuid;

use super::{
    batch::{Answers, Appended, Distinct},
    conversing::{self, Talk, Talks},
    error::StoreError,
    ledger::Ledger,
    present::{Place, Present, Questions, Reacted, Subject},
};
use crate::model::{
    Change, Committed, ConversationChanged, Draft, Message, Reaction, Refusal, Revision, RoomId,
    Stored, UserId,
};

/// The tables, within a transaction.
pub(super) trait Tables: Send {
    /// Returns those of the messages that exist.
    async fn existing(&mut self, places: &BTreeSet<Place>) -> Result<HashSet<Place>, StoreError>;

    /// Finds the messages of drafts that are stored already.
    async fn held(&mut self, drafts: &[&Draft]) -> Result<Answers, StoreError>;

    /// Stores drafts without repeats among them, and locks the logs of their rooms until the commit.
    async fn append(&mut self, drafts: &[&Draft]) -> Result<Appended, StoreError>;

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

    /// Reads the conversations of rooms.
    async fn conversations(&mut self, rooms: &BTreeSet<&RoomId>) -> Result<Talks, StoreError>;

    /// Writes a room's conversation.
    async fn write_conversation(&mut self, room: &RoomId, talk: &Talk) -> Result<(), StoreError>;
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
    let talks = conversing::talks(tables, drafts).await?;
    let (messages, new) = append(tables, drafts, &talks).await?;
    let questions = Questions::new(changes);
    let mut committed = Committed {
        conversations: converse(tables, drafts, &messages, &new, &questions.rooms).await?,
        messages,
        ..Committed::default()
    };
    if !changes.is_empty() {
        let present = look(tables, &questions).await?;
        let mut ledger = Ledger::new(present);
        ledger.apply(changes);
        write(tables, &mut ledger).await?;
        ledger.close(&mut committed);
    }
    Ok(committed)
}

/// Changes the conversations that the new messages are part of. Their rooms' logs are locked by now, so no
/// claim, end or answer comes between this read and the commit.
///
/// # Errors
///
/// [`StoreError::Conflict`] when an operator has lost the conversation before its message was stored.
async fn converse(
    tables: &mut impl Tables,
    drafts: &[Draft],
    messages: &[Answer],
    new: &HashSet<Uuid>,
    changing: &BTreeSet<&RoomId>,
) -> Result<Vec<ConversationChanged>, StoreError> {
    let stored = drafts.iter().zip(messages);
    let new = stored.filter(|(draft, _)| draft.speaker.is_some() && new.contains(&draft.id));
    let new =
        new.filter_map(|(draft, answer)| Some((draft, answer.as_ref().ok()?.message.clone())));
    let new: Vec<_> = new.collect();
    if new.is_empty() {
        return Ok(vec![]);
    }
    let talks = conversing::talks(tables, drafts).await?;
    if new
        .iter()
        .any(|(draft, _)| conversing::refusal(draft, &talks).is_some())
    {
        let why = io::Error::other("another operator has claimed the conversation");
        return Err(StoreError::Conflict(why.into()));
    }
    conversing::hear(tables, &new, &talks, changing).await
}

/// Stores the drafts that the room accepts. Returns the ids of those that were not stored before, too.
async fn append(
    tables: &mut impl Tables,
    drafts: &[Draft],
    talks: &Talks,
) -> Result<(Vec<Answer>, HashSet<Uuid>), StoreError> {
    let answered: BTreeSet<_> = drafts.iter().filter_map(answered_by).collect();
    let existing = if answered.is_empty() {
        HashSet::new()
    } else {
        tables.existing(&answered).await?
    };
    let barred = barred(tables, drafts, talks).await?;
    let refusal = |draft: &Draft| match answered_by(draft) {
        Some(place) if !existing.contains(&place) => {
            let why = "replyTo: there is no such message";
            Some(Refusal::NotFound(why.into()))
        }
        _ => barred.get(&draft.id).cloned(),
    };
    let refusals: Vec<_> = drafts.iter().map(refusal).collect();
    let accepted = drafts.iter().zip(&refusals);
    let accepted = accepted.filter(|(_, refusal)| refusal.is_none());
    let accepted: Vec<_> = accepted.map(|(draft, _)| draft.clone()).collect();
    let distinct = Distinct::new(&accepted);
    let appended = tables.append(distinct.drafts()).await?;
    let stored = distinct.answer(&accepted, appended.messages);
    write_new_states(tables, &stored).await?;
    let mut stored = stored.into_iter();
    let answers = refusals.into_iter().map(|refusal| match refusal {
        Some(refusal) => Err(refusal),
        None => Ok(stored.next().expect("every accepted draft has an answer")),
    });
    Ok((answers.collect(), appended.new))
}

/// Returns the refusals of drafts of operators who do not have the conversation. A repeat of a stored
/// message is answered, whoever has the conversation by now.
async fn barred(
    tables: &mut impl Tables,
    drafts: &[Draft],
    talks: &Talks,
) -> Result<HashMap<Uuid, Refusal>, StoreError> {
    let refused = |draft: &Draft| Some((draft.id, conversing::refusal(draft, talks)?));
    let mut barred: HashMap<_, _> = drafts.iter().filter_map(refused).collect();
    if barred.is_empty() {
        return Ok(barred);
    }
    let asked = drafts.iter().filter(|draft| barred.contains_key(&draft.id));
    let asked: Vec<_> = asked.collect();
    let held = tables.held(&asked).await?;
    let new: HashSet<_> = held
        .missing(&asked)
        .into_iter()
        .map(|draft| draft.id)
        .collect();
    barred.retain(|id, _| new.contains(id));
    Ok(barred)
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
