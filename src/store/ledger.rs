//! The effect of a batch's changes on the messages that they name. All databases share it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use uuid::Uuid;

use super::present::{Place, Present, Reacted, Subject, place};
use crate::model::{
    Action, Body, Change, Changed, Committed, Edit, MAX_REACTIONS, Message, Reaction, Reactors,
    Refusal, Revised, Revision, RoomId, State, UserId,
};

/// The most pinned messages of a room.
pub(super) const MAX_PINS: i64 = 50;

/// The effect of one change.
enum Effect {
    /// The message is in the wanted state already.
    None,
    /// The message is changed.
    Changed,
    /// An earlier attempt to store this very change has succeeded.
    Repeated,
}

/// The effect of all changes of a batch.
pub(super) struct Ledger {
    present: Present,
    /// The rooms' revisions before the batch.
    bases: HashMap<RoomId, Revision>,
    /// The reactions set and taken back.
    set: HashMap<Reacted, bool>,
    changed: BTreeSet<Place>,
    /// The messages with a new text or none.
    rewritten: BTreeSet<Place>,
    deleted: BTreeSet<Place>,
    answers: Vec<Result<(Place, bool), Refused>>,
}

/// A refusal, whose message's state is known at the end only.
enum Refused {
    Conflict(Place),
    Other(Refusal),
}

impl Ledger {
    pub(super) fn new(present: Present) -> Self {
        Self {
            bases: present.revisions.clone(),
            present,
            set: HashMap::new(),
            changed: BTreeSet::new(),
            rewritten: BTreeSet::new(),
            deleted: BTreeSet::new(),
            answers: vec![],
        }
    }

    /// Applies the changes in order.
    pub(super) fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let place = place(change);
            let answer = match self.effect(&place, change) {
                Ok(Effect::None) => Ok((place, false)),
                Ok(Effect::Repeated) => Ok((place, true)),
                Ok(Effect::Changed) => {
                    self.count(&place, change.id);
                    Ok((place, true))
                }
                Err(refused) => Err(refused),
            };
            self.answers.push(answer);
        }
    }

    /// Gives a change its revision.
    fn count(&mut self, place: &Place, id: Uuid) {
        let revision = self.present.revisions.entry(place.0.clone()).or_default();
        *revision = revision.next();
        let revision = *revision;
        if let Some(subject) = self.present.subjects.get_mut(place) {
            subject.change_id = Some(id);
            state(&mut subject.message).revision = revision;
        }
        self.changed.insert(place.clone());
    }

    fn effect(&mut self, place: &Place, change: &Change) -> Result<Effect, Refused> {
        let not_found = Refused::Other(Refusal::NotFound("seq: there is no such message".into()));
        let subject = self.present.subjects.get(place).ok_or(not_found)?;
        if subject.change_id == Some(change.id) {
            return Ok(Effect::Repeated);
        }
        match &change.action {
            Action::Edit(edit) => self.edit(place, change, edit),
            Action::Delete => self.delete(place, change),
            Action::React { reaction, on } => self.react(place, &change.user_id, reaction, *on),
            Action::Pin { on } => self.pin(place, change.is_operator, *on),
        }
    }

    fn message(&mut self, place: &Place) -> &mut Message {
        let subject = self.present.subjects.get_mut(place);
        &mut subject.expect("the change's message was found").message
    }

    fn edit(&mut self, place: &Place, change: &Change, edit: &Edit) -> Result<Effect, Refused> {
        let message = self.message(place);
        if message.user_id != change.user_id {
            return Err(forbidden("seq: only its author may edit a message"));
        }
        if message.is_deleted() {
            return Err(Refused::Conflict(place.clone()));
        }
        if edit
            .sent_since
            .is_some_and(|since| message.timestamp < since)
        {
            return Err(forbidden("seq: the message is too old to be edited"));
        }
        if edit
            .if_revision
            .is_some_and(|known| known != message.revision())
        {
            return Err(Refused::Conflict(place.clone()));
        }
        let before = message
            .state
            .as_ref()
            .and_then(|state| state.metadata.clone());
        let metadata = match &edit.metadata {
            Some(metadata) => Some(metadata.clone()).filter(|metadata| !metadata.is_empty()),
            None => before.clone(),
        };
        if message.body == edit.body && metadata == before {
            return Ok(Effect::None);
        }
        message.body = edit.body.clone();
        let state = state(message);
        state.metadata = metadata;
        state.edited_at = Some(change.timestamp);
        self.rewritten.insert(place.clone());
        Ok(Effect::Changed)
    }

    fn delete(&mut self, place: &Place, change: &Change) -> Result<Effect, Refused> {
        let message = self.message(place);
        if message.user_id != change.user_id && !change.is_operator {
            return Err(forbidden(
                "seq: only its author and operators may delete a message",
            ));
        }
        if message.is_deleted() {
            return Ok(Effect::None);
        }
        let pinned = state(message).pinned;
        message.body = Body::erased();
        *state(message) = State {
            reply_to: state(message).reply_to,
            deleted_at: Some(change.timestamp),
            ..State::default()
        };
        if pinned {
            self.count_pin(place, -1);
        }
        self.set.retain(|reacted, _| reacted.place != *place);
        self.rewritten.insert(place.clone());
        self.deleted.insert(place.clone());
        Ok(Effect::Changed)
    }

    fn react(
        &mut self,
        place: &Place,
        user: &UserId,
        reaction: &Reaction,
        on: bool,
    ) -> Result<Effect, Refused> {
        if self.message(place).is_deleted() {
            return Err(Refused::Conflict(place.clone()));
        }
        let reacted = Reacted {
            place: place.clone(),
            reaction: reaction.clone(),
            user_id: user.clone(),
        };
        let is_on = self.set.get(&reacted).copied();
        if is_on.unwrap_or_else(|| self.present.reacted.contains(&reacted)) == on {
            return Ok(Effect::None);
        }
        count_reaction(&mut state(self.message(place)).reactions, reaction, on)?;
        self.set.insert(reacted, on);
        Ok(Effect::Changed)
    }

    fn pin(&mut self, place: &Place, is_operator: bool, on: bool) -> Result<Effect, Refused> {
        let message = self.message(place);
        if message.is_deleted() {
            return Err(Refused::Conflict(place.clone()));
        }
        if state(message).pinned == on {
            return Ok(Effect::None);
        }
        if !is_operator && self.present.operated.contains(&place.0) {
            return Err(forbidden("only operators may pin messages in this room"));
        }
        let pins = self.present.pins.get(&place.0).copied().unwrap_or_default();
        if on && pins >= MAX_PINS {
            return Err(forbidden(format!(
                "a room may have {MAX_PINS} pinned messages at most"
            )));
        }
        self.count_pin(place, if on { 1 } else { -1 });
        state(self.message(place)).pinned = on;
        Ok(Effect::Changed)
    }

    fn count_pin(&mut self, place: &Place, change: i64) {
        *self.present.pins.entry(place.0.clone()).or_default() += change;
    }

    /// Returns the reactions that are new.
    pub(super) fn added(&self) -> Vec<&Reacted> {
        self.differing(true)
    }

    /// Returns the reactions taken back, but for those of deleted messages.
    pub(super) fn removed(&self) -> Vec<&Reacted> {
        self.differing(false)
    }

    fn differing(&self, on: bool) -> Vec<&Reacted> {
        let set = self.set.iter();
        let mut differing: Vec<_> = set
            .filter(|(reacted, is_on)| {
                **is_on == on && self.present.reacted.contains(reacted) != on
            })
            .map(|(reacted, _)| reacted)
            .collect();
        differing.sort_unstable();
        differing
    }

    /// Returns the deleted messages.
    pub(super) fn deleted(&self) -> impl Iterator<Item = &Place> {
        self.deleted.iter()
    }

    /// Returns the kinds of reactions whose users have changed, with those that still have any.
    pub(super) fn reacting(&self) -> BTreeSet<(Place, Reaction)> {
        let set = self.set.keys();
        set.filter(|reacted| !self.deleted.contains(&reacted.place))
            .map(|reacted| (reacted.place.clone(), reacted.reaction.clone()))
            .collect()
    }

    /// Names the first users with each of these reactions, by now the log's.
    pub(super) fn name_reactors(&mut self, named: Vec<(Place, Reaction, UserId)>) {
        let mut names = BTreeMap::<(Place, Reaction), Vec<UserId>>::new();
        for (place, reaction, user) in named {
            names.entry((place, reaction)).or_default().push(user);
        }
        for ((place, reaction), mut users) in names {
            users.sort_unstable();
            let reactions = &mut state(self.message(&place)).reactions;
            let kind = reactions.iter_mut().find(|kind| kind.reaction == reaction);
            if let Some(kind) = kind {
                kind.user_ids = users;
            }
        }
    }

    /// Returns the messages with a new text or none.
    pub(super) fn rewritten(&self) -> impl Iterator<Item = &Message> {
        let places = self.rewritten.iter();
        places.map(|place| &self.present.subjects[place].message)
    }

    /// Returns the changed messages.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Subject> {
        self.changed
            .iter()
            .map(|place| &self.present.subjects[place])
    }

    /// Returns the rooms with new revisions, in the order of their names.
    pub(super) fn counted(&self) -> BTreeMap<&RoomId, Revision> {
        let changed = self.changed.iter();
        changed
            .map(|(room, _)| (room, self.present.revisions[room]))
            .collect()
    }

    /// Answers every change, and tells the rooms' changes.
    pub(super) fn close(self, committed: &mut Committed) {
        let subjects = self.present.subjects.into_iter();
        let messages: HashMap<_, _> = subjects
            .map(|(place, subject)| (place, Arc::new(subject.message)))
            .collect();
        let answers = self.answers.into_iter().map(|answer| match answer {
            Ok((place, changed)) => Ok(Changed {
                message: messages[&place].clone(),
                changed,
            }),
            Err(Refused::Conflict(place)) => Err(Refusal::Conflict(messages[&place].clone())),
            Err(Refused::Other(refusal)) => Err(refusal),
        });
        committed.changes = answers.collect();
        let mut rooms = HashMap::<_, Vec<_>>::new();
        for place in &self.changed {
            let changed = rooms.entry(&place.0).or_default();
            changed.push(messages[place].clone());
        }
        let revised = self.bases.into_iter().map(|(room_id, base)| {
            let mut messages = rooms.remove(&room_id).unwrap_or_default();
            messages.sort_unstable_by_key(|message| message.revision());
            Revised {
                room_id,
                base,
                messages,
            }
        });
        committed.rooms = revised.collect();
    }
}

fn state(message: &mut Message) -> &mut State {
    message.state.get_or_insert_default()
}

fn forbidden(why: impl Into<String>) -> Refused {
    Refused::Other(Refusal::Forbidden(why.into()))
}

/// Counts a user's reaction in or out. The names follow once the log has them.
fn count_reaction(
    reactions: &mut Vec<Reactors>,
    reaction: &Reaction,
    on: bool,
) -> Result<(), Refused> {
    let place = reactions.iter().position(|kind| kind.reaction == *reaction);
    match (place, on) {
        (Some(place), true) => reactions[place].count += 1,
        (Some(place), false) if reactions[place].count > 1 => reactions[place].count -= 1,
        (Some(place), false) => _ = reactions.remove(place),
        (None, true) if reactions.len() >= MAX_REACTIONS => {
            return Err(forbidden(format!(
                "reaction: a message may have {MAX_REACTIONS} kinds at most"
            )));
        }
        (None, true) => reactions.push(Reactors {
            reaction: reaction.clone(),
            count: 1,
            user_ids: vec![],
        }),
        (None, false) => {}
    }
    Ok(())
}
