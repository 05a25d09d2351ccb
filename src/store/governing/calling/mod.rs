//! The rules of calls: one in a room, a user in it with one client, and an end of every one.

#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Present, RoomTables, handover};
use crate::{
    model::{
        Call, CallId, CallState, CallStep, EndedReason, MAX_RUNG, Media, Party, PartyId, Revision,
        RoomChange, RoomChanged, RoomRefusal, RoomSettings, UserId,
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
        CallStep::Expire { lease: Some(lease) } => tables.expired_parties(room, *lease).await?,
        _ => vec![],
    };
    let moment = Moment {
        now: present.now,
        lost,
    };
    let before = present.call.as_ref().map(|(call, _)| &**call);
    if let Some(party_id) = named(step)
        && let Some((user, entry)) = tables.party(room, party_id).await?
    {
        let is_live = before.is_some_and(Call::is_live);
        if is_live && user != change.user_id && entering(step).is_some() {
            // Signals for this party must never reach another user.
            return Ok(Err(RoomRefusal::Forbidden(NOT_YOURS)));
        }
        if is_stale(step, entry) {
            return Ok(Ok(unchanged(present)));
        }
    }
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
    if let Some((party_id, entry)) = entering(step) {
        // Whoever was in the call under this name before is not any more.
        tables.enter_party(room, party_id, entry).await?;
    }
    let new = new.map(|call| (Box::new(call), revision.next()));
    Ok(Ok(RoomChanged {
        changed,
        trace: trace.map(Arc::new),
        ..unchanged(Present {
            call: new.or(present.call),
            ..present
        })
    }))
}

/// Returns the party of a step.
fn named(step: &CallStep) -> Option<&PartyId> {
    match step {
        CallStep::Join { party_id, .. } | CallStep::Leave { party_id, .. } => Some(party_id),
        CallStep::Start { .. } | CallStep::Reject { .. } | CallStep::Expire { .. } => None,
    }
}

/// Returns the party that a step makes, with its entry.
fn entering(step: &CallStep) -> Option<(&PartyId, Uuid)> {
    match step {
        CallStep::Start {
            party_id, entry, ..
        }
        | CallStep::Join {
            party_id, entry, ..
        } => Some((party_id, *entry)),
        CallStep::Reject { .. } | CallStep::Leave { .. } | CallStep::Expire { .. } => None,
    }
}

/// Returns true for a client that leaves after another one has taken its party over.
fn is_stale(step: &CallStep, latest: Option<Uuid>) -> bool {
    match step {
        CallStep::Leave { entry, .. } => entry.is_some() && *entry != latest,
        _ => false,
    }
}

/// Returns the outcome of a step without an effect.
fn unchanged(present: Present) -> RoomChanged {
    let (call, revision) = present.call.unzip();
    let mut info = present.info.unwrap_or_default();
    info.call = call;
    RoomChanged {
        settings: RoomSettings {
            info,
            revision: revision.unwrap_or_default(),
        },
        changed: false,
        users: vec![],
        queued: None,
        trace: None,
    }
}

/// Works out the call after a step; none when it is as wanted already.
fn decide(
    user: &UserId,
    step: &CallStep,
    before: Option<&Call>,
    moment: &Moment,
) -> Result<Option<Call>, RoomRefusal> {
    match (step, before) {
        (
            CallStep::Start {
                call_id,
                party_id,
                media,
                to,
                ..
            },
            _,
        ) => {
            let party = Party {
                party_id: party_id.clone(),
                user_id: user.clone(),
            };
            let call = started(call_id, party, *media, to.clone(), moment.now);
            start(call, before)
        }
        (_, None) => Err(RoomRefusal::NoCall),
        (
            CallStep::Join {
                call_id,
                party_id,
                max_parties,
                ..
            },
            Some(call),
        ) => {
            if call.call_id != *call_id || !call.is_live() {
                return Err(busy(call));
            }
            join(user, party_id, *max_parties, call, moment.now)
        }
        (CallStep::Reject { call_id, present }, Some(call)) => Ok((call.call_id == *call_id)
            .then(|| reject(user, present, call, moment.now))
            .flatten()),
        (
            CallStep::Leave {
                call_id, party_id, ..
            },
            Some(call),
        ) => match call.party(party_id) {
            Some(_) if call.call_id != *call_id => Ok(None),
            Some(party) if party.user_id != *user => Err(RoomRefusal::Forbidden(NOT_YOURS)),
            Some(_) => {
                let leaver = std::slice::from_ref(party_id);
                Ok(Some(without(leaver, call, Exit::Left, moment.now)))
            }
            None => Ok(None),
        },
        (CallStep::Expire { .. }, Some(call)) => Ok(expire(call, moment)),
    }
}

fn busy(call: &Call) -> RoomRefusal {
    RoomRefusal::OtherCall(Box::new(call.clone()))
}

/// Returns a new call, with its starter as the only party.
fn started(
    call_id: &CallId,
    starter: Party,
    media: Media,
    to: Option<Vec<UserId>>,
    now: DateTime<Utc>,
) -> Call {
    Call {
        call_id: call_id.clone(),
        state: CallState::Ringing,
        media,
        started_by: starter.user_id.clone(),
        started_at: now,
        to,
        rejected_by: vec![],
        parties: vec![starter],
        answered_at: None,
        expires_at: Some(now + RING),
        ended_at: None,
        ended_reason: None,
    }
}

/// Starts a call unless another one goes on; a repeat changes nothing.
fn start(new: Call, before: Option<&Call>) -> Result<Option<Call>, RoomRefusal> {
    let is_in_the_way = |call: &&Call| call.is_live() || call.call_id == new.call_id;
    let Some(call) = before.filter(is_in_the_way) else {
        return Ok(Some(new));
    };
    let is_own = call.call_id == new.call_id && call.started_by == new.started_by;
    let starter = new.parties.first();
    let is_repeat = is_own && starter.is_some_and(|starter| call.parties.contains(starter));
    if is_repeat { Ok(None) } else { Err(busy(call)) }
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
fn expire(call: &Call, moment: &Moment) -> Option<Call> {
    if !call.is_live() {
        return None;
    }
    let is_lost = |party: &Party| moment.lost.contains(&party.party_id);
    let mut after = call.clone();
    if call.parties.iter().any(is_lost) {
        after = without(&moment.lost, call, Exit::Lost, moment.now);
    }
    let is_over = after.expires_at.is_some_and(|end| end <= moment.now);
    if after.is_live() && is_over {
        let reason = match after.state {
            CallState::Ringing => EndedReason::Missed,
            CallState::Active | CallState::Ended => EndedReason::Alone,
        };
        end(&mut after, reason, moment.now);
    }
    (after != *call).then_some(after)
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
