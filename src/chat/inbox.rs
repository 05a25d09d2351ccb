//! Read marks, followed rooms, and the list of a user's rooms.

use std::sync::Arc;

use super::{Chat, Participant, charge};
use crate::{
    auth::Identity,
    error::Error,
    inbox::{ListPlace, MAX_LISTED, Marking, RoomSummary},
    model::{Mark, Read, RoomId, Seq, UserId},
};

impl Chat {
    /// Settles the identity of a client by a claim, or confirms it.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for a claim of another identity, [`Error::InvalidPayload`] without any.
    pub fn identify(
        &self,
        participant: &Participant,
        claim: Option<Identity>,
    ) -> Result<UserId, Error> {
        let identity = participant.identify(claim)?;
        Ok(identity.user_id().clone())
    }

    /// Queues a user's mark to have read a room up to a message. The client need not be in the room.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidPayload`] for a client without a user;
    /// - [`Error::Forbidden`] for a room the user may not enter;
    /// - [`Error::RateLimited`] for too many marks;
    /// - [`Error::Unavailable`] when the server is stopping.
    pub async fn mark_read(
        &self,
        participant: &Participant,
        room: RoomId,
        seq: Seq,
    ) -> Result<Marking, Error> {
        self.check_running()?;
        let reader = participant.identify(None)?;
        reader.may_enter(&room)?;
        charge(&self.marks, &reader)?;
        if !participant.is_in(&room) {
            self.standing(&reader, &room).await?;
        }
        self.inbox.mark(Mark {
            room_id: room,
            user_id: reader.user_id().clone(),
            seq,
        })
    }

    /// Returns the positions of a room's readers; true when there are others.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for a room the client is not in, [`Error::RateLimited`] for too many
    /// requests; [`Error::Unavailable`] when the database does not answer or the server is stopping.
    pub async fn reads(
        &self,
        participant: &Participant,
        room: &RoomId,
    ) -> Result<(Vec<Read>, bool), Error> {
        self.check_running()?;
        let (identity, admission) = participant.admit(room)?;
        charge(&self.requests, &identity)?;
        let reads = participant.reads();
        let _one_of_few = reads.acquire().await;
        let readers = self.inbox.readers(room).await?;
        admission.check()?;
        Ok(readers)
    }

    /// Lets a user follow a room; `muted` stays as it is when not given.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidPayload`] for a client without a user;
    /// - [`Error::Forbidden`] for a room the user may not enter, or one room too many;
    /// - [`Error::RateLimited`] for too many requests;
    /// - [`Error::Unavailable`] when the database does not answer or the server is stopping.
    pub async fn follow(
        &self,
        participant: &Participant,
        room: &RoomId,
        muted: Option<bool>,
    ) -> Result<(), Error> {
        let follower = self.requester(participant)?;
        self.standing(&follower, room).await?;
        self.inbox.follow(follower.user_id(), room, muted).await
    }

    /// Lets a user follow a room no longer, even one that the user may not enter any more.
    ///
    /// # Errors
    ///
    /// As [`Chat::follow`]; [`Error::Forbidden`] only for a service whose token is for other rooms.
    pub async fn unfollow(&self, participant: &Participant, room: &RoomId) -> Result<(), Error> {
        let follower = self.requester(participant)?;
        if follower.is_service() {
            follower.may_enter(room)?;
        }
        self.inbox.unfollow(follower.user_id(), room).await
    }

    /// Reads a page of a user's rooms, the latest activity first. Rooms that the user may not enter
    /// are left out. Returns the place of the next page, too, unless this is the last one.
    ///
    /// # Errors
    ///
    /// As [`Chat::follow`], except [`Error::Forbidden`].
    pub async fn list_rooms(
        &self,
        participant: &Participant,
        after: Option<&ListPlace>,
        limit: Option<usize>,
    ) -> Result<(Vec<RoomSummary>, Option<ListPlace>), Error> {
        let user = self.requester(participant)?;
        let limit = limit.unwrap_or(MAX_LISTED).clamp(1, MAX_LISTED);
        let reads = participant.reads();
        let _one_of_few = reads.acquire().await;
        let permits = |room: &RoomId| user.may_enter(room).is_ok();
        let listing = self.inbox.list(user.user_id(), after, limit, permits);
        listing.await
    }

    /// Begins or ends to tell a client of activity in the rooms that its user follows. Nothing
    /// changes when it is so already.
    ///
    /// # Errors
    ///
    /// As [`Chat::follow`], except [`Error::Forbidden`].
    pub async fn watch_rooms(&self, participant: &Arc<Participant>, on: bool) -> Result<(), Error> {
        let watcher = self.requester(participant)?;
        let user = watcher.user_id().clone();
        if participant.joined().watching == on {
            return Ok(());
        }
        if on {
            self.inbox.watch(&user).await?;
        }
        let mut joined = participant.joined();
        joined.watching = on && !joined.closed;
        if !joined.watching {
            self.inbox.unwatch(&user);
        }
        Ok(())
    }

    /// Returns the user of a request.
    pub(super) fn requester(&self, participant: &Participant) -> Result<Identity, Error> {
        self.check_running()?;
        let identity = participant.identify(None)?;
        charge(&self.requests, &identity)?;
        Ok(identity)
    }
}
