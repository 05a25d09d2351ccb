//! The rules of rooms' settings, members, conversations and calls, the same for all databases.

mod calling;
mod handover;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{conversing::Talk, error::StoreError};
use crate::model::{
    Access, Authority, Call, CallStep, Draft, Membership, Message, NewSettings, PartyId, Revision,
    Role, RoomAction, RoomChange, RoomChanged, RoomId, RoomInfo, RoomRefusal, RoomSettings, Seq,
    UserId,
};

const NEEDS_OWNER: &str = "userId: the room needs an owner; make somebody else one first";
const IN_USE: &str = "roomId: the room is in use without an owner; only an operator may create it";

/// The tables of rooms, within a transaction.
pub(super) trait RoomTables: Send {
    /// Makes the room's rows, if it has none yet.
    async fn open(&mut self, room: &RoomId) -> Result<(), StoreError>;

    /// Locks the room's log: no message is stored until the end of the transaction.
    async fn lock_log(&mut self, room: &RoomId) -> Result<(), StoreError>;

    /// Locks the room's revision, and returns it; none when nobody created or used the room.
    async fn lock(&mut self, room: &RoomId) -> Result<Option<Revision>, StoreError>;

    /// Reads what a change depends on.
    async fn present(
        &mut self,
        room: &RoomId,
        user: &UserId,
        other: &UserId,
    ) -> Result<Present, StoreError>;

    /// Writes the room's settings and revision.
    async fn write(&mut self, room: &RoomId, settings: &RoomSettings) -> Result<(), StoreError>;

    /// Writes memberships as of a revision, and puts the room into the users' lists or takes it out of
    /// them.
    async fn write_members(
        &mut self,
        room: &RoomId,
        users: &[&UserId],
        membership: Membership,
        revision: Revision,
    ) -> Result<(), StoreError>;

    /// Writes the room's conversation, and the room's revision as that of the conversation.
    async fn write_conversation(&mut self, room: &RoomId, talk: &Talk) -> Result<(), StoreError>;

    /// Returns the parties of the room's call without a heartbeat for the time of the lease.
    async fn expired_parties(
        &mut self,
        room: &RoomId,
        lease: Duration,
    ) -> Result<Vec<PartyId>, StoreError>;

    /// Returns the user and the latest entry of a party that is or was in the room's call.
    async fn party(
        &mut self,
        room: &RoomId,
        party: &PartyId,
    ) -> Result<Option<(UserId, Option<Uuid>)>, StoreError>;

    /// Notes that a party of the room's call is here, by a new entry.
    async fn enter_party(
        &mut self,
        room: &RoomId,
        party: &PartyId,
        entry: Uuid,
    ) -> Result<(), StoreError>;

    /// Writes the room's call, as of a revision, and its parties.
    async fn write_call(
        &mut self,
        room: &RoomId,
        call: &Call,
        revision: Revision,
    ) -> Result<(), StoreError>;

    /// Stores a message with metadata.
    async fn append(&mut self, draft: &Draft) -> Result<Message, StoreError>;
}

/// The state of a room before a change.
pub(super) struct Present {
    /// The newest message.
    pub(super) last_seq: Seq,
    /// The settings; none when nobody created the room.
    pub(super) info: Option<RoomInfo>,
    /// The membership of the user who asks.
    pub(super) own: Membership,
    /// The membership of the user in question.
    pub(super) other: Membership,
    /// The number of owners.
    pub(super) owners: i64,
    /// The conversation, if there is one.
    pub(super) talk: Option<Talk>,
    /// The call, if there was one, with the room's revision when it changed last.
    pub(super) call: Option<(Box<Call>, Revision)>,
    /// The time.
    pub(super) now: DateTime<Utc>,
}

/// The effects of a change.
struct Effects {
    info: RoomInfo,
    /// The new memberships.
    members: Vec<(Vec<UserId>, Membership)>,
    changed: bool,
}

/// Makes a change. The caller takes it back after a refusal.
pub(super) async fn change(
    tables: &mut impl RoomTables,
    change: &RoomChange,
) -> Result<Result<RoomChanged, RoomRefusal>, StoreError> {
    let room = &change.room_id;
    if let RoomAction::Create { .. } | RoomAction::Call(CallStep::Start { .. }) = change.action {
        tables.open(room).await?;
    }
    if let RoomAction::HandOver(_) | RoomAction::Call(_) = change.action {
        // A message changes the conversation, too, and the end of a call is one; it locks the log before
        // the revision.
        tables.lock_log(room).await?;
    }
    let Some(revision) = tables.lock(room).await? else {
        return Ok(Err(match change.action {
            RoomAction::Call(_) => RoomRefusal::NoCall,
            _ => RoomRefusal::NotFound,
        }));
    };
    let other = match &change.action {
        RoomAction::Add { user, .. } | RoomAction::Remove { user } => user,
        RoomAction::Create { .. }
        | RoomAction::Set(_)
        | RoomAction::HandOver(_)
        | RoomAction::Call(_) => &change.user_id,
    };
    let present = tables.present(room, &change.user_id, other).await?;
    match &change.action {
        RoomAction::HandOver(handover) => {
            let talk = match handover::decide(change, handover, &present) {
                Ok(talk) => talk,
                Err(refusal) => return Ok(Err(refusal)),
            };
            hand_over(tables, room, revision, present, talk)
                .await
                .map(Ok)
        }
        RoomAction::Call(step) => calling::change(tables, change, step, revision, present).await,
        _ => match decide(change, &present) {
            Ok(effects) => govern(tables, room, revision, effects).await.map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        },
    }
}

/// Writes a change of the settings or the members.
async fn govern(
    tables: &mut impl RoomTables,
    room: &RoomId,
    revision: Revision,
    effects: Effects,
) -> Result<RoomChanged, StoreError> {
    let mut changed = RoomChanged {
        settings: RoomSettings {
            info: effects.info,
            revision,
        },
        changed: effects.changed,
        users: vec![],
        queued: None,
        trace: None,
    };
    if changed.changed {
        changed.settings.revision = revision.next();
        tables.write(room, &changed.settings).await?;
        for (users, membership) in effects.members {
            let named = Vec::from_iter(&users);
            let revision = changed.settings.revision;
            tables
                .write_members(room, &named, membership, revision)
                .await?;
            changed.users.extend(users);
        }
    }
    Ok(changed)
}

/// Writes a change of the conversation, if there is one.
async fn hand_over(
    tables: &mut impl RoomTables,
    room: &RoomId,
    revision: Revision,
    present: Present,
    new: Option<Talk>,
) -> Result<RoomChanged, StoreError> {
    let changed = new.is_some();
    let talk = new.map(|talk| Talk {
        revision: revision.next(),
        ..talk
    });
    if let Some(talk) = &talk {
        tables.write_conversation(room, talk).await?;
    }
    let talk = talk.or(present.talk);
    let mut info = present.info.unwrap_or_default();
    info.conversation = talk.as_ref().map(|talk| talk.conversation.clone());
    Ok(RoomChanged {
        settings: RoomSettings {
            info,
            revision: talk.as_ref().map_or(revision, |talk| talk.revision),
        },
        changed,
        users: vec![],
        queued: talk.map(|talk| talk.queued(present.last_seq)),
        trace: None,
    })
}

/// Works out the effects of a change.
fn decide(change: &RoomChange, present: &Present) -> Result<Effects, RoomRefusal> {
    if let RoomAction::Create {
        settings,
        owner,
        members,
    } = &change.action
    {
        create_from(change.authority, present)?;
        return Ok(create(present, settings, owner.as_ref(), members));
    }
    let Some(info) = &present.info else {
        return Err(RoomRefusal::NotFound);
    };
    let operating = match change.authority {
        Authority::User => None,
        Authority::Operator | Authority::Supervisor if present.owners > 0 => Some(Role::Moderator),
        Authority::Operator | Authority::Supervisor | Authority::Service => Some(Role::Owner),
    };
    let rank = present.own.role().max(operating);
    match &change.action {
        RoomAction::Create { .. } | RoomAction::HandOver(_) | RoomAction::Call(_) => {
            unreachable!("they are decided before")
        }
        RoomAction::Set(new) => set(info, rank, new),
        RoomAction::Add { user, role } => {
            let after = Membership::Member(*role);
            add(change.authority, present, rank, *role)?;
            Ok(Effects::of_member(info, user, present.other, after))
        }
        RoomAction::Remove { user } => {
            let is_service = change.authority == Authority::Service;
            let is_own = *user == change.user_id && !is_service;
            let after = match is_own {
                true => leave(present, change.authority)?,
                false => remove(present, info, rank)?,
            };
            Ok(Effects::of_member(info, user, present.other, after))
        }
    }
}

/// Rejects the creation of a room that is there already.
fn create_from(authority: Authority, present: &Present) -> Result<(), RoomRefusal> {
    if let Some(info) = &present.info {
        return Err(RoomRefusal::Exists(info.clone()));
    }
    if present.last_seq > Seq::ZERO && authority == Authority::User {
        return Err(RoomRefusal::Forbidden(IN_USE));
    }
    Ok(())
}

fn create(
    present: &Present,
    settings: &NewSettings,
    owner: Option<&UserId>,
    members: &[UserId],
) -> Effects {
    let (talk, call) = (present.talk.as_ref(), present.call.as_ref());
    let before = RoomInfo {
        conversation: talk.map(|talk| talk.conversation.clone()),
        call: call.map(|(call, _)| call.clone()),
        ..RoomInfo::default()
    };
    let mut others = members.to_vec();
    others.sort();
    others.dedup();
    others.retain(|user| Some(user) != owner);
    let owner = Vec::from_iter(owner.cloned());
    let members = [
        (owner, Membership::Member(Role::Owner)),
        (others, Membership::Member(Role::Member)),
    ];
    let is_any = |(users, _): &(Vec<UserId>, _)| !users.is_empty();
    Effects {
        info: before.with(settings),
        members: members.into_iter().filter(is_any).collect(),
        changed: true,
    }
}

fn set(info: &RoomInfo, rank: Option<Role>, new: &NewSettings) -> Result<Effects, RoomRefusal> {
    let after = info.with(new);
    if rank < Some(Role::Moderator) {
        let why = "roomId: only moderators and owners may change this room";
        return Err(RoomRefusal::Forbidden(why));
    }
    if after.access != info.access && rank < Some(Role::Owner) {
        let why = "access: only owners may change it";
        return Err(RoomRefusal::Forbidden(why));
    }
    Ok(Effects {
        changed: after != *info,
        info: after,
        members: vec![],
    })
}

fn add(
    authority: Authority,
    present: &Present,
    rank: Option<Role>,
    role: Role,
) -> Result<(), RoomRefusal> {
    if rank < Some(Role::Moderator) {
        let why = "roomId: only moderators and owners may add members";
        return Err(RoomRefusal::Forbidden(why));
    }
    let before = present.other.role();
    let is_promotion = role > Role::Member || before > Some(Role::Member);
    if is_promotion && before != Some(role) && rank < Some(Role::Owner) {
        let why = "role: only owners may change it";
        return Err(RoomRefusal::Forbidden(why));
    }
    let is_last = before == Some(Role::Owner) && present.owners <= 1;
    if is_last && role < Role::Owner && authority != Authority::Service {
        return Err(RoomRefusal::Forbidden(NEEDS_OWNER));
    }
    Ok(())
}

/// Returns the membership of somebody who leaves: those who were not removed may come back.
fn leave(present: &Present, authority: Authority) -> Result<Membership, RoomRefusal> {
    let is_last = present.other.role() == Some(Role::Owner) && present.owners <= 1;
    if is_last && authority == Authority::User {
        return Err(RoomRefusal::Forbidden(NEEDS_OWNER));
    }
    Ok(match present.other {
        Membership::Removed => Membership::Removed,
        Membership::Outsider | Membership::Member(_) => Membership::Outsider,
    })
}

/// Returns the membership of somebody whom another one removes.
fn remove(
    present: &Present,
    info: &RoomInfo,
    rank: Option<Role>,
) -> Result<Membership, RoomRefusal> {
    let before = present.other.role();
    if rank < Some(Role::Moderator) {
        let why = "roomId: only moderators and owners may remove members";
        return Err(RoomRefusal::Forbidden(why));
    }
    if before > Some(Role::Member) && rank < Some(Role::Owner) {
        let why = "userId: only owners may remove moderators and owners";
        return Err(RoomRefusal::Forbidden(why));
    }
    let is_outside = info.access == Access::Members && present.other == Membership::Outsider;
    Ok(if is_outside {
        Membership::Outsider
    } else {
        Membership::Removed
    })
}

impl Effects {
    fn of_member(info: &RoomInfo, user: &UserId, before: Membership, after: Membership) -> Self {
        Self {
            info: info.clone(),
            members: vec![(vec![user.clone()], after)],
            changed: before != after,
        }
    }
}
