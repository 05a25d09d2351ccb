//! The rules of conversations: their operators, and the changes that each may make.

use super::{Present, Talk};
use crate::model::{
    Authority, Conversation, Handover, RoomChange, RoomRefusal, Standing, Status, Step, UserId,
};

const NOT_YOURS: &str = "roomId: claim this conversation first";
const NO_FORCE: &str = "force: only supervisors may take a conversation from another operator";

/// Works out the conversation after a change; none when it is as wanted already.
pub(super) fn decide(
    change: &RoomChange,
    handover: &Handover,
    present: &Present,
) -> Result<Option<Talk>, RoomRefusal> {
    let Some(talk) = &present.talk else {
        return Err(RoomRefusal::NoConversation);
    };
    let held = &talk.conversation;
    let user = &change.user_id;
    // Whoever holds it, or leads the others, can give it away from outside, too.
    let takes = matches!(handover.step, Step::Claim { .. });
    if takes || !(leads(change) || held.is_held_by(user)) {
        check_standing(change, present)?;
    }
    let is_stale = handover
        .if_version
        .is_some_and(|version| version != held.version);
    if is_as_wanted(&handover.step, held, user, is_stale) {
        return Ok(None);
    }
    let lost = || RoomRefusal::Held(held.clone());
    if is_stale {
        return Err(lost());
    }
    check_right(change, &handover.step, held)?;
    let by = || Some(user.clone());
    let conversation = match &handover.step {
        Step::Claim { .. } => held.changed(Status::Claimed, by(), by()),
        Step::Transfer { to } => held.changed(Status::Claimed, Some(to.clone()), by()),
        Step::Release => held.changed(Status::Open, None, by()),
        Step::Lapse => held.changed(Status::Open, None, None),
        Step::Close => held.changed(Status::Closed, None, by()),
    };
    // What was said before the end needs no answer.
    let waiting = talk
        .waiting
        .filter(|_| conversation.state != Status::Closed);
    Ok(Some(Talk {
        conversation,
        waiting,
        ..talk.clone()
    }))
}

/// Returns true for those who may change every conversation.
fn leads(change: &RoomChange) -> bool {
    matches!(change.authority, Authority::Supervisor | Authority::Service)
}

/// Checks that the asker may be in the room.
pub(super) fn check_standing(change: &RoomChange, present: &Present) -> Result<(), RoomRefusal> {
    let Some(info) = &present.info else {
        return Ok(());
    };
    let standing = Standing {
        access: info.access,
        membership: present.own,
    };
    match standing.exclusion() {
        Some(_) if change.authority != Authority::Service => Err(RoomRefusal::Forbidden(
            "roomId: you may not be in this room",
        )),
        _ => Ok(()),
    }
}

/// Returns true when the conversation is as wanted already: a repeat is harmless.
fn is_as_wanted(step: &Step, held: &Conversation, user: &UserId, is_stale: bool) -> bool {
    match step {
        Step::Claim { .. } => held.is_held_by(user),
        Step::Transfer { to } => held.is_held_by(to),
        Step::Release => held.state == Status::Open,
        Step::Close => held.state == Status::Closed,
        Step::Lapse => held.state != Status::Claimed || is_stale,
    }
}

/// Checks that the asker may make a change.
fn check_right(change: &RoomChange, step: &Step, held: &Conversation) -> Result<(), RoomRefusal> {
    let leads = leads(change);
    let is_free = held.state != Status::Claimed;
    let may = leads || held.is_held_by(&change.user_id);
    let lost = || Err(RoomRefusal::Held(held.clone()));
    match step {
        Step::Lapse => Ok(()),
        Step::Claim { force: true } if !leads => Err(RoomRefusal::Forbidden(NO_FORCE)),
        Step::Claim { force } if is_free || *force => Ok(()),
        Step::Claim { .. } => lost(),
        Step::Release | Step::Transfer { .. } if held.state == Status::Closed => lost(),
        Step::Transfer { .. } if is_free && !leads => Err(RoomRefusal::Forbidden(NOT_YOURS)),
        Step::Close if is_free || may => Ok(()),
        Step::Release | Step::Transfer { .. } if may => Ok(()),
        Step::Release | Step::Transfer { .. } | Step::Close => lost(),
    }
}
