//! Creating rooms, and changing their settings and members.

use std::slice;

use tokio::time::timeout;

use super::{Chat, Participant, charge};
use crate::{
    auth::Identity,
    error::Error,
    model::{
        Access, Authority, NewSettings, Outcome, Revision, Role, RoomAction, RoomChange,
        RoomChanged, RoomId, RoomMember, RoomRefusal, RoomSettings, Seq, UserId,
    },
    room::READ_TIMEOUT,
    store::StoreError,
};

/// The most members in one answer.
pub const MAX_MEMBERS: usize = 200;

/// The state of a room.
#[derive(Debug)]
pub struct RoomState {
    /// The newest message.
    pub last_seq: Seq,
    /// The newest change.
    pub last_revision: Revision,
    /// The settings, if somebody created the room.
    pub settings: Option<RoomSettings>,
}

impl Chat {
    /// Creates a room, which need not have been used before. It comes into the lists of all its members.
    /// Without an owner, the user becomes it, unless a service asks for itself.
    ///
    /// # Errors
    ///
    /// - [`Error::Conflict`] with the settings when somebody created it before;
    /// - [`Error::Forbidden`] for a room that is in use, unless an operator asks.
    ///
    /// Otherwise as [`Chat::change_room`].
    pub async fn create_room(
        &self,
        participant: &Participant,
        room: RoomId,
        settings: NewSettings,
        owner: Option<UserId>,
        members: Vec<UserId>,
    ) -> Result<RoomSettings, Error> {
        let user = participant.identify(None)?;
        let action = RoomAction::Create {
            settings,
            owner: owner.or_else(|| (!user.is_service()).then(|| user.user_id().clone())),
            members,
        };
        let created = self.change_room(participant, room, action);
        Ok(created.await?.settings)
    }

    /// Changes a room's settings.
    ///
    /// # Errors
    ///
    /// As [`Chat::change_room`].
    pub async fn set_room(
        &self,
        participant: &Participant,
        room: RoomId,
        settings: NewSettings,
    ) -> Result<RoomChanged, Error> {
        let action = RoomAction::Set(settings);
        self.change_room(participant, room, action).await
    }

    /// Makes a user a member of a room, or gives a member another role. Returns false when it was so
    /// already.
    ///
    /// # Errors
    ///
    /// As [`Chat::change_room`].
    pub async fn add_member(
        &self,
        participant: &Participant,
        room: RoomId,
        user: UserId,
        role: Role,
    ) -> Result<bool, Error> {
        let action = RoomAction::Add { user, role };
        let added = self.change_room(participant, room, action);
        Ok(added.await?.changed)
    }

    /// Puts a user out of a room, on every server. Returns false when it was so already.
    ///
    /// # Errors
    ///
    /// As [`Chat::change_room`].
    pub async fn remove_member(
        &self,
        participant: &Participant,
        room: RoomId,
        user: UserId,
    ) -> Result<bool, Error> {
        let action = RoomAction::Remove { user };
        let removed = self.change_room(participant, room, action);
        Ok(removed.await?.changed)
    }

    /// Changes a room. After a change that shuts somebody out, it returns once nobody hears anything who
    /// may not be in the room any more.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidPayload`] for a client without a user;
    /// - [`Error::NotFound`] for a room that nobody created;
    /// - [`Error::Forbidden`] when the user's role does not allow it;
    /// - [`Error::RateLimited`] for too many changes;
    /// - [`Error::Unavailable`] when the database or another server does not answer, or the server is
    ///   stopping; the change may be stored, and can be repeated.
    pub(super) async fn change_room(
        &self,
        participant: &Participant,
        room: RoomId,
        action: RoomAction,
    ) -> Result<RoomChanged, Error> {
        let user = self.requester(participant)?;
        user.may_enter(&room)?;
        charge(&self.messages, &user)?;
        let change = RoomChange {
            room_id: room,
            user_id: user.user_id().clone(),
            authority: user.authority(),
            action,
        };
        match self.govern(&change).await? {
            Err(RoomRefusal::Exists(info)) => {
                let may_see = self.standing(&user, &change.room_id).await.is_ok();
                let info = if may_see { info } else { info.for_outsiders() };
                Err(RoomRefusal::Exists(info).into())
            }
            changed => Ok(changed?),
        }
    }

    /// Stores a change of a room, and returns once it holds on all servers.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] as [`Chat::change_room`].
    pub(super) async fn govern(
        &self,
        change: &RoomChange,
    ) -> Result<Result<RoomChanged, RoomRefusal>, Error> {
        let room = &change.room_id;
        let changed = match self.store_change(change).await? {
            Ok(changed) => changed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.tell_change(room, &changed);
        if may_shut_out(change, &changed) {
            if let Some(call) = changed.settings.info.call.as_deref() {
                self.hang_up_excluded(room, call).await;
            }
            self.rooms.confirm(room, changed.settings.revision).await?;
        }
        Ok(Ok(changed))
    }

    /// Stores a change of a room.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the database does not answer.
    pub(super) async fn store_change(
        &self,
        change: &RoomChange,
    ) -> Result<Result<RoomChanged, RoomRefusal>, Error> {
        let storing = timeout(READ_TIMEOUT, self.store.rooms().change(change));
        let stored: Result<_, Error> = match storing.await {
            Ok(stored) => stored.map_err(Error::from),
            Err(_) => Err(Error::Unavailable),
        };
        stored.inspect_err(|_| {
            // It may be stored all the same, or may be yet.
            let rooms = vec![change.room_id.clone()];
            self.rooms.observe(Outcome::Unknown(rooms));
        })
    }

    /// Tells the members, the lists and the other servers of a stored change.
    pub(super) fn tell_change(&self, room: &RoomId, changed: &RoomChanged) {
        if !changed.changed {
            return;
        }
        self.rooms.changed(room, changed.settings.revision);
        self.inbox.room_changed(room, &changed.users);
        if let Some(queued) = &changed.queued {
            self.inbox.tell_conversation(room, queued);
        }
        if let Some(trace) = &changed.trace {
            self.writer.tell(trace);
        }
    }

    /// Reads a page of a room's members, by their names. Returns the last one, too, if there are others
    /// after it.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for a room the client is not in, [`Error::RateLimited`] for too many
    /// requests; [`Error::Unavailable`] when the database does not answer or the server is stopping.
    pub async fn room_members(
        &self,
        participant: &Participant,
        room: &RoomId,
        after: Option<&UserId>,
        limit: Option<usize>,
    ) -> Result<(Vec<RoomMember>, Option<UserId>), Error> {
        self.check_running()?;
        let (identity, admission) = participant.admit(room)?;
        charge(&self.requests, &identity)?;
        let limit = limit.unwrap_or(MAX_MEMBERS).clamp(1, MAX_MEMBERS);
        let reads = participant.reads();
        let _one_of_few = reads.acquire().await;
        let reading = self.store.rooms().members(room, after, limit + 1);
        let read = timeout(READ_TIMEOUT, reading).await;
        let mut members = read.map_err(|_| Error::Unavailable)??;
        admission.check()?;
        let has_more = members.len() > limit;
        members.truncate(limit);
        let last = members.last().filter(|_| has_more);
        let last = last.map(|member| member.user_id.clone());
        Ok((members, last))
    }

    /// Reads the state of a room.
    ///
    /// # Errors
    ///
    /// As [`Chat::room_members`].
    pub async fn room_state(
        &self,
        participant: &Participant,
        room: &RoomId,
    ) -> Result<RoomState, Error> {
        self.check_running()?;
        let (identity, admission) = participant.admit(room)?;
        charge(&self.requests, &identity)?;
        let reading = async {
            let heads = self.store.heads(slice::from_ref(room)).await?;
            let settings = self.store.rooms().settings(room).await?;
            Ok((heads.get(room).copied().unwrap_or_default(), settings))
        };
        let read: Result<_, StoreError> = timeout(READ_TIMEOUT, reading)
            .await
            .map_err(|_| Error::Unavailable)?;
        let (head, settings) = read?;
        admission.check()?;
        Ok(RoomState {
            last_seq: head.seq,
            last_revision: head.revision,
            settings,
        })
    }

    /// Checks that a room is open to a user who is perhaps not in it, by the token and by the room's
    /// members. Returns the user's role, if it has any.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] when it is not; [`Error::Unavailable`] when the database does not answer.
    pub(super) async fn standing(
        &self,
        user: &Identity,
        room: &RoomId,
    ) -> Result<Option<Role>, Error> {
        user.may_enter(room)?;
        if user.is_service_itself() {
            return Ok(Some(Role::Owner));
        }
        let place = (room.clone(), user.user_id().clone());
        let reading = self.store.rooms().standings(slice::from_ref(&place));
        let standings = timeout(READ_TIMEOUT, reading).await;
        let standings: Result<_, StoreError> = standings.map_err(|_| Error::Unavailable)?;
        let Some(standing) = standings?.remove(&place) else {
            return Ok(None);
        };
        standing.check()?;
        Ok(standing.membership.role())
    }
}

/// Returns true for a change after which somebody may have to be put out of the room.
fn may_shut_out(change: &RoomChange, changed: &RoomChanged) -> bool {
    match &change.action {
        RoomAction::Create { settings, .. } | RoomAction::Set(settings) => {
            settings.access == Some(Access::Members)
        }
        RoomAction::Add { .. } | RoomAction::HandOver(_) | RoomAction::Call(_) => false,
        // A repeat waits, too, except of those who stay away by themselves.
        RoomAction::Remove { user } => {
            let is_own = *user == change.user_id && change.authority != Authority::Service;
            changed.changed || !is_own
        }
    }
}
