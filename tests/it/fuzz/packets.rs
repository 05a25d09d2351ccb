//! Packets that are damaged on their way.

use proptest::{collection::vec, prelude::*};
use tokio::runtime::Runtime;

use super::{
    change, check,
    conversation::{Call, Stage, acks, call},
};

/// A frame, its ack id, and whether it is undamaged.
type Sent = (String, usize, bool);

/// Generates calls with an ack, some of them damaged, after a join: without one, sends would wait
/// for it.
fn frames() -> impl Strategy<Value = Vec<Sent>> {
    let damage = prop_oneof![3 => Just(vec![]), 1 => vec(change(), 1..4)];
    vec((call(), damage), 1..20).prop_map(|calls| {
        let frame = |(id, (mut call, changes)): (usize, (Call, Vec<super::Change>))| {
            // Far apart, so that a damaged id is not another call's.
            let id = 7_000 + 1_111 * id;
            call.wants_ack = true;
            let frame = call.frame(id);
            (
                changes
                    .iter()
                    .fold(frame, |frame, change| change.apply(&frame)),
                id,
                changes.is_empty(),
            )
        };
        let join = (Call::join("r").frame(1), 1, true);
        [join]
            .into_iter()
            .chain(calls.into_iter().enumerate().map(frame))
            .collect()
    })
}

#[test]
fn damaged_packets_are_answered_at_most_once_each_and_harm_nobody_else() {
    let runtime = Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::new());
    check(16, &(frames(), any::<bool>()), |(sent, by_polling)| {
        let frames: Vec<_> = sent.iter().map(|(frame, ..)| frame.clone()).collect();
        let intact = sent.iter().filter(|(.., intact)| *intact);
        let enough = |received: &[String]| {
            let answered = acks(received);
            intact.clone().all(|(_, id, _)| answered.contains_key(id))
        };
        let (received, held) = runtime.block_on(stage.converse("eve", by_polling, &frames, enough));
        let acks = acks(&received);
        for (frame, id, intact) in &sent {
            let answers = acks.get(id).map_or(0, Vec::len);
            assert!(
                answers == 1 || answers == 0 && !(*intact && held),
                "{frame:?}: {answers} answers"
            );
        }
        assert!(acks.values().map(Vec::len).sum::<usize>() <= sent.len() + 1);
        runtime.block_on(stage.chat());
    });
}

#[test]
fn any_bytes_close_the_connection_or_are_ignored_and_harm_nobody_else() {
    let runtime = Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::new());
    let head = prop_oneof![
        Just(""),
        Just("4"),
        Just("40"),
        Just("42"),
        Just("45"),
        Just("451-"),
        Just("b"),
        Just("6")
    ];
    let frames = vec(
        (head, any::<String>()).prop_map(|(head, rest)| format!("{head}{rest}")),
        1..10,
    );
    check(16, &(frames, any::<bool>()), |(frames, by_polling)| {
        let (received, _) = runtime.block_on(stage.converse("eve", by_polling, &frames, |_| true));
        acks(&received);
        runtime.block_on(stage.chat());
    });
}
