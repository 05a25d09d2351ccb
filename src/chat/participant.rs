//! Participants: a client's user and the rooms it is in.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::sync::Semaphore;

use super::online::{Online, UserListener};
use crate::{
    auth::Identity,
    error::Error,
    model::{Part, RoomId, UserId},
    moderation::Line,
    rates::{DirectLimiter, Rate},
    room::{ClientId, RoomHandle},
};

/// The most reads of one client in flight at once, of history and of lists, so that other clients' reads need not
/// wait for all of them.
pub const READS_AT_ONCE: usize = 2;

/// A client's user, as it takes part in the chat.
pub struct Participant {
    /// The client's number on this node.
    pub client: ClientId,
    identity: Mutex<Option<Identity>>,
    joined: Mutex<JoinedRooms>,
    /// The order of the messages that are asked about.
    line: Line,
    users: Option<Arc<dyn UserListener>>,
    online: OnceLock<Online>,
    /// Made by the first signal: most clients send none.
    signals: OnceLock<Box<DirectLimiter>>,
}

impl fmt::Debug for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// The rooms of a client.
#[derive(Debug, Default)]
pub(super) struct JoinedRooms {
    pub(super) rooms: HashMap<RoomId, JoinedRoom>,
    /// The number of the latest entry into a room.
    entries: u64,
    pub(super) closed: bool,
    /// True while the client is told of the rooms that its user follows.
    pub(super) watching: bool,
    /// Made by the first read: most clients are idle.
    reads: Option<Arc<Semaphore>>,
}

/// A room of a client.
#[derive(Debug, Clone)]
pub(super) struct JoinedRoom {
    pub(super) handle: RoomHandle,
    /// The number of the client's entry; none before the room's answer to the first join.
    entry: Option<u64>,
    /// The client's part in the room's call.
    pub(super) part: Option<Part>,
}

impl JoinedRooms {
    /// Forgets a room whose first join has failed.
    pub(super) fn give_up(&mut self, room: &RoomId) {
        if self
            .rooms
            .get(room)
            .is_some_and(|room| room.entry.is_none())
        {
            self.rooms.remove(room);
        }
    }
}

impl From<RoomHandle> for JoinedRoom {
    fn from(handle: RoomHandle) -> Self {
        Self {
            handle,
            entry: None,
            part: None,
        }
    }
}

impl Participant {
    /// Creates a client's participant, in no room yet.
    pub(super) fn new(
        client: ClientId,
        identity: Option<Identity>,
        users: Option<Arc<dyn UserListener>>,
    ) -> Self {
        let participant = Self {
            client,
            identity: Mutex::new(identity),
            joined: Mutex::default(),
            line: Line::default(),
            users,
            online: OnceLock::new(),
            signals: OnceLock::new(),
        };
        participant.report(participant.identity().as_ref());
        participant
    }

    /// Reports the user once it is known.
    fn report(&self, identity: Option<&Identity>) {
        if let (Some(identity), Some(users)) = (identity, &self.users) {
            let online = || Online::new(users.clone(), identity.user_id().clone());
            self.online.get_or_init(online);
        }
    }

    /// Returns the identity, once it is settled.
    pub fn identity(&self) -> Option<Identity> {
        self.settled().clone()
    }

    /// Returns true when the client speaks for this user.
    pub fn speaks_for(&self, user: &UserId) -> bool {
        self.settled()
            .as_ref()
            .is_some_and(|identity| identity.user_id() == user)
    }

    fn settled(&self) -> MutexGuard<'_, Option<Identity>> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles the identity by a claim, or confirms the settled one.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for a claim of another identity, [`Error::InvalidPayload`] without any.
    pub(super) fn identify(&self, claim: Option<Identity>) -> Result<Identity, Error> {
        let mut settled = self.settled();
        if let (Some(known), Some(claim)) = (&*settled, &claim) {
            known.covers(claim)?;
        }
        if settled.is_none() {
            *settled = claim;
            self.report(settled.as_ref());
        }
        settled.clone().ok_or_else(|| {
            Error::InvalidPayload(
                "userId: is required, as the connection has not said yet whom it speaks for".into(),
            )
        })
    }

    /// Replaces the user's rights. Returns the joined rooms not covered by the new ones.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for another user.
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
        self.report(Some(&identity));
        *settled = Some(identity);
        Ok(lost)
    }

    pub(super) fn joined(&self) -> MutexGuard<'_, JoinedRooms> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Returns the permits of this client's history reads.
    pub(super) fn reads(&self) -> Arc<Semaphore> {
        self.joined()
            .reads
            .get_or_insert_with(|| Arc::new(Semaphore::new(READS_AT_ONCE)))
            .clone()
    }

    /// Counts an event of the client's own.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`]; then the event is not counted.
    pub(super) fn charge_signal(&self, rate: Rate) -> Result<(), Error> {
        let limiter = || Box::new(DirectLimiter::new(rate));
        self.signals.get_or_init(limiter).check(1)
    }

    /// Returns the identity, and the handle of a room the client is in; a service has none, and may
    /// be in no room.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for a client that is not in the room.
    pub(super) fn author(&self, room: &RoomId) -> Result<(Identity, Option<RoomHandle>), Error> {
        match self.identity().filter(Identity::is_service) {
            Some(service) => Ok((service, None)),
            None => {
                let (identity, handle) = self.member(room)?;
                Ok((identity, Some(handle)))
            }
        }
    }

    /// Returns the identity, and the handle of a room the client is in.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for any other room.
    pub(super) fn member(&self, room: &RoomId) -> Result<(Identity, RoomHandle), Error> {
        let joined = self.joined_room(room);
        let handle = joined.map(|joined| joined.handle);
        self.identity().zip(handle).ok_or(Error::NotInRoom)
    }

    fn joined_room(&self, room: &RoomId) -> Option<JoinedRoom> {
        self.joined().rooms.get(room).cloned()
    }

    /// Admits a read of a room, with the reader's identity.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for a room that the client is not in; [`Error::Forbidden`] for a service
    /// whose token is for other rooms.
    pub(super) fn admit<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> Result<(Identity, Admission<'a>), Error> {
        let identity = self.identity().ok_or(Error::NotInRoom)?;
        let joined = if identity.is_service() {
            identity.may_enter(room)?;
            None
        } else {
            Some(self.joined_room(room).ok_or(Error::NotInRoom)?)
        };
        let admission = Admission {
            participant: self,
            room,
            joined,
        };
        Ok((identity, admission))
    }

    /// Returns true when the client is in a room.
    pub fn is_in(&self, room: &RoomId) -> bool {
        let joined = self.joined_room(room);
        joined.is_some_and(|joined| joined.entry.is_some())
    }

    /// Notes that the client was put out of a room.
    pub fn put_out(&self, room: &RoomId) {
        self.joined().rooms.remove(room);
    }

    /// Notes that the client is in a room, as it may have been put out of it while it joined it again.
    /// Returns false once the client is gone.
    pub(super) fn put_in(&self, room: &RoomId, handle: &RoomHandle) -> bool {
        let joined = &mut *self.joined();
        if !joined.closed {
            let rooms = joined.rooms.entry(room.clone());
            let room = rooms.or_insert_with(|| handle.clone().into());
            if room.entry.is_none() {
                joined.entries += 1;
                room.entry = Some(joined.entries);
            }
        }
        !joined.closed
    }

    /// Notes that the client is a party of a room's call; it ends by itself when the client leaves the room.
    /// Returns false for a room that the client is not in.
    pub fn set_part(&self, room: &RoomId, part: Part) -> bool {
        let joined = &mut *self.joined();
        let room = joined.rooms.get_mut(room);
        room.map(|room| room.part = Some(part)).is_some()
    }

    /// Notes that the client is a party no longer, unless it is another one by now.
    pub(super) fn end_part(&self, room: &RoomId, part: &Part) {
        let joined = &mut *self.joined();
        if let Some(room) = joined.rooms.get_mut(room) {
            room.part.take_if(|one| one == part);
        }
    }

    /// Returns the client's part in a room's call.
    pub fn part(&self, room: &RoomId) -> Option<Part> {
        self.joined_room(room)?.part
    }

    /// Returns true once the client is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.joined().closed
    }

    /// Returns the rooms that the client is in.
    pub fn rooms(&self) -> Vec<RoomId> {
        let joined = self.joined();
        let entered = joined.rooms.iter().filter(|(_, room)| room.entry.is_some());
        entered.map(|(room, _)| room.clone()).collect()
    }

    /// Returns true while the client is told of the rooms that its user follows.
    pub fn is_watching(&self) -> bool {
        self.joined().watching
    }
}

/// The admission of a client to a read of a room.
pub(super) struct Admission<'a> {
    participant: &'a Participant,
    pub(super) room: &'a RoomId,
    /// The client's place in the room at the time; a service has none.
    joined: Option<JoinedRoom>,
}

impl Admission<'_> {
    /// Checks, after the read, that the client was not put out of the room meanwhile. A join in flight
    /// or a later entry does not count.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] when it was.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Some(joined) = &self.joined else {
            return Ok(());
        };
        let now = self.participant.joined_room(self.room);
        let entry = now.and_then(|joined| joined.entry);
        if joined.handle.is_created() && (entry.is_none() || entry != joined.entry) {
            return Err(Error::NotInRoom);
        }
        Ok(())
    }

    /// Returns the handle of the room; a service has none.
    pub(super) fn handle(&self) -> Option<&RoomHandle> {
        self.joined.as_ref().map(|joined| &joined.handle)
    }
}
