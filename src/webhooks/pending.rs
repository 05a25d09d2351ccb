//! The events after an endpoint's place in a room.

use super::event::Event;
use crate::{
    model::{Message, Revision, Seq},
    store::{Cursor, Head, Keep, MessageStore, Page, RoomEvent, StoreError, WebhookStore},
};

/// The most messages and the most changes read at once.
const MAX_READ: usize = 50;

/// An event, and the place after it.
pub(super) struct Next {
    pub(super) event: Event,
    pub(super) after: Cursor,
}

/// Events to deliver, in order.
pub(super) struct Pending {
    pub(super) events: Vec<Next>,
    /// The place after all of them. Events whose rows are gone are passed over.
    pub(super) end: Cursor,
}

/// Reads the events after a place, given the end of the log as of before. Messages come first, in
/// their present state; then the changes of those that are delivered by then.
///
/// # Errors
///
/// See [`StoreError`].
pub(super) async fn read(
    store: &dyn MessageStore,
    webhooks: &dyn WebhookStore,
    from: &Cursor,
    head: Head,
) -> Result<Pending, StoreError> {
    let messages = messages(store, from, head).await?;
    let mut end = from.clone();
    end.attempts = 0;
    end.retry_at = None;
    let mut events = vec![];
    for message in &messages {
        end.seq = message.seq;
        events.push(Next {
            event: Event::created(message),
            after: end.clone(),
        });
    }
    if messages.len() < MAX_READ {
        end.seq = end.seq.max(head.seq);
    }
    let changes = if head.revision > from.revision || from.part.is_some() {
        Changes::read(store, webhooks, from, head.revision).await?
    } else {
        Changes::none(head.revision)
    };
    changes.append(&mut events, &mut end);
    Ok(Pending { events, end })
}

async fn messages(
    store: &dyn MessageStore,
    from: &Cursor,
    head: Head,
) -> Result<Vec<Message>, StoreError> {
    if head.seq <= from.seq {
        return Ok(vec![]);
    }
    let page = Page {
        after: from.seq,
        before: head.seq.next(),
        limit: MAX_READ,
        keep: Keep::Oldest,
    };
    match store.read(&from.room_id, page).await {
        // There is nothing else up to the end.
        Err(error @ StoreError::Unreadable(_)) => {
            tracing::error!(%error, "webhooks pass over unreadable rows");
            Ok(vec![])
        }
        read => read,
    }
}

/// A change after a place.
enum Change {
    Message(Message),
    Room(RoomEvent),
}

impl Change {
    /// Returns the revision and, within it, the name of the part.
    fn place(&self) -> (Revision, &str) {
        match self {
            Self::Message(message) => (message.revision(), ""),
            Self::Room(event) => (event.revision, event.state.part()),
        }
    }

    fn event(&self, cursor: &Cursor) -> Event {
        match self {
            Self::Message(message) => Event::changed(message),
            Self::Room(event) => Event::of_room(&cursor.room_id, event),
        }
    }

    /// Returns the message that has to be delivered before.
    fn needs(&self) -> Seq {
        match self {
            Self::Message(message) => message.seq,
            Self::Room(_) => Seq::ZERO,
        }
    }
}

/// The changes after a place, in order.
struct Changes {
    changes: Vec<Change>,
    /// The room's revision when there are no others before it; none when there may be more.
    complete_to: Option<Revision>,
}

impl Changes {
    fn none(revision: Revision) -> Self {
        Self {
            changes: vec![],
            complete_to: Some(revision),
        }
    }

    async fn read(
        store: &dyn MessageStore,
        webhooks: &dyn WebhookStore,
        from: &Cursor,
        head: Revision,
    ) -> Result<Self, StoreError> {
        let messages = store.read_changes(&from.room_id, from.revision, MAX_READ);
        let messages: Vec<_> = messages.await?.into_iter().map(Change::Message).collect();
        let events = webhooks.room_events(from, MAX_READ).await?;
        let events: Vec<_> = events.into_iter().map(Change::Room).collect();
        Ok(Self::merge(messages, events, head))
    }

    /// Merges two lists, up to the end of one that may go on, and up to a revision.
    fn merge(messages: Vec<Change>, events: Vec<Change>, head: Revision) -> Self {
        let full = [&messages, &events].map(|list| list.len() >= MAX_READ);
        let ends = [&messages, &events]
            .into_iter()
            .zip(full)
            .filter(|(_, is_full)| *is_full);
        let end = ends
            .filter_map(|(list, _)| list.last().map(Change::place))
            .min();
        let end = end.map(|(revision, part)| (revision, part.to_owned()));
        let mut changes = messages;
        changes.extend(events);
        changes.sort_by(|one, other| one.place().cmp(&other.place()));
        changes.retain(|change| {
            let place = change.place();
            let is_known = end
                .as_ref()
                .is_none_or(|(revision, part)| place <= (*revision, part.as_str()));
            is_known && place.0 <= head
        });
        Self {
            changes,
            complete_to: end.is_none().then_some(head),
        }
    }

    /// Adds the events of the changes, up to one of a message that is not delivered by then.
    fn append(self, events: &mut Vec<Next>, end: &mut Cursor) {
        let mut changes = self.changes.iter().peekable();
        while let Some(change) = changes.next_if(|change| change.needs() <= end.seq) {
            let (revision, part) = change.place();
            let following = changes.peek().map(|next| next.place().0);
            // Without another change, the next read tells whether there are others of this revision.
            let is_last = following.map_or(self.complete_to.is_some(), |next| next > revision);
            end.revision = revision;
            end.part = (!is_last).then(|| part.to_owned());
            events.push(Next {
                event: change.event(end),
                after: end.clone(),
            });
        }
        if let (None, Some(revision)) = (changes.peek(), self.complete_to) {
            end.revision = end.revision.max(revision);
            end.part = None;
        }
    }
}
