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
    model::{EncodedMessage, Message, Revision, Role, RoomId, Seq, UserId},
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
    /// Somebody created the room: the joiner is to read whether it may be in it, and to ask again.
    Prove(Box<ToProve>),
}

/// A page of the log to be read by a joiner.
pub(super) struct ToRead {
    pub(super) join: Join,
    pub(super) proof: Proof,
    pub(super) store: Arc<dyn MessageStore>,
    pub(super) room: RoomId,
    pub(super) page: Page,
    pub(super) hold: Hold,
    /// The room's newest change.
    pub(super) revision: Revision,
}

/// A standing to be read by a joiner.
pub(super) struct ToProve {
    pub(super) joining: Joining,
    pub(super) store: Arc<dyn MessageStore>,
    pub(super) room: RoomId,
    /// The room's settings that the proof has to know.
    pub(super) revision: Revision,
}

/// A joiner's right to be in a room that somebody created.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Proof {
    /// The revision of the settings at the time, or an earlier one.
    pub(super) revision: Revision,
    /// The user's role.
    pub(super) role: Option<Role>,
}

/// A join with what its client has read for it.
pub(super) struct Joining {
    pub(super) join: Join,
    pub(super) own: Option<FromLog>,
    pub(super) proof: Proof,
    /// True when the joiner has waited for a read of the log.
    pub(super) has_read: bool,
}

impl From<Join> for Joining {
    fn from(join: Join) -> Self {
        Self {
            join,
            own: None,
            proof: Proof::default(),
            has_read: false,
        }
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
            proof,
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
            proof,
            has_read: true,
        })
    }
}

impl ToProve {
    /// Reads the joiner's standing by the join's deadline.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] when the user may not be in the room; [`Error::Unavailable`] when this
    /// cannot be read by then.
    pub(super) async fn read(self) -> Result<Joining, Error> {
        let Self {
            mut joining,
            store,
            room,
            revision,
        } = self;
        let place = [(room, joining.join.user_id.clone())];
        let standings = store.rooms().standings(&place);
        let standings = read(standings, joining.join.deadline).await?;
        let standing = standings.get(&place[0]);
        if let Some(standing) = standing {
            standing.check()?;
        }
        joining.proof = Proof {
            revision,
            role: standing.and_then(|standing| standing.membership.role()),
        };
        Ok(joining)
    }
}
