//! A batch's repeated drafts, and the answers to its drafts.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use uuid::Uuid;

use super::{error::StoreError, row};
use crate::model::{Draft, Message, Stored};

/// The drafts of a batch, without repeats of an earlier one of the same batch: they are found
/// before the database is asked.
pub(super) struct Distinct<'a> {
    drafts: Vec<&'a Draft>,
    /// For each draft of the batch, the place of its equal in `drafts`.
    places: Vec<usize>,
}

impl<'a> Distinct<'a> {
    pub(super) fn new(batch: &'a [Draft]) -> Self {
        let mut first = HashMap::new();
        let mut drafts = Vec::with_capacity(batch.len());
        let mut places = Vec::with_capacity(batch.len());
        for draft in batch {
            let place = match &draft.client_message_id {
                None => drafts.len(),
                Some(name) => match first.entry((&draft.room_id, &draft.user_id, name)) {
                    Entry::Occupied(earlier) => *earlier.get(),
                    Entry::Vacant(vacant) => *vacant.insert(drafts.len()),
                },
            };
            if place == drafts.len() {
                drafts.push(draft);
            }
            places.push(place);
        }
        Self { drafts, places }
    }

    pub(super) fn drafts(&self) -> &[&'a Draft] {
        &self.drafts
    }

    /// Answers every draft of the batch, given the log's message for each distinct one.
    pub(super) fn answer(
        &self,
        batch: &[Draft],
        messages: Vec<Message>,
    ) -> Vec<Stored<Arc<Message>>> {
        let messages: Vec<_> = messages.into_iter().map(Arc::new).collect();
        let answers = batch.iter().zip(&self.places);
        answers
            .map(|(draft, &place)| Stored {
                message: messages[place].clone(),
                duplicate: messages[place].id != draft.id,
            })
            .collect()
    }
}

/// The messages of drafts, in order, and the ids of those that were not stored before.
pub(super) struct Appended {
    pub(super) messages: Vec<Message>,
    pub(super) new: HashSet<Uuid>,
}

/// The log's message for each draft, as far as it is known yet.
pub(super) struct Answers(Vec<Option<Message>>);

impl Answers {
    pub(super) fn new(drafts: usize) -> Self {
        Self(vec![None; drafts])
    }

    /// Sets the message for the draft at `place`, counted from 0.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`] when there is no such draft.
    pub(super) fn put(&mut self, place: i64, message: Message) -> Result<(), StoreError> {
        let slot = usize::try_from(place)
            .ok()
            .and_then(|place| self.0.get_mut(place));
        *slot.ok_or_else(|| row::unreadable("place", place))? = Some(message);
        Ok(())
    }

    /// Returns the drafts without a message.
    pub(super) fn missing<'a>(&self, drafts: &[&'a Draft]) -> Vec<&'a Draft> {
        let answered = drafts.iter().zip(&self.0);
        let missing = answered.filter(|(_, answer)| answer.is_none());
        missing.map(|(draft, _)| *draft).collect()
    }

    /// Returns all messages, the missing ones taken from `stored` in order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`] when `stored` has too few.
    pub(super) fn complete(self, stored: Vec<Message>) -> Result<Vec<Message>, StoreError> {
        let mut stored = stored.into_iter();
        let answers = self.0.into_iter();
        answers
            .map(|answer| answer.or_else(|| stored.next()))
            .collect::<Option<_>>()
            .ok_or_else(|| StoreError::Unreadable("not every draft was answered".into()))
    }

    /// Returns all messages, the missing ones taken from `stored` in order, and notes which these are.
    ///
    /// # Errors
    ///
    /// As [`Answers::complete`].
    pub(super) fn append(
        self,
        drafts: &[&Draft],
        stored: Vec<Message>,
    ) -> Result<Appended, StoreError> {
        let new = self.missing(drafts).into_iter().map(|draft| draft.id);
        Ok(Appended {
            new: new.collect(),
            messages: self.complete(stored)?,
        })
    }
}
