//! The effect of a batch's messages on the conversations of their rooms, the same for all databases.
//!
//! A customer's message opens a conversation, opens a closed one again, and waits for an answer. An
//! operator's message is the answer.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{changing::Tables, error::StoreError};
use crate::model::{
    Conversation, ConversationChanged, Draft, Message, Queued, Refusal, Revision, RoomId, Seq,
    Speaker, Status,
};

/// A conversation in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Talk {
    /// The room's revision with the last change.
    pub(super) revision: Revision,
    /// The conversation.
    pub(super) conversation: Conversation,
    /// The time of the oldest message of a customer without an answer.
    pub(super) waiting: Option<DateTime<Utc>>,
}

impl Talk {
    /// Returns the conversation with its place in the queue, in a room with a newest message.
    pub(super) fn queued(self, last_seq: Seq) -> Queued {
        Queued {
            conversation: self.conversation,
            waiting_since: self.waiting,
            last_seq,
        }
    }
}

/// The conversations of rooms.
pub(super) type Talks = HashMap<RoomId, Talk>;

/// A stored message of a speaker.
struct Said<'a> {
    speaker: Speaker,
    message: &'a Message,
}

/// Refuses a draft of an operator when another one has the conversation.
pub(super) fn refusal(draft: &Draft, talks: &Talks) -> Option<Refusal> {
    let talk = talks.get(&draft.room_id)?;
    let holder = talk.conversation.operator_id.as_ref()?;
    let is_other = draft.speaker == Some(Speaker::Operator) && *holder != draft.user_id;
    is_other.then(|| Refusal::Forbidden(format!("roomId: {holder} has this conversation")))
}

/// Reads the conversations of the rooms of speakers.
pub(super) async fn talks(tables: &mut impl Tables, drafts: &[Draft]) -> Result<Talks, StoreError> {
    let spoken = drafts.iter().filter(|draft| draft.speaker.is_some());
    let rooms: BTreeSet<_> = spoken.map(|draft| &draft.room_id).collect();
    if rooms.is_empty() {
        return Ok(Talks::new());
    }
    tables.conversations(&rooms).await
}

/// Changes the conversations as the new messages ask for it, under the locks of their rooms and of the
/// rooms of `changing`, which are locked next: all locks of a batch are taken in one order. The logs of the
/// rooms are locked since the messages were stored.
pub(super) async fn hear(
    tables: &mut impl Tables,
    new: &[(&Draft, Arc<Message>)],
    talks: &Talks,
    changing: &BTreeSet<&RoomId>,
) -> Result<Vec<ConversationChanged>, StoreError> {
    let said = said(new);
    let mut affected = heard(&said, talks);
    if affected.is_empty() {
        return Ok(vec![]);
    }
    let rooms: BTreeSet<_> = affected.keys().copied().collect();
    let locked = changing.union(&rooms).copied().collect();
    let revisions = tables.lock(&locked).await?;
    let mut counted = BTreeMap::new();
    for (room, talk) in &mut affected {
        let before = talks.get(*room).map(|talk| talk.conversation.version);
        if before != Some(talk.conversation.version) {
            talk.revision = revisions.get(*room).copied().unwrap_or_default().next();
            counted.insert(*room, talk.revision);
        }
    }
    if !counted.is_empty() {
        tables.count(&counted).await?;
    }
    for (room, talk) in &affected {
        tables.write_conversation(room, talk).await?;
    }
    let changed = affected
        .into_iter()
        .map(|(room, talk)| ConversationChanged {
            room_id: room.clone(),
            revision: counted.get(room).copied(),
            queued: talk.queued(newest(&said, room)),
        });
    Ok(changed.collect())
}

/// Returns the newest message of a room.
fn newest(said: &BTreeMap<&RoomId, Vec<Said<'_>>>, room: &RoomId) -> Seq {
    let of_room = said.get(room).and_then(|said| said.last());
    of_room.map_or(Seq::ZERO, |said| said.message.seq)
}

/// Returns the messages of speakers, by room.
fn said<'a>(new: &'a [(&Draft, Arc<Message>)]) -> BTreeMap<&'a RoomId, Vec<Said<'a>>> {
    let mut said = BTreeMap::<_, Vec<_>>::new();
    for (draft, message) in new {
        if let Some(speaker) = draft.speaker {
            let of_room = said.entry(&message.room_id).or_default();
            of_room.push(Said { speaker, message });
        }
    }
    said
}

/// Returns the conversations that are others after what was said.
fn heard<'a>(
    said: &BTreeMap<&'a RoomId, Vec<Said<'_>>>,
    talks: &Talks,
) -> BTreeMap<&'a RoomId, Talk> {
    let after = said.iter().filter_map(|(room, said)| {
        let before = talks.get(*room);
        let after = said.iter().fold(before.cloned(), after);
        (after.as_ref() != before).then_some((*room, after?))
    });
    after.collect()
}

/// Returns the conversation after a message.
fn after(talk: Option<Talk>, Said { speaker, message }: &Said<'_>) -> Option<Talk> {
    let author = &message.user_id;
    let Some(mut talk) = talk else {
        let is_customer = *speaker == Speaker::Customer;
        return is_customer.then(|| Talk {
            revision: Revision::ZERO,
            conversation: Conversation::begun_by(author),
            waiting: Some(message.timestamp),
        });
    };
    match speaker {
        Speaker::Customer => {
            if talk.conversation.state == Status::Closed {
                let by = Some(author.clone());
                talk.conversation = talk.conversation.changed(Status::Open, None, by);
            }
            talk.waiting = talk.waiting.or(Some(message.timestamp));
        }
        Speaker::Operator | Speaker::Supervisor => talk.waiting = None,
    }
    Some(talk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Body, UserId};

    /// Returns the conversation after a message.
    fn said(talk: Option<Talk>, speaker: Speaker, seq: i64) -> Option<Talk> {
        let (room, user): (_, UserId) = ("r".try_into().unwrap(), "ann".try_into().unwrap());
        let body = Body::parse("hello", 5).unwrap();
        let draft = Draft::new(room, user, None, body, None);
        let message = &draft.at(seq.try_into().unwrap());
        after(talk, &Said { speaker, message })
    }

    #[test]
    fn a_customer_opens_and_waits_and_an_operator_answers() {
        assert_eq!(said(None, Speaker::Operator, 1), None);
        let open = said(None, Speaker::Customer, 1).unwrap();
        assert_eq!(open.conversation.state, Status::Open);
        let again = said(Some(open.clone()), Speaker::Customer, 2).unwrap();
        assert_eq!(again, open, "the first question counts");
        let answered = said(Some(open), Speaker::Supervisor, 3).unwrap();
        assert_eq!(answered.waiting, None);
        assert_eq!(answered.conversation.version, 1);
        let asked = said(Some(answered), Speaker::Customer, 4).unwrap();
        assert!(asked.waiting.is_some());
    }

    #[test]
    fn a_customer_opens_a_closed_conversation_and_an_operator_does_not() {
        let open = said(None, Speaker::Customer, 1).unwrap();
        let closed = Talk {
            conversation: open.conversation.changed(Status::Closed, None, None),
            waiting: None,
            ..open
        };
        let talk = said(Some(closed.clone()), Speaker::Operator, 2);
        assert_eq!(talk, Some(closed.clone()));
        let reopened = said(Some(closed), Speaker::Customer, 3).unwrap();
        assert_eq!(reopened.conversation.state, Status::Open);
        assert!(reopened.waiting.is_some());
    }
}
