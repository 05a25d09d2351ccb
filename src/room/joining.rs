//! A client's way into a room.

use std::sync::Arc;

use tokio::{sync::oneshot, time::Instant};

use super::{
    fanout::Welcome,
    members::ClientId,
    reading::read,
    recent::{Hold, Older},
    tail::{FromLog, Known, MAX_CHANGES},
};
use crate::{
    error::Error,
    model::{EncodedMessage, Message, Revision, RoomId, Seq, UserId},
    store::{MessageStore, Page},
};

/// A client's request to enter a room.
pub struct Join {
    /// The client.
    pub client: ClientId,
    /// The client's user.
    pub user_id: UserId,
    /// The part of the log that the client has.
    pub known: Known,
    /// The newest message read by the user, when known.
    pub read_seq: Option<Seq>,
    /// The most messages in the answer.
    pub limit: usize,
    /// The latest time for an answer.
    pub deadline: Instant,
    /// The callback that takes the answer.
    pub welcome: Welcome,
}

/// The way back to the joiner.
pub(super) type Done = oneshot::Sender<Result<Step, Error>>;

/// The room's reply to a joiner.
pub(super) enum Step {
    /// The joiner was welcomed.
    Welcomed,
    /// The room's memory does not reach far enough: the joiner is to read a page of the log and to
    /// ask again.
    Read(Box<ToRead>),
}

/// A page of the log to be read by a joiner.
pub(super) struct ToRead {
    pub(super) join: Join,
    pub(super) store: Arc<dyn MessageStore>,
    pub(super) room: RoomId,
    pub(super) page: Page,
    pub(super) hold: Hold,
    /// The room's newest change.
    pub(super) revision: Revision,
}

/// A join with the page its client has read for it, if any.
pub(super) struct Joining {
    pub(super) join: Join,
    pub(super) own: Option<FromLog>,
}

impl From<Join> for Joining {
    fn from(join: Join) -> Self {
        Self { join, own: None }
    }
}

impl Joining {
    /// Returns the newest message of the joiner's page.
    pub(super) fn newest_read(&self) -> Option<&EncodedMessage> {
        self.own.as_ref()?.older.messages.last()
    }
}

impl ToRead {
    /// Reads the page by the join's deadline.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the log cannot be read by then.
    pub(super) async fn read(self) -> Result<Joining, Error> {
        let Self {
            join,
            store,
            room,
            page,
            hold,
            revision,
        } = self;
        let messages = read(store.read(&room, page), join.deadline).await?;
        let changes = match join.known.last_revision {
            Some(known) => {
                let changes = store.read_changes(&room, known, MAX_CHANGES + 1);
                read(changes, join.deadline).await?
            }
            None => vec![],
        };
        let encoded = |messages: &[Message]| messages.iter().map(EncodedMessage::from).collect();
        let own = FromLog {
            read_at: revision,
            older: Older {
                messages: encoded(&messages),
                hold,
            },
            has_more_changes: changes.len() > MAX_CHANGES,
            changes: encoded(&changes[..changes.len().min(MAX_CHANGES)]),
        };
        Ok(Joining {
            join,
            own: Some(own),
        })
    }
}
