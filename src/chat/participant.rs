//! One connection's part in the chat: whom it speaks for, and where it is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

use crate::{
    auth::Identity,
    error::Error,
    model::{RoomId, UserId},
    room::{ClientId, RoomHandle},
};

/// How many of one connection's history reads the database has at once; others' need not wait for
/// all of them.
pub const READS_AT_ONCE: usize = 2;

/// One connection's part in the chat.
#[derive(Debug)]
pub struct Participant {
    /// Its number on this node.
    pub client: ClientId,
    identity: Mutex<Option<Identity>>,
    joined: Mutex<JoinedRooms>,
}

/// Where a connection is.
#[derive(Debug, Default)]
pub(super) struct JoinedRooms {
    pub(super) rooms: HashMap<RoomId, RoomHandle>,
    pub(super) closed: bool,
    /// Made when first needed: most connections are idle.
    reads: Option<Arc<Semaphore>>,
}

impl Participant {
    /// Begins a connection's part.
    pub(super) fn new(client: ClientId, identity: Option<Identity>) -> Self {
        Self {
            client,
            identity: Mutex::new(identity),
            joined: Mutex::default(),
        }
    }

    /// Whom the connection speaks for, if that is settled.
    pub fn identity(&self) -> Option<Identity> {
        self.settled().clone()
    }

    /// Returns whether the connection speaks for this user.
    pub fn speaks_for(&self, user: &UserId) -> bool {
        self.settled()
            .as_ref()
            .is_some_and(|identity| identity.user_id() == user)
    }

    fn settled(&self) -> MutexGuard<'_, Option<Identity>> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn identify(&self, claim: Option<Identity>) -> Result<Identity, Error> {
        let mut settled = self.settled();
        if let (Some(known), Some(claim)) = (&*settled, &claim) {
            known.covers(claim)?;
        }
        if settled.is_none() {
            *settled = claim;
        }
        settled.clone().ok_or_else(|| {
            Error::InvalidPayload(
                "userId: is required, as the connection has not said yet whom it speaks for".into(),
            )
        })
    }

    /// Gives the same user other rights; the rooms that these do not cover.
    pub(super) fn renew(&self, identity: Identity) -> Result<Vec<RoomId>, Error> {
        let mut settled = self.settled();
        if let Some(known) = &*settled {
            known.check_user(identity.user_id())?;
        }
        let joined = self.joined();
        let lost = joined
            .rooms
            .keys()
            .filter(|room| identity.may_enter(room).is_err())
            .cloned()
            .collect();
        *settled = Some(identity);
        Ok(lost)
    }

    pub(super) fn joined(&self) -> MutexGuard<'_, JoinedRooms> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the few reads of this connection take turns by.
    pub(super) fn reads(&self) -> Arc<Semaphore> {
        self.joined()
            .reads
            .get_or_insert_with(|| Arc::new(Semaphore::new(READS_AT_ONCE)))
            .clone()
    }

    /// Returns whom the connection speaks for in a room that it is in, and the room.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`].
    pub(super) fn member(&self, room: &RoomId) -> Result<(Identity, RoomHandle), Error> {
        let handle = self.joined().rooms.get(room).cloned();
        self.identity().zip(handle).ok_or(Error::NotInRoom)
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.joined().closed
    }
}
