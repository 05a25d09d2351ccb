//! Joining and leaving rooms.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Chat, Participant};
use crate::{
    auth::Identity,
    error::Error,
    model::RoomId,
    room::{Departure, Join, Joined, Known, READ_TIMEOUT, RoomHandle, Welcome},
};

impl Chat {
    /// Joins a room, or joins it again; `welcome` answers the client and subscribes it.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidPayload`] without an identity;
    /// - [`Error::Forbidden`] for another identity than before, a room the identity may not enter,
    ///   or one room too many;
    /// - [`Error::RateLimited`] for too many requests;
    /// - [`Error::Unavailable`] when the log cannot be read or the server is stopping.
    ///
    /// On all of these, `welcome` has not been called. [`Error::Unavailable`] is also the answer
    /// when `welcome` returns false.
    pub async fn join(
        &self,
        participant: &Arc<Participant>,
        room: RoomId,
        claim: Option<Identity>,
        known: Known,
        limit: Option<usize>,
        welcome: impl FnOnce(Joined) -> bool + Send + 'static,
    ) -> Result<(), Error> {
        self.check_running()?;
        let identity = participant.identify(claim)?;
        identity.may_enter(&room)?;
        let user_id = identity.user_id().clone();
        self.requests.check(&user_id)?;
        let (handle, joined_before) = self.enter(participant, &room)?;
        let read_seq = self.inbox.position(&room, &user_id).await;
        let joining = handle.join(Join {
            client: participant.client,
            user_id,
            known,
            read_seq,
            limit: self.limit(limit),
            deadline: Instant::now() + READ_TIMEOUT,
            welcome: unless_closed(participant.clone(), handle.clone(), welcome),
        });
        let result = joining.await;
        if result.is_err() && !joined_before {
            participant.joined().give_up(&room);
        }
        result
    }

    /// Notes the room with the participant, and returns its handle; true if it was noted before.
    /// This comes before the room knows the client, so [`Chat::disconnect`] reaches the room
    /// whenever the client goes.
    fn enter(&self, participant: &Participant, room: &RoomId) -> Result<(RoomHandle, bool), Error> {
        let mut joined = participant.joined();
        if joined.closed {
            return Err(Error::Unavailable);
        }
        if let Some(known) = joined.rooms.get(room) {
            return Ok((known.handle.clone(), true));
        }
        let max_rooms = self.limits.max_rooms;
        if joined.rooms.len() >= max_rooms {
            return Err(Error::Forbidden(format!(
                "roomId: a connection may be in {max_rooms} rooms at most"
            )));
        }
        let handle = self.rooms.enter(room);
        joined.rooms.insert(room.clone(), handle.clone().into());
        Ok((handle, false))
    }

    /// Leaves a room and its call, and waits until the room has forgotten the client.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for a room the client is not in.
    pub async fn leave(&self, participant: &Participant, room: &RoomId) -> Result<(), Error> {
        let joined = participant.joined().rooms.remove(room);
        let joined = joined.ok_or(Error::NotInRoom)?;
        joined
            .handle
            .leave(participant.client, Departure::Left)
            .await;
        if let Some((user, part)) = participant.identity().zip(joined.part) {
            self.hang_up(user.user_id(), room, part).await;
        }
        Ok(())
    }

    /// Replaces a participant's rights, and leaves the rooms not covered by the new ones. Returns
    /// these rooms.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for another user.
    pub async fn renew(
        &self,
        participant: &Participant,
        identity: Identity,
    ) -> Result<Vec<RoomId>, Error> {
        let lost = participant.renew(identity)?;
        for room in &lost {
            // The client may have been put out of it meanwhile.
            self.leave(participant, room).await.ok();
        }
        Ok(lost)
    }

    /// Ends a participant: it leaves all its rooms at once. Waits until they have forgotten it; a
    /// room with a full mailbox delays none of the others.
    pub async fn disconnect(&self, participant: &Participant, how: Departure) {
        let (rooms, watching) = {
            let mut joined = participant.joined();
            joined.closed = true;
            let watching = std::mem::take(&mut joined.watching);
            (std::mem::take(&mut joined.rooms), watching)
        };
        if let Some(identity) = participant.identity().filter(|_| watching) {
            self.inbox.unwatch(identity.user_id());
        }
        let client = participant.client;
        let leaving = rooms
            .into_values()
            .map(async |room| room.handle.leave(client, how).await);
        join_all(leaving).await;
    }
}

/// Wraps a welcome for a client that may go while its join waits: it must leave no member behind.
fn unless_closed(
    participant: Arc<Participant>,
    handle: RoomHandle,
    welcome: impl FnOnce(Joined) -> bool + Send + 'static,
) -> Welcome {
    Box::new(move |joined: Joined| participant.put_in(&joined.room_id, &handle) && welcome(joined))
}
