//! The rules of calls: one in a room, a user in it with one client, and an end of every one.

#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Present, RoomTables, handover};
use crate::{
    model::{
        Call, CallState, CallStep, EndedReason, MAX_RUNG, Party, PartyId, Revision, RoomChange,
        RoomChanged, RoomRefusal, RoomSettings, UserId,
    },
    store::error::StoreError,
};

/// The time for which a call rings.
const RING: TimeDelta = TimeDelta::seconds(45);
/// The time for which a party may be alone.
const ALONE: TimeDelta = TimeDelta::seconds(60);

const NOT_YOURS: &str = "partyId: it is another user's";

/// The present, as the database knows it.
struct Moment {
    now: DateTime<Utc>,
    /// The parties whose connections are gone for too long.
    lost: Vec<PartyId>,
}

/// Takes a step of the call, and writes what comes of it.
pub(super) async fn change(
    tables: &mut impl RoomTables,
    change: &RoomChange,
    step: &CallStep,
    revision: Revision,
    present: Present,
) -> Result<Result<RoomChanged, RoomRefusal>, StoreError> {
    let room = &change.room_id;
    if let CallStep::Start { .. } | CallStep::Join { .. } = step
        && let Err(refusal) = handover::check_standing(change, &present)
    {
        return Ok(Err(refusal));
    }
    let lost = match step {
        CallStep::Settle {
            lost_after: Some(lost_after),
        } => tables.lost_parties(room, *lost_after).await?,
        _ => vec![],
    };
    let moment = Moment {
        now: present.now,
        lost,
    };
    let before = present.call.as_ref().map(|(call, _)| &**call);
    let new = match decide(&change.user_id, step, before, &moment) {
        Ok(new) => new,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (changed, mut trace) = (new.is_some(), None);
    if let Some(call) = &new {
        tables.write_call(room, call, revision.next()).await?;
        if !call.is_live() {
            trace = Some(tables.append(&trace::trace(room, call)).await?);
        }
    }
    let new = new.map(|call| (Box::new(call), revision.next()));
    let (call, revision) = new.or(present.call).unzip();
    let mut info = present.info.unwrap_or_default();
    info.call = call;
    Ok(Ok(RoomChanged {
        settings: RoomSettings {
            info,
            revision: revision.unwrap_or_default(),
        },
        changed,
        users: vec![],
        queued: None,
        trace: trace.map(Arc::new),
    }))
}

/// Works out the call after a step; none when it is as wanted already.
fn decide(
    user: &UserId,
    step: &CallStep,
    before: Option<&Call>,
    moment: &Moment,
) -> Result<Option<Call>, RoomRefusal> {
    if let CallStep::Start { .. } = step {
        return start(user, step, before, moment.now);
    }
    let Some(call) = before else {
        return Err(RoomRefusal::NoCall);
    };
    match step {
        CallStep::Start { .. } => unreachable!("it is decided before"),
        CallStep::Join {
            call_id,
            party_id,
            max_parties,
        } => {
            if call.call_id != *call_id || !call.is_live() {
                return Err(busy(call));
            }
            join(user, party_id, *max_parties, call, moment.now)
        }
        CallStep::Reject { call_id, present } => Ok((call.call_id == *call_id)
            .then(|| reject(user, present, call, moment.now))
            .flatten()),
        CallStep::Leave { call_id, party_id } => match call.party(party_id) {
            Some(_) if call_id.as_ref().is_some_and(|id| *id != call.call_id) => Ok(None),
            Some(party) if party.user_id != *user => Err(RoomRefusal::Forbidden(NOT_YOURS)),
            Some(_) => {
                let leaver = std::slice::from_ref(party_id);
                Ok(Some(without(leaver, call, Exit::Left, moment.now)))
            }
            None => Ok(None),
        },
        CallStep::Settle { .. } => Ok(settle(call, moment)),
    }
}

fn busy(call: &Call) -> RoomRefusal {
    RoomRefusal::OtherCall(Box::new(call.clone()))
}

fn start(
    user: &UserId,
    step: &CallStep,
    before: Option<&Call>,
    now: DateTime<Utc>,
) -> Result<Option<Call>, RoomRefusal> {
    let CallStep::Start {
        call_id,
        party_id,
        media,
        to,
    } = step
    else {
        return Ok(None);
    };
    if let Some(call) = before.filter(|call| call.is_live() || call.call_id == *call_id) {
        let party = call.party(party_id);
        let is_own = party.is_some_and(|party| party.user_id == *user);
        let is_repeat = call.call_id == *call_id && call.started_by == *user && is_own;
        return if is_repeat { Ok(None) } else { Err(busy(call)) };
    }
    Ok(Some(Call {
        call_id: call_id.clone(),
        state: CallState::Ringing,
        media: *media,
        started_by: user.clone(),
        started_at: now,
        to: to.clone(),
        rejected_by: vec![],
        parties: vec![Party {
            party_id: party_id.clone(),
            user_id: user.clone(),
        }],
        answered_at: None,
        expires_at: Some(now + RING),
        ended_at: None,
        ended_reason: None,
    }))
}

fn join(
    user: &UserId,
    party_id: &PartyId,
    max_parties: usize,
    call: &Call,
    now: DateTime<Utc>,
) -> Result<Option<Call>, RoomRefusal> {
    if let Some(party) = call.party(party_id) {
        let is_own = party.user_id == *user;
        return is_own
            .then_some(None)
            .ok_or(RoomRefusal::Forbidden(NOT_YOURS));
    }
    if call.party_of(user).is_some() || call.parties.len() >= max_parties {
        return Err(busy(call));
    }
    let mut call = call.clone();
    call.parties.push(Party {
        party_id: party_id.clone(),
        user_id: user.clone(),
    });
    call.state = CallState::Active;
    call.rejected_by.clear();
    call.answered_at.get_or_insert(now);
    call.expires_at = None;
    Ok(Some(call))
}

/// Notes that a user declines: for all of the user's clients, and only while the call rings.
fn reject(user: &UserId, present: &[UserId], call: &Call, now: DateTime<Utc>) -> Option<Call> {
    let is_rung = match &call.to {
        Some(to) => to.contains(user),
        None => call.rejected_by.len() < MAX_RUNG,
    };
    let is_free = *user != call.started_by && !call.rejected_by.contains(user);
    if call.state != CallState::Ringing || !is_rung || !is_free {
        return None;
    }
    let mut call = call.clone();
    call.rejected_by.push(user.clone());
    let rung = call.to.as_deref().unwrap_or(present);
    let mut others = rung.iter().filter(|user| **user != call.started_by);
    if others.all(|user| call.rejected_by.contains(user)) {
        end(&mut call, EndedReason::Rejected, now);
    }
    Some(call)
}

/// A party's way out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exit {
    Left,
    Lost,
}

/// Returns the call without some of its parties.
fn without(parties: &[PartyId], call: &Call, exit: Exit, now: DateTime<Utc>) -> Call {
    let mut call = call.clone();
    call.parties
        .retain(|party| !parties.contains(&party.party_id));
    match call.parties.len() {
        0 => {
            let reason = match exit {
                Exit::Lost => EndedReason::Lost,
                Exit::Left if call.state == CallState::Ringing => EndedReason::Cancelled,
                Exit::Left => EndedReason::Left,
            };
            end(&mut call, reason, now);
        }
        1 => call.expires_at = Some(now + ALONE),
        _ => {}
    }
    call
}

/// Puts out the lost parties, and ends a call whose time is over.
fn settle(call: &Call, moment: &Moment) -> Option<Call> {
    if !call.is_live() {
        return None;
    }
    let is_lost = |party: &Party| moment.lost.contains(&party.party_id);
    let mut settled = call.clone();
    if call.parties.iter().any(is_lost) {
        settled = without(&moment.lost, call, Exit::Lost, moment.now);
    }
    let is_over = settled.expires_at.is_some_and(|end| end <= moment.now);
    if settled.is_live() && is_over {
        let reason = match settled.state {
            CallState::Ringing => EndedReason::Missed,
            CallState::Active | CallState::Ended => EndedReason::Alone,
        };
        end(&mut settled, reason, moment.now);
    }
    (settled != *call).then_some(settled)
}

/// Ends a call. Nobody's name but the starter's is left in it.
fn end(call: &mut Call, reason: EndedReason, now: DateTime<Utc>) {
    call.state = CallState::Ended;
    call.to = None;
    call.rejected_by.clear();
    call.parties.clear();
    call.expires_at = None;
    call.ended_at = Some(now);
    call.ended_reason = Some(reason);
}
