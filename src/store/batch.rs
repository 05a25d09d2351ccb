//! A batch's repeated sends, found before the database is asked.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use crate::model::{Draft, Message, Stored};

/// The drafts of a batch, without those that repeat an earlier one of the same batch.
pub(super) struct Distinct<'a> {
    drafts: Vec<&'a Draft>,
    /// For each draft of the batch, the place in `drafts` of the one that stands for it.
    stand_in: Vec<usize>,
}

impl<'a> Distinct<'a> {
    pub(super) fn new(batch: &'a [Draft]) -> Self {
        let mut first = HashMap::new();
        let mut drafts = Vec::with_capacity(batch.len());
        let mut stand_in = Vec::with_capacity(batch.len());
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
            stand_in.push(place);
        }
        Self { drafts, stand_in }
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
        let answers = batch.iter().zip(&self.stand_in);
        answers
            .map(|(draft, &place)| Stored {
                message: messages[place].clone(),
                duplicate: messages[place].id != draft.id,
            })
            .collect()
    }
}
