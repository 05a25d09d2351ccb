use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::model::{Media, RoomId};

/// The most parties of a call in these tests.
const MAX_PARTIES: usize = 3;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn user(number: usize) -> UserId {
    format!("user {number}").try_into().unwrap()
}

fn id<T: TryFrom<String, Error: std::fmt::Debug>>(name: impl ToString) -> T {
    name.to_string().try_into().unwrap()
}

fn start(call: usize, party: usize, to: Option<Vec<UserId>>) -> CallStep {
    CallStep::Start {
        call_id: id(call),
        party_id: id(party),
        entry: Uuid::nil(),
        media: Media::Video,
        to,
    }
}

fn joining(call: usize, party: usize) -> CallStep {
    CallStep::Join {
        call_id: id(call),
        party_id: id(party),
        entry: Uuid::nil(),
        max_parties: MAX_PARTIES,
    }
}

fn rejecting(call: usize, present: &[usize]) -> CallStep {
    CallStep::Reject {
        call_id: id(call),
        present: present.iter().map(|number| user(*number)).collect(),
    }
}

fn leaving(call: usize, party: usize) -> CallStep {
    CallStep::Leave {
        call_id: id(call),
        party_id: id(party),
        entry: None,
    }
}

const EXPIRE: CallStep = CallStep::Expire { lease: None };

/// Takes a step at a time, in seconds.
fn step(
    call: &mut Option<Call>,
    by: usize,
    step: &CallStep,
    time: i64,
) -> Result<bool, RoomRefusal> {
    let moment = Moment {
        now: at(time),
        lost: vec![],
    };
    let after = decide(&user(by), step, call.as_ref(), &moment)?;
    let changed = after.is_some();
    *call = after.or(call.take());
    Ok(changed)
}

fn reason(call: &Option<Call>) -> Option<EndedReason> {
    call.as_ref()?.ended_reason
}

/// Returns a call of user 1 that user 2 has joined.
fn answered() -> Option<Call> {
    let mut call = None;
    assert_eq!(step(&mut call, 1, &start(1, 1, None), 0), Ok(true));
    assert_eq!(step(&mut call, 2, &joining(1, 2), 5), Ok(true));
    call
}

#[test]
fn a_call_that_nobody_joins_is_missed_after_45_seconds() {
    let mut call = None;
    step(&mut call, 1, &start(1, 1, None), 0).unwrap();
    assert_eq!(step(&mut call, 1, &EXPIRE, 44), Ok(false));
    assert_eq!(step(&mut call, 1, &EXPIRE, 45), Ok(true));
    assert_eq!(reason(&call), Some(EndedReason::Missed));
    assert_eq!(step(&mut call, 1, &EXPIRE, 90), Ok(false), "it ends once");
}

#[test]
fn a_party_alone_ends_its_call_after_60_seconds_and_not_when_somebody_comes() {
    let mut call = answered();
    assert_eq!(step(&mut call, 1, &EXPIRE, 10_000), Ok(false));
    step(&mut call, 1, &leaving(1, 1), 10_000).unwrap();
    step(&mut call, 3, &joining(1, 3), 10_030).unwrap();
    assert_eq!(step(&mut call, 1, &EXPIRE, 10_100), Ok(false));
    step(&mut call, 2, &leaving(1, 2), 10_100).unwrap();
    assert_eq!(step(&mut call, 1, &EXPIRE, 10_159), Ok(false));
    assert_eq!(step(&mut call, 1, &EXPIRE, 10_160), Ok(true));
    assert_eq!(reason(&call), Some(EndedReason::Alone));
}

#[test]
fn a_user_joins_with_one_client_and_comes_back_with_the_same_one() {
    let mut call = answered();
    let busy = |result| matches!(result, Err(RoomRefusal::OtherCall(_)));
    assert!(busy(step(&mut call, 2, &joining(1, 9), 6)), "another tab");
    assert!(busy(step(&mut call, 1, &joining(1, 9), 6)), "the starter's");
    assert_eq!(
        step(&mut call, 2, &joining(1, 2), 7),
        Ok(false),
        "it is back"
    );
    let taken = step(&mut call, 3, &joining(1, 2), 7);
    assert_eq!(taken, Err(RoomRefusal::Forbidden(NOT_YOURS)));
    let thrown = step(&mut call, 3, &leaving(1, 2), 7);
    assert_eq!(thrown, Err(RoomRefusal::Forbidden(NOT_YOURS)));
    assert_eq!(step(&mut call, 3, &joining(1, 3), 8), Ok(true));
    assert!(busy(step(&mut call, 4, &joining(1, 4), 8)), "it is full");
    assert!(busy(step(&mut call, 4, &start(2, 4, None), 9)));
    assert_eq!(
        step(&mut call, 1, &start(1, 1, None), 9),
        Ok(false),
        "a repeat"
    );
    assert!(busy(step(&mut call, 4, &joining(2, 4), 9)), "another call");
}

#[test]
fn a_call_is_declined_once_all_whom_it_rings_have_declined() {
    let mut call = None;
    step(&mut call, 1, &start(1, 1, None), 0).unwrap();
    assert_eq!(step(&mut call, 1, &rejecting(1, &[1, 2, 3]), 1), Ok(false));
    assert_eq!(step(&mut call, 2, &rejecting(1, &[1, 2, 3]), 1), Ok(true));
    assert_eq!(step(&mut call, 2, &rejecting(1, &[1, 2, 3]), 1), Ok(false));
    assert_eq!(reason(&call), None);
    assert_eq!(step(&mut call, 3, &rejecting(1, &[1, 2, 3]), 2), Ok(true));
    assert_eq!(reason(&call), Some(EndedReason::Rejected));
    let mut call = None;
    step(&mut call, 1, &start(2, 1, Some(vec![user(2)])), 0).unwrap();
    assert_eq!(step(&mut call, 3, &rejecting(2, &[1, 2, 3]), 1), Ok(false));
    assert_eq!(step(&mut call, 2, &rejecting(2, &[1, 2, 3]), 1), Ok(true));
    assert_eq!(reason(&call), Some(EndedReason::Rejected));
}

#[test]
fn to_decline_changes_nothing_once_somebody_has_joined() {
    let mut call = answered();
    let before = call.clone();
    for by in 1..=3 {
        assert_eq!(step(&mut call, by, &rejecting(1, &[1, 2, 3]), 6), Ok(false));
    }
    assert_eq!(call, before);
}

#[test]
fn the_end_has_a_reason_and_a_message() {
    let room: RoomId = id("r");
    let mut cancelled = None;
    step(&mut cancelled, 1, &start(1, 1, None), 0).unwrap();
    step(&mut cancelled, 1, &leaving(1, 1), 3).unwrap();
    assert_eq!(reason(&cancelled), Some(EndedReason::Cancelled));
    let mut left = answered();
    step(&mut left, 2, &leaving(1, 2), 185).unwrap();
    step(&mut left, 1, &leaving(1, 1), 190).unwrap();
    assert_eq!(reason(&left), Some(EndedReason::Left));
    assert_eq!(step(&mut left, 1, &leaving(1, 1), 191), Ok(false));
    for (call, text, metadata) in [
        (
            cancelled,
            "Cancelled video call",
            r#"{"call":{"callId":"1","media":"video","outcome":"cancelled"}}"#,
        ),
        (
            left,
            "Video call, 3 min 5 s",
            r#"{"call":{"callId":"1","durationMs":185000,"media":"video","outcome":"left"}}"#,
        ),
    ] {
        let trace = trace::trace(&room, &call.unwrap());
        assert_eq!(trace.body.as_str(), text);
        assert_eq!(trace.user_id, user(1));
        assert_eq!(trace.metadata.unwrap().as_str(), metadata);
    }
}

#[test]
fn lost_parties_are_out_and_a_call_without_any_ends() {
    let mut call = answered().unwrap();
    let lose = |call: &Call, lost: &[usize], time| {
        let moment = Moment {
            now: at(time),
            lost: lost.iter().map(id).collect(),
        };
        decide(&user(1), &EXPIRE, Some(call), &moment).unwrap()
    };
    assert_eq!(lose(&call, &[9], 20), None);
    call = lose(&call, &[1], 20).unwrap();
    assert_eq!(call.parties.len(), 1);
    assert_eq!(call.expires_at, Some(at(80)));
    call = lose(&call, &[2], 30).unwrap();
    assert_eq!(call.ended_reason, Some(EndedReason::Lost));
}

/// A step of somebody at some time.
#[derive(Debug, Clone)]
struct Act {
    by: usize,
    step: CallStep,
    lost: Vec<PartyId>,
    after: i64,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..5_usize, 0..5_usize, 1..4_usize, 0..7_usize, 0..40_i64);
    let act = act.prop_map(|(kind, by, call, party, after)| Act {
        by,
        step: match kind {
            0 => start(
                call,
                party,
                (party % 2 == 0).then(|| vec![user(0), user(1)]),
            ),
            1 => joining(call, party),
            2 => rejecting(call, &[0, 1, 2]),
            3 => leaving(call, party),
            _ => EXPIRE,
        },
        lost: match kind {
            4 => vec![id(party)],
            _ => vec![],
        },
        after,
    });
    vec(act, 1..80)
}

/// Checks what is true of every call.
fn check(call: &Call, now: DateTime<Utc>) {
    let users: BTreeSet<_> = call.parties.iter().map(|party| &party.user_id).collect();
    let ids: BTreeSet<_> = call.parties.iter().map(|party| &party.party_id).collect();
    assert_eq!(users.len(), call.parties.len(), "a user is in it once");
    assert_eq!(ids.len(), call.parties.len());
    assert!(call.parties.len() <= MAX_PARTIES);
    assert_eq!(call.is_live(), call.ended_at.is_none());
    assert_eq!(call.is_live(), call.ended_reason.is_none());
    match call.state {
        CallState::Ringing => {
            assert_eq!(call.parties.len(), 1);
            assert_eq!(call.parties[0].user_id, call.started_by);
            assert_eq!(call.expires_at, Some(call.started_at + RING));
            assert_eq!(call.answered_at, None);
        }
        CallState::Active => {
            assert!(!call.parties.is_empty());
            assert!(call.answered_at.is_some() && call.rejected_by.is_empty());
            assert_eq!(call.expires_at.is_some(), call.parties.len() == 1);
            assert!(call.expires_at.is_none_or(|end| end <= now + ALONE));
        }
        CallState::Ended => {
            assert!(call.parties.is_empty() && call.rejected_by.is_empty());
            assert!(call.to.is_none() && call.expires_at.is_none());
        }
    }
    let json = serde_json::to_string(call).unwrap();
    assert_eq!(serde_json::from_str::<Call>(&json).unwrap(), *call);
}

proptest! {
    #[test]
    fn whatever_comes_a_call_is_in_order_and_an_ended_one_stays_ended(acts in acts()) {
        let (mut call, mut now) = (None::<Call>, 0);
        for Act { by, step, lost, after } in acts {
            now += after;
            let moment = Moment { now: at(now), lost };
            let decided = decide(&user(by), &step, call.as_ref(), &moment);
            // A repeat of a step has no effect.
            if let Ok(Some(new)) = decided {
                prop_assert!(Some(&new) != call.as_ref(), "a change changes something");
                let over = call.as_ref().filter(|call| !call.is_live());
                prop_assert!(over.is_none_or(|call| call.call_id != new.call_id), "nothing begins again");
                check(&new, at(now));
                let again = decide(&user(by), &step, Some(&new), &moment);
                let is_harmless = matches!(again, Ok(None) | Err(RoomRefusal::OtherCall(_)));
                prop_assert!(is_harmless, "{step:?} {again:?}");
                call = Some(new);
            }
            if let Some(call) = &call {
                let due = call.expires_at.is_some_and(|end| end <= at(now));
                let expired = decide(&user(by), &EXPIRE, Some(call), &Moment { now: at(now), lost: vec![] });
                prop_assert_eq!(expired.unwrap().is_some(), due);
            }
        }
    }
}
