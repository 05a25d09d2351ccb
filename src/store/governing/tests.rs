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
        talk: None,
        call: None,
        now: chrono::DateTime::UNIX_EPOCH,
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
                let may_promote =
                    rank == Some(Role::Owner) || rank == Some(Role::Moderator) && other == OWNER;
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
