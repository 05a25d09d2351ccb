//! The rules of rooms' settings and members, the same for all databases.

use super::error::StoreError;
use crate::model::{
    Access, Authority, Membership, NewSettings, Revision, Role, RoomAction, RoomChange,
    RoomChanged, RoomId, RoomInfo, RoomRefusal, RoomSettings, Seq, UserId,
};

const NEEDS_OWNER: &str = "userId: the room needs an owner; make somebody else one first";
const IN_USE: &str = "roomId: the room is in use without an owner; only an operator may create it";

/// The tables of rooms, within a transaction.
pub(super) trait RoomTables: Send {
    /// Makes the room's rows, if it has none yet.
    async fn open(&mut self, room: &RoomId) -> Result<(), StoreError>;

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
    if let RoomAction::Create { .. } = change.action {
        tables.open(room).await?;
    }
    let Some(revision) = tables.lock(room).await? else {
        return Ok(Err(RoomRefusal::NotFound));
    };
    let other = match &change.action {
        RoomAction::Add { user, .. } | RoomAction::Remove { user } => user,
        RoomAction::Create { .. } | RoomAction::Set(_) => &change.user_id,
    };
    let present = tables.present(room, &change.user_id, other).await?;
    let effects = match decide(change, &present) {
        Ok(effects) => effects,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let settings = RoomSettings {
        info: effects.info,
        revision,
    };
    let mut changed = RoomChanged {
        settings,
        changed: effects.changed,
        users: vec![],
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
    Ok(Ok(changed))
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
        return Ok(create(settings, owner.as_ref(), members));
    }
    let Some(info) = &present.info else {
        return Err(RoomRefusal::NotFound);
    };
    let operating = match change.authority {
        Authority::User => None,
        Authority::Operator if present.owners > 0 => Some(Role::Moderator),
        Authority::Operator | Authority::Service => Some(Role::Owner),
    };
    let rank = present.own.role().max(operating);
    match &change.action {
        RoomAction::Create { .. } => Err(RoomRefusal::Exists(info.clone())),
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

fn create(settings: &NewSettings, owner: Option<&UserId>, members: &[UserId]) -> Effects {
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
        info: RoomInfo::default().with(settings),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        name.try_into().unwrap()
    }

    fn decided(
        own: Membership,
        other: Membership,
        is_operator: bool,
        action: RoomAction,
    ) -> Result<(Membership, bool), RoomRefusal> {
        let authority = match is_operator {
            true => Authority::Operator,
            false => Authority::User,
        };
        decided_by(authority, own, other, action)
    }

    fn decided_by(
        authority: Authority,
        own: Membership,
        other: Membership,
        action: RoomAction,
    ) -> Result<(Membership, bool), RoomRefusal> {
        let change = RoomChange {
            room_id: "r".try_into().unwrap(),
            user_id: user("ann"),
            authority,
            action,
        };
        let present = Present {
            last_seq: Seq::ZERO,
            info: Some(RoomInfo {
                access: Access::Members,
                ..RoomInfo::default()
            }),
            own,
            other,
            owners: 1,
        };
        let effects = decide(&change, &present)?;
        Ok((effects.members[0].1, effects.changed))
    }

    const MEMBER: Membership = Membership::Member(Role::Member);
    const MODERATOR: Membership = Membership::Member(Role::Moderator);
    const OWNER: Membership = Membership::Member(Role::Owner);
    const ALL: [Membership; 5] = [
        Membership::Outsider,
        Membership::Removed,
        MEMBER,
        MODERATOR,
        OWNER,
    ];

    #[test]
    fn each_role_may_add_and_remove_those_below_it() {
        for own in ALL {
            for other in ALL {
                for is_operator in [false, true] {
                    let rank = own.role().max(is_operator.then_some(Role::Moderator));
                    let add = |role| {
                        let user = user("bob");
                        decided(own, other, is_operator, RoomAction::Add { user, role })
                    };
                    let is_plain = other.role() <= Some(Role::Member);
                    let may_add = rank >= Some(Role::Moderator) && is_plain;
                    // The only owner stays one.
                    let may_demote = rank == Some(Role::Owner) && other != OWNER;
                    assert_eq!(
                        add(Role::Member).is_ok(),
                        may_add || may_demote,
                        "{own:?} {other:?}"
                    );
                    let may_promote = rank == Some(Role::Owner)
                        || rank == Some(Role::Moderator) && other == OWNER;
                    assert_eq!(add(Role::Owner).is_ok(), may_promote, "{own:?} {other:?}");
                    let removed = decided(
                        own,
                        other,
                        is_operator,
                        RoomAction::Remove { user: user("bob") },
                    );
                    let may_remove = may_add || rank == Some(Role::Owner);
                    assert_eq!(removed.is_ok(), may_remove, "{own:?} {other:?}");
                    if let Ok((after, changed)) = removed {
                        assert_eq!(after.role(), None);
                        assert_eq!(changed, other.role().is_some());
                    }
                }
            }
        }
    }

    #[test]
    fn a_service_governs_every_room_even_its_last_owner_and_a_user_of_its_name() {
        for other in ALL {
            // Ann is the service's own name, too.
            for name in ["ann", "bob"] {
                let user = || user(name);
                let add = |role| {
                    let action = RoomAction::Add { user: user(), role };
                    decided_by(Authority::Service, Membership::Outsider, other, action)
                };
                assert_eq!(add(Role::Member), Ok((MEMBER, other != MEMBER)));
                assert_eq!(add(Role::Owner), Ok((OWNER, other != OWNER)));
                let action = RoomAction::Remove { user: user() };
                let (after, _) =
                    decided_by(Authority::Service, Membership::Outsider, other, action).unwrap();
                let stays_away = other != Membership::Outsider;
                assert_eq!(after == Membership::Removed, stays_away, "{other:?}");
            }
        }
    }

    #[test]
    fn members_leave_by_themselves_and_the_last_owner_stays() {
        let leave = |own| decided(own, own, false, RoomAction::Remove { user: user("ann") });
        assert_eq!(leave(MEMBER), Ok((Membership::Outsider, true)));
        assert_eq!(leave(MODERATOR), Ok((Membership::Outsider, true)));
        assert_eq!(leave(Membership::Removed), Ok((Membership::Removed, false)));
        assert_eq!(
            leave(Membership::Outsider),
            Ok((Membership::Outsider, false))
        );
        assert_eq!(leave(OWNER), Err(RoomRefusal::Forbidden(NEEDS_OWNER)));
    }
}
