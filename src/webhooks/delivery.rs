//! The delivery of a room's next events to an endpoint, one request after another.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    client::{Answer, Client},
    commits::Commits,
    database::Database,
    endpoint::Endpoint,
    event::{self, Event},
    pending::{self, Next},
    results::Tally,
    settings::Settings,
};
use crate::{
    model::RoomId,
    outbound::Post,
    store::{Cursor, MessageStore, StoreError, WebhookStore},
};

/// The most bytes of events in a request; a single event may be larger.
const MAX_BODY_BYTES: usize = 64_000;

/// The parts of a delivery, common to all rooms.
pub(super) struct Delivery<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) settings: &'a Settings,
    pub(super) store: &'a dyn MessageStore,
    pub(super) webhooks: &'a dyn WebhookStore,
    pub(super) client: &'a Client,
    pub(super) tally: &'a Tally,
    pub(super) database: &'a Database,
    pub(super) commits: Commits,
}

/// The end of a delivery.
#[derive(Debug)]
pub(super) enum End {
    /// All events known at its beginning are delivered.
    Done,
    /// There are more.
    More,
    /// The next attempt is due at a time; the receiver may ask for a pause in all rooms.
    Later {
        due: DateTime<Utc>,
        pause: Option<Duration>,
    },
    /// The endpoint gets no more events.
    Disabled(String),
    /// Another sender is at work.
    Lost,
    /// The log was not read.
    Unread(StoreError),
}

impl Delivery<'_> {
    /// Delivers the next events of a room.
    pub(super) async fn deliver(&self, room: &RoomId) -> End {
        match self.attempt(room).await {
            Ok(()) => End::Done,
            Err(end) => end,
        }
    }

    async fn attempt(&self, room: &RoomId) -> Result<(), End> {
        let reading = self.database.read().await;
        let place = self.webhooks.place(self.endpoint.id(), room).await?;
        let Some((cursor, head)) = place.filter(|(cursor, head)| !cursor.is_at(*head)) else {
            return Ok(());
        };
        if let Some(due) = cursor.retry_at.filter(|due| *due > Utc::now()) {
            return Err(End::Later { due, pause: None });
        }
        let pending = pending::read(self.store, self.webhooks, &cursor, head).await?;
        drop(reading);
        let mut at = cursor;
        for events in self.requests(&pending.events) {
            at = self.send(at, events).await?;
        }
        if at != pending.end {
            self.advance(pending.end.clone()).await?;
        }
        if pending.end.is_at(head) {
            Ok(())
        } else {
            Err(End::More)
        }
    }

    /// Sends a request, and moves the place. Returns the new place.
    async fn send(&self, from: Cursor, events: &[Next]) -> Result<Cursor, End> {
        let sent: Vec<_> = events.iter().map(|next| &next.event).collect();
        let post = post(self.settings, &sent);
        match self.client.post(self.endpoint, post).await {
            Answer::Taken => {
                self.tally.succeeded(self.endpoint);
                sent.iter()
                    .for_each(|event| self.client.note_delay(event.timestamp()));
                let after = events.last().map_or(from, |next| next.after.clone());
                self.advance(after.clone()).await?;
                Ok(after)
            }
            Answer::Gone => {
                let reason = "status 410: the receiver wants no more events";
                self.tally.failed(self.endpoint, reason);
                Err(End::Disabled(reason.into()))
            }
            Answer::Failed {
                reason,
                retry_after,
            } => Err(self.failed(from, reason, retry_after).await),
        }
    }

    /// Notes a failed attempt, and returns the time of the next one.
    async fn failed(&self, from: Cursor, reason: String, retry_after: Option<Duration>) -> End {
        self.tally.failed(self.endpoint, &reason);
        let attempts = from.attempts + 1;
        let Some(pause) = self.settings.timing.pause(attempts) else {
            return End::Disabled(format!(
                "{attempts} attempts failed, the last one: {reason}"
            ));
        };
        let wait = pause.max(retry_after.unwrap_or_default());
        let due = Utc::now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        let cursor = Cursor {
            attempts,
            retry_at: Some(due),
            ..from
        };
        match self.advance(cursor).await {
            Ok(()) => End::Later {
                due,
                pause: retry_after,
            },
            Err(end) => end,
        }
    }

    async fn advance(&self, cursor: Cursor) -> Result<(), End> {
        if self.commits.advance(cursor).await {
            Ok(())
        } else {
            Err(End::Lost)
        }
    }

    /// Splits events into requests.
    fn requests<'e>(&self, events: &'e [Next]) -> impl Iterator<Item = &'e [Next]> {
        let (most, mut count, mut size) = (self.settings.batch, 0, 0);
        events.chunk_by(move |one, next| {
            if size == 0 {
                size = one.event.size();
            }
            count += 1;
            size += next.event.size();
            let fits = count < most && size <= MAX_BODY_BYTES;
            if !fits {
                (count, size) = (0, 0);
            }
            fits
        })
    }
}

/// Returns a signed request with events.
pub(super) fn post(settings: &Settings, events: &[&Event]) -> Post {
    let (id, body) = match events {
        [event] if settings.batch == 1 => event::single(event),
        events => event::batch(events),
    };
    let (id, timestamp) = (id.to_string(), Utc::now().timestamp());
    Post {
        signature: Some(settings.secrets.sign(&id, timestamp, &body)),
        id,
        timestamp,
        body,
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Unread(error)
    }
}
