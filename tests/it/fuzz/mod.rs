//! Cases beyond every list: random values close to good ones, checked against independent
//! statements of the rules.
//!
//! The cases are the same each time. `PROPTEST_CASES=100000` asks for more, and for new ones each
//! time.

mod conversation;
mod history;
mod packets;
mod payloads;
mod tokens;
mod values;

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::{Index, select},
    test_runner::{RngSeed, TestRunner},
};
use serde_json::{Number, Value, json};

/// The number of cases without `PROPTEST_CASES`.
const CASES: u32 = 512;
const SEED: u64 = 4;

/// Tries cases, and only one in `cost` of them where each takes long.
fn check<S: Strategy>(cost: u32, cases: &S, test: impl Fn(S::Value)) {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let environment = ProptestConfig::default();
    let config = ProptestConfig {
        cases: if asked { environment.cases } else { CASES }.div_ceil(cost),
        rng_seed: if asked {
            environment.rng_seed
        } else {
            RngSeed::Fixed(SEED)
        },
        failure_persistence: None,
        ..environment
    };
    let outcome = TestRunner::new(config).run(cases, |case| {
        test(case);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Generates any text, or one about as long as an identifier may be, or longer.
fn text() -> impl Strategy<Value = String> {
    let unit = prop_oneof![
        Just("x"),
        Just("é"),
        Just("😀"),
        Just(" "),
        Just("\u{0}"),
        Just("\u{85}")
    ];
    let long = (
        unit,
        prop_oneof![5 => 0..10_usize, 5 => 120..135_usize, 1 => Just(1000)],
    )
        .prop_map(|(unit, count)| unit.repeat(count));
    prop_oneof![any::<String>(), "[a-z]{0,3}", long]
}

fn number() -> impl Strategy<Value = Value> {
    let extremes = select(vec![0, 1, -1, 5, 200, i64::MAX, i64::MIN]);
    prop_oneof![
        extremes.prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| Number::from_f64(number).map_or(Value::Null, Value::from)),
    ]
}

/// Generates any JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let object =
            btree_map("[a-zA-Z_]{0,8}", inner.clone(), 0..4).prop_map(|fields| json!(fields));
        prop_oneof![vec(inner, 0..4).prop_map(Value::from), object]
    })
}

/// A small change somewhere in a text.
#[derive(Debug, Clone)]
enum Change {
    Insert(Index, char),
    Remove(Index),
    Replace(Index, char),
    Cut(Index),
    Repeat(Index, Index),
}

impl Change {
    fn apply(&self, text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        let length = chars.len().max(1);
        match self {
            Self::Insert(at, new) => chars.insert(at.index(chars.len() + 1), *new),
            Self::Remove(at) => drop(chars.splice(
                at.index(length)..(at.index(length) + 1).min(chars.len()),
                [],
            )),
            Self::Replace(at, new) => {
                let at = at.index(length);
                chars.splice(at..(at + 1).min(chars.len()), [*new]);
            }
            Self::Cut(at) => chars.truncate(at.index(length)),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                chars.extend_from_within(from.min(to)..from.max(to));
            }
        }
        chars.into_iter().collect()
    }
}

fn change() -> impl Strategy<Value = Change> {
    let new = || {
        prop_oneof![
            any::<char>(),
            select(
                "0123456789[]{}\",:\\-.etfn \u{0}"
                    .chars()
                    .collect::<Vec<_>>()
            )
        ]
    };
    prop_oneof![
        (any::<Index>(), new()).prop_map(|(at, new)| Change::Insert(at, new)),
        any::<Index>().prop_map(Change::Remove),
        (any::<Index>(), new()).prop_map(|(at, new)| Change::Replace(at, new)),
        any::<Index>().prop_map(Change::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ]
}

/// Generates a text with some changes.
fn changed(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (text, vec(change(), 1..4)).prop_map(|(text, changes)| {
        changes
            .iter()
            .fold(text, |text, change| change.apply(&text))
    })
}
