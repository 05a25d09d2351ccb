//! Joining and leaving rooms.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Chat, Participant};
use crate::{
    auth::Identity,
    error::Error,
    model::{RoomId, Seq},
    room::{Departure, Join, Joined, READ_TIMEOUT, RoomHandle, Welcome},
};

impl Chat {
    /// Joins a room, or joins it again: `welcome` answers the caller and subscribes it.
    ///
    /// Errors, without `welcome` being called: no identity ([`Error::InvalidPayload`]), another
    /// identity than before or a room that it may not enter, or too many rooms
    /// ([`Error::Forbidden`]), too many requests ([`Error::RateLimited`]), the log cannot be read
    /// ([`Error::Unavailable`]).
    pub async fn join(
        &self,
        participant: &Arc<Participant>,
        room: RoomId,
        claim: Option<Identity>,
        last_seq: Option<Seq>,
        limit: Option<usize>,
        welcome: impl FnOnce(Joined) -> bool + Send + 'static,
    ) -> Result<(), Error> {
        self.check_running()?;
        let identity = participant.identify(claim)?;
        identity.may_enter(&room)?;
        let user_id = identity.user_id().clone();
        self.requests.check(&user_id)?;
        let (handle, joined_before) = self.enter(participant, &room)?;
        let joining = handle.join(Join {
            client: participant.client,
            user_id,
            last_seq,
            limit: self.limit(limit),
            deadline: Instant::now() + READ_TIMEOUT,
            welcome: unless_closed(participant.clone(), welcome),
        });
        let result = joining.await;
        if result.is_err() && !joined_before {
            participant.joined().rooms.remove(&room);
        }
        result
    }

    /// Notes the room with the participant before the room knows of the participant: whenever the
    /// connection ends from here on,
    /// [`Chat::disconnect`] tells the room.
    fn enter(&self, participant: &Participant, room: &RoomId) -> Result<(RoomHandle, bool), Error> {
        let mut joined = participant.joined();
        if joined.closed {
            return Err(Error::Unavailable);
        }
        if let Some(handle) = joined.rooms.get(room) {
            return Ok((handle.clone(), true));
        }
        let max_rooms = self.limits.max_rooms;
        if joined.rooms.len() >= max_rooms {
            return Err(Error::Forbidden(format!(
                "roomId: a connection may be in {max_rooms} rooms at most"
            )));
        }
        let handle = self.rooms.enter(room);
        joined.rooms.insert(room.clone(), handle.clone());
        Ok((handle, false))
    }

    /// Leaves a room; afterwards the room knows nothing of the connection.
    ///
    /// Errors: [`Error::NotInRoom`].
    pub async fn leave(&self, participant: &Participant, room: &RoomId) -> Result<(), Error> {
        let handle = participant.joined().rooms.remove(room);
        let handle = handle.ok_or(Error::NotInRoom)?;
        handle.leave(participant.client, Departure::Left).await;
        Ok(())
    }

    /// Gives a connection other rights of the same user; it leaves the rooms that they do not
    /// cover, which are returned.
    ///
    /// Errors: [`Error::Forbidden`] when the user is another one.
    pub async fn renew(
        &self,
        participant: &Participant,
        identity: Identity,
    ) -> Result<Vec<RoomId>, Error> {
        let lost = participant.renew(identity)?;
        for room in &lost {
            self.leave(participant, room).await?;
        }
        Ok(lost)
    }

    /// Ends a connection's part: it leaves all its rooms at once, and waits until they have forgotten
    /// it. A room whose mailbox is full holds up none of the others.
    pub async fn disconnect(&self, participant: &Participant, how: Departure) {
        let rooms = {
            let mut joined = participant.joined();
            joined.closed = true;
            std::mem::take(&mut joined.rooms)
        };
        let client = participant.client;
        let leaving = rooms
            .into_values()
            .map(async |room| room.leave(client, how).await);
        join_all(leaving).await;
    }
}

/// A join that waited in the room's queue while its connection ended must not leave a member
/// behind.
fn unless_closed(
    participant: Arc<Participant>,
    welcome: impl FnOnce(Joined) -> bool + Send + 'static,
) -> Welcome {
    Box::new(move |joined| !participant.is_closed() && welcome(joined))
}
