//! Calls: a member of a room rings the others, and they join. The room's state says who is in the call.

mod keeper;
mod parties;

use std::sync::Arc;

use tokio::time::timeout;
use uuid::Uuid;

pub use self::keeper::CallKeeper;
use self::parties::Parties;
use super::{Chat, Participant, charge};
use crate::{
    auth::Identity,
    calling::{Grant, LiveKit},
    error::Error,
    metrics,
    model::{
        Authority, Call, CallId, CallStep, MAX_RUNG, Media, Part, PartyId, RoomAction, RoomChange,
        RoomChanged, RoomId, UserId,
    },
    room::READ_TIMEOUT,
};

/// A call that a client starts.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// The call.
    pub call_id: CallId,
    /// The kind.
    pub media: Media,
    /// The users whom it rings; none for everybody in the room.
    pub to: Option<Vec<UserId>>,
}

/// The part of this server in calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    parties: Parties,
    metrics: metrics::Calls,
}

/// A call that a client is a party of now.
#[derive(Debug)]
pub struct Entered {
    /// The call.
    pub call: Call,
    /// The way to the media, where a LiveKit server carries them.
    pub livekit: Option<Grant>,
}

impl Calls {
    /// Counts the start or the end of a call.
    fn count(&self, change: &RoomChange, changed: &RoomChanged) {
        if let RoomAction::Call(CallStep::Start { .. }) = change.action {
            self.metrics.note_start();
        }
        let call = changed.settings.info.call.as_ref();
        if let Some(reason) = call.and_then(|call| call.ended_reason) {
            self.metrics.note_end(reason.name());
            let (room, reason) = (&change.room_id, reason.name());
            tracing::debug!(%room, reason, "call ended");
        }
    }
}

impl Chat {
    /// Counts calls with these handles.
    #[must_use]
    pub fn counting_calls(mut self, metrics: metrics::Calls) -> Self {
        self.calls.metrics = metrics;
        self
    }

    /// Lets a LiveKit server carry the media of calls.
    #[must_use]
    pub fn with_livekit(mut self, livekit: LiveKit) -> Self {
        self.livekit = Some(livekit);
        self
    }

    /// Starts a call, with the client as its first party. In a room with more than [`MAX_RUNG`] users, a
    /// call to everybody rings nobody.
    ///
    /// `enter` is called once the client is a party, before anybody else can know of it.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] with the present call when another one goes on, or the call is over;
    /// [`Error::InvalidPayload`] when it is to ring nobody but its starter. Otherwise as
    /// [`Chat::join_call`].
    pub async fn start_call(
        &self,
        participant: &Arc<Participant>,
        room: RoomId,
        party_id: PartyId,
        call: NewCall,
        enter: impl FnOnce() + Send,
    ) -> Result<Entered, Error> {
        let starter = self.caller(participant, &room)?;
        let to = match call.to {
            Some(mut users) => {
                users.retain(|user| user != starter.user_id());
                if users.is_empty() {
                    let why = "to: must name somebody else; leave it out to ring everybody";
                    return Err(Error::InvalidPayload(why.into()));
                }
                Some(users)
            }
            None => {
                let present = self.rooms.presence(&room).await?;
                (present.member_count > MAX_RUNG).then(Vec::new)
            }
        };
        let part = Part::new(call.call_id, party_id);
        let step = CallStep::Start {
            call_id: part.call_id.clone(),
            party_id: part.party_id.clone(),
            entry: part.entry,
            media: call.media,
            to,
        };
        self.enter_call(participant, room, part, step, enter).await
    }

    /// Joins a call, or comes back to it.
    ///
    /// `enter` is called once the client is a party, before anybody else can know of it.
    ///
    /// # Errors
    ///
    /// - [`Error::NotInRoom`] for a room the client is not in;
    /// - [`Error::NotFound`] for a room that had no call yet;
    /// - [`Error::Conflict`] with the room's call when it is another one, has ended, is full, or has another
    ///   client of this user;
    /// - [`Error::Forbidden`] for another user's party;
    /// - [`Error::RateLimited`] for too many changes;
    /// - [`Error::Unavailable`] when the database does not answer or the server is stopping; the client may
    ///   be in the call, and can repeat the request.
    pub async fn join_call(
        &self,
        participant: &Arc<Participant>,
        room: RoomId,
        call_id: CallId,
        party_id: PartyId,
        enter: impl FnOnce() + Send,
    ) -> Result<Entered, Error> {
        self.caller(participant, &room)?;
        let part = Part::new(call_id, party_id);
        let step = CallStep::Join {
            call_id: part.call_id.clone(),
            party_id: part.party_id.clone(),
            entry: part.entry,
            max_parties: self.limits.call_parties,
        };
        self.enter_call(participant, room, part, step, enter).await
    }

    /// Declines a call for all clients of the user. After somebody has joined it changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Chat::join_call`], but never [`Error::Conflict`].
    pub async fn reject_call(
        &self,
        participant: &Participant,
        room: RoomId,
        call_id: CallId,
    ) -> Result<Call, Error> {
        self.caller(participant, &room)?;
        let present = self.rooms.presence(&room).await?.members;
        let step = CallStep::Reject { call_id, present };
        let changed = self.step(participant, room, step, || ()).await?;
        call_after(changed)
    }

    /// Leaves a call; a repeat is harmless.
    ///
    /// # Errors
    ///
    /// As [`Chat::join_call`], but never [`Error::Conflict`].
    pub async fn leave_call(
        &self,
        participant: &Participant,
        room: RoomId,
        call_id: CallId,
        party_id: PartyId,
    ) -> Result<Call, Error> {
        self.caller(participant, &room)?;
        let step = CallStep::Leave {
            call_id: call_id.clone(),
            party_id: party_id.clone(),
            entry: None,
        };
        let left = || self.calls.parties.leave(&room, &call_id, &party_id);
        let changed = self.step(participant, room.clone(), step, left).await?;
        call_after(changed)
    }

    /// Makes a client a party, as the step asks.
    async fn enter_call(
        &self,
        participant: &Arc<Participant>,
        room: RoomId,
        part: Part,
        step: CallStep,
        enter: impl FnOnce() + Send,
    ) -> Result<Entered, Error> {
        let mut is_in = false;
        let entered = || {
            is_in = self.calls.parties.enter(&room, part.clone(), participant);
            if is_in {
                enter();
            }
        };
        let changed = self.step(participant, room.clone(), step, entered).await?;
        let user = participant.identity().ok_or(Error::NotInRoom)?;
        if !is_in {
            // A client that has left the room leaves the call, and one whose connection broke may come back.
            if !participant.is_closed() {
                self.hang_up(user.user_id(), &room, part).await;
            }
            return Err(Error::NotInRoom);
        }
        let call = call_after(changed)?;
        let livekit = self.livekit.as_ref();
        let grant =
            |server: &LiveKit| server.grant(&room, &call.call_id, &part.party_id, user.user_id());
        let livekit = livekit.map(grant);
        Ok(Entered { call, livekit })
    }

    /// Returns the identity of a client in the room, and charges it for a step.
    fn caller(&self, participant: &Participant, room: &RoomId) -> Result<Identity, Error> {
        let (caller, _) = participant.member(room)?;
        self.requester(participant)?;
        caller.may_enter(room)?;
        charge(&self.messages, &caller)?;
        Ok(caller)
    }

    /// Takes a step for a client in the room; `stored` is called before anybody else hears of it.
    async fn step(
        &self,
        participant: &Participant,
        room: RoomId,
        step: CallStep,
        stored: impl FnOnce() + Send,
    ) -> Result<RoomChanged, Error> {
        let (user, _) = participant.member(&room)?;
        let change = RoomChange {
            room_id: room,
            user_id: user.user_id().clone(),
            authority: user.authority(),
            action: RoomAction::Call(step),
        };
        self.change_call(&change, stored).await
    }

    async fn change_call(
        &self,
        change: &RoomChange,
        stored: impl FnOnce() + Send,
    ) -> Result<RoomChanged, Error> {
        let changed = self.store_change(change).await??;
        stored();
        self.tell_change(&change.room_id, &changed);
        if changed.changed {
            self.calls.count(change, &changed);
        }
        Ok(changed)
    }

    /// Takes a party out of the room's call. Should it fail, the party's lease runs out.
    pub(super) async fn hang_up(&self, user: &UserId, room: &RoomId, part: Part) {
        let (call_id, party_id) = (part.call_id, part.party_id);
        self.take_out(user, room, call_id, party_id, Some(part.entry))
            .await;
    }

    async fn take_out(
        &self,
        user: &UserId,
        room: &RoomId,
        call_id: CallId,
        party_id: PartyId,
        entry: Option<Uuid>,
    ) {
        let step = CallStep::Leave {
            call_id,
            party_id,
            entry,
        };
        let change = RoomChange {
            room_id: room.clone(),
            user_id: user.clone(),
            authority: Authority::User,
            action: RoomAction::Call(step),
        };
        if let Err(error) = self.change_call(&change, || ()).await {
            tracing::debug!(%room, %error, "party not taken out of its call");
        }
    }

    /// Takes the parties out of a call who may not be in the room any more. Should it fail, their leases run
    /// out.
    pub(super) async fn hang_up_excluded(&self, room: &RoomId, call: &Call) {
        let users = call.parties.iter().map(|party| &party.user_id);
        let places: Vec<_> = users.map(|user| (room.clone(), user.clone())).collect();
        let reading = timeout(READ_TIMEOUT, self.store.rooms().standings(&places));
        let Ok(Ok(standings)) = reading.await else {
            return;
        };
        for party in &call.parties {
            let place = (room.clone(), party.user_id.clone());
            let standing = standings.get(&place);
            if standing.is_some_and(|standing| standing.exclusion().is_some()) {
                let (call_id, party_id) = (call.call_id.clone(), party.party_id.clone());
                self.take_out(&party.user_id, room, call_id, party_id, None)
                    .await;
            }
        }
    }
}

/// Returns the call after a step.
fn call_after(changed: RoomChanged) -> Result<Call, Error> {
    let call = changed.settings.info.call;
    call.map(|call| *call).ok_or(Error::Unavailable)
}
