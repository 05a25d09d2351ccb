use std::sync::Arc;

use super::*;
use crate::{
    model::{Body, Draft},
    room::{
        answer::MAX_ANSWER_BYTES,
        budget::{ALL_HELD_BYTES, ALL_ROOMS_BYTES, Budget, ROOM_BYTES},
    },
};

fn share() -> Share {
    Share::new(Arc::new(Budget::default()))
}

fn message(seq: i64) -> Message {
    said(seq, "hi")
}

fn said(seq: i64, text: &str) -> Message {
    let body = Body::parse(text, text.len()).unwrap();
    let (room, user) = ("room".try_into().unwrap(), "user".try_into().unwrap());
    let mut draft = Draft::new(room, user, None, body, None);
    draft.id = Uuid::from_u128(seq as u128);
    draft.at(seq.try_into().unwrap())
}

fn recent(seqs: std::ops::RangeInclusive<i64>, complete: bool) -> Recent {
    Recent::new(&seqs.map(message).collect::<Vec<_>>(), complete, share())
}

fn newest(recent: &Recent, after: i64, limit: usize) -> Option<(Vec<i64>, bool)> {
    let (messages, has_more) = recent.newest(after.try_into().unwrap(), limit)?;
    Some((messages.iter().map(|m| m.seq.get()).collect(), has_more))
}

#[test]
fn an_empty_room_has_an_empty_history() {
    let recent = Recent::new(&[], true, share());
    assert_eq!(newest(&recent, 0, 50), Some((vec![], false)));
    assert_eq!(newest(&recent, 7, 50), Some((vec![], false)));
    assert_eq!(recent.cursor(), Seq::ZERO);
}

#[test]
fn an_answer_has_the_newest_messages_and_says_when_older_ones_were_left_out() {
    let recent = recent(1..=5, true);
    assert_eq!(newest(&recent, 0, 50), Some((vec![1, 2, 3, 4, 5], false)));
    assert_eq!(newest(&recent, 0, 2), Some((vec![4, 5], true)));
    assert_eq!(newest(&recent, 3, 2), Some((vec![4, 5], false)));
    assert_eq!(newest(&recent, 0, 0), Some((vec![], true)));
    assert_eq!(newest(&recent, 9, 2), Some((vec![], false)));
}

#[test]
fn an_answer_beyond_memory_is_not_given_from_memory() {
    let recent = recent(11..=15, false);
    assert_eq!(
        newest(&recent, 0, 5),
        Some((vec![11, 12, 13, 14, 15], true))
    );
    assert_eq!(newest(&recent, 0, 6), None);
    assert_eq!(newest(&recent, 9, 6), None);
    assert_eq!(
        newest(&recent, 10, 6),
        Some((vec![11, 12, 13, 14, 15], false))
    );
}

#[test]
fn the_oldest_messages_are_forgotten_beyond_the_capacity() {
    let mut recent = recent(1..=3, true);
    for seq in 4..=(CAPACITY as i64 + 2) {
        recent.push((&message(seq)).into());
    }
    assert_eq!(newest(&recent, 0, CAPACITY).unwrap().0.len(), CAPACITY);
    assert_eq!(newest(&recent, 0, CAPACITY).unwrap().0[0], 3);
    assert_eq!(
        newest(&recent, 2, CAPACITY).map(|(_, more)| more),
        Some(false)
    );
    assert_eq!(newest(&recent, 1, CAPACITY + 1), None);
}

#[test]
fn long_messages_are_forgotten_sooner() {
    let long = "\u{1}".repeat(8_000);
    let read: Vec<_> = (1..=50).map(|seq| said(seq, &long)).collect();
    let mut recent = Recent::new(&read, true, share());
    for seq in 51..=100 {
        let kept: usize = recent.messages.iter().map(weight).sum();
        assert!((ROOM_BYTES / 2..=ROOM_BYTES).contains(&kept), "{kept}");
        recent.push((&said(seq, &long)).into());
    }
    let kept = recent.messages.len();
    assert_eq!(
        newest(&recent, 0, kept).map(|(seqs, more)| (seqs.len(), more)),
        Some((kept, true))
    );
    assert_eq!(newest(&recent, 0, kept + 1), None);
    assert_eq!(recent.cursor().get(), 100);
}

#[test]
fn one_message_larger_than_a_room_may_keep_is_counted_and_not_kept() {
    let mut recent = Recent::new(&[], true, share());
    recent.push((&said(1, &"x".repeat(ROOM_BYTES))).into());
    assert_eq!(newest(&recent, 0, 1), None);
    assert_eq!(newest(&recent, 1, 1), Some((vec![], false)));
    assert_eq!(
        recent.compare(Seq::ZERO.next(), Uuid::from_u128(1)),
        Comparison::Same
    );
}

#[test]
fn messages_after_a_hold_are_kept_for_its_holder() {
    let long = "x".repeat(ROOM_BYTES / 2);
    let mut recent = recent(11..=12, false);
    let older = Older {
        messages: (9..=12).map(|seq| (&message(seq)).into()).collect(),
        hold: recent.hold(),
    };
    for seq in 13..=15 {
        recent.push((&said(seq, &long)).into());
    }
    let (messages, has_more) = recent.newest_with(older, 6).unwrap();
    let seqs: Vec<_> = messages.iter().map(|message| message.seq.get()).collect();
    assert_eq!((seqs, has_more), (vec![10, 11, 12, 13, 14, 15], true));
    let kept: usize = recent.messages.iter().map(weight).sum();
    assert!(kept <= ROOM_BYTES, "{kept}");
}

#[test]
fn rooms_held_by_joiners_are_bounded_together() {
    const ROOMS: usize = 400;
    let budget = Arc::new(Budget::default());
    let long = EncodedMessage::from(&said(1, &"x".repeat(ROOM_BYTES / 2)));
    let held = (0..ROOMS).map(|_| {
        let mut recent = Recent::new(&[], true, Share::new(budget.clone()));
        let hold = recent.hold();
        (0..8).for_each(|_| recent.push(long.clone()));
        (recent, hold)
    });
    let held: Vec<_> = held.collect();
    let kept = |(recent, _): &(Recent, Hold)| recent.messages.iter().map(weight).sum::<usize>();
    assert!(kept(&held[0]) > 2 * ROOM_BYTES);
    let all: usize = held.iter().map(kept).sum();
    assert!(
        (2 * ALL_ROOMS_BYTES..ALL_HELD_BYTES + ROOM_BYTES).contains(&all),
        "{all}"
    );
}

#[test]
fn a_page_that_does_not_reach_what_is_kept_is_no_answer() {
    let long = "x".repeat(ROOM_BYTES / 2);
    let mut recent = recent(1..=2, true);
    let older = |hold| Older {
        messages: vec![],
        hold,
    };
    let hold = recent.hold();
    for seq in 3..=20 {
        recent.push((&said(seq, &long)).into());
    }
    assert!(recent.newest_with(older(hold), 20).is_none());
    let before = recent.hold();
    let mut anew = Recent::new(&[message(1)], true, share());
    assert!(anew.newest_with(older(before), 20).is_none());
}

#[test]
fn a_reported_message_is_compared_with_the_rooms_own() {
    let mut recent = recent(3..=4, false);
    recent.push((&message(6)).into());
    let compare = |seq, id| recent.compare(Seq::try_from(seq).unwrap(), Uuid::from_u128(id));
    assert_eq!(compare(6, 6), Comparison::Same);
    assert_eq!(compare(3, 3), Comparison::Same);
    assert_eq!(compare(4, 9), Comparison::Other);
    assert_eq!(compare(5, 5), Comparison::Gap);
    assert_eq!(compare(2, 2), Comparison::Forgotten);
}

#[test]
fn an_answer_ends_at_its_most_bytes_and_has_at_least_one_message() {
    let messages: Vec<_> = (1..=3)
        .map(|seq| EncodedMessage::from(&said(seq, &"x".repeat(MAX_ANSWER_BYTES / 2))))
        .collect();
    let fit = |keep, limit| {
        let (kept, left_out) = answer::fit(messages.iter().cloned(), limit, keep);
        (
            kept.iter()
                .map(|message| message.seq.get())
                .collect::<Vec<_>>(),
            left_out,
        )
    };
    assert_eq!(fit(Keep::Newest, 3), (vec![3], true));
    assert_eq!(fit(Keep::Oldest, 3), (vec![1], true));
    assert_eq!(fit(Keep::Oldest, 0), (vec![], true));
}
