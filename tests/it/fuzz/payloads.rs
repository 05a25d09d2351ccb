//! Events' payloads, against a second statement of the contract.

use parlor::{
    model::RoomId,
    testing::{
        contract::{self, GetHistory, SendMessage},
        error::Error,
        realtime::protocol::{self, Auth, JoinRoom, LeaveRoom, RefreshAuth, Typing},
    },
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, value::RawValue};

use super::{any_json, changed, check, text};

/// The longest explanation of a refusal, in bytes.
pub const MAX_EXPLANATION_BYTES: usize = 512;

/// The kind of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Id,
    /// An id for machines.
    Key,
    Text,
    Flag,
    /// An integer from 0 to the largest of this many bits.
    Count(u32),
}

/// A field's name, its kind, and whether it may be missing.
pub type Field = (&'static str, Kind, bool);

const SEQ: Kind = Kind::Count(63);
const LIMIT: Kind = Kind::Count(64);

/// The contract: each event's fields.
pub const EVENTS: [(&str, &[Field]); 5] = [
    (
        "joinRoom",
        &[
            ("roomId", Kind::Id, false),
            ("userId", Kind::Id, true),
            ("operatorId", Kind::Id, true),
            ("lastSeq", SEQ, true),
            ("limit", LIMIT, true),
        ],
    ),
    ("leaveRoom", &[("roomId", Kind::Id, false)]),
    (
        "sendMessage",
        &[
            ("roomId", Kind::Id, false),
            ("message", Kind::Text, false),
            ("clientMessageId", Kind::Key, true),
        ],
    ),
    (
        "getHistory",
        &[
            ("roomId", Kind::Id, false),
            ("beforeSeq", SEQ, true),
            ("afterSeq", SEQ, true),
            ("limit", LIMIT, true),
        ],
    ),
    (
        "typing",
        &[("roomId", Kind::Id, false), ("isTyping", Kind::Flag, false)],
    ),
];

const OTHERS: [(&str, &[Field]); 2] = [
    (
        "connect",
        &[("userId", Kind::Id, true), ("token", Kind::Text, true)],
    ),
    ("refreshAuth", &[("token", Kind::Text, false)]),
];

impl Kind {
    fn admits(self, value: &Value) -> bool {
        match self {
            Self::Id => value.as_str().is_some_and(is_name),
            Self::Key => value.as_str().is_some_and(is_id),
            Self::Text => value.is_string(),
            Self::Flag => value.is_boolean(),
            Self::Count(bits) => {
                whole(value).is_some_and(|number| number <= u64::MAX >> (64 - bits))
            }
        }
    }
}

/// Returns a whole number from 0, also when it is written as `5.0`.
fn whole(value: &Value) -> Option<u64> {
    let fraction = value
        .as_f64()
        .filter(|number| (0.0..2_f64.powi(64)).contains(number) && number.trunc() == *number);
    value.as_u64().or(fraction.map(|number| number as u64))
}

pub fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c == '\u{fffd}')
}

/// Returns true for an id for people; `texts` has the further rules for its characters.
pub fn is_name(text: &str) -> bool {
    is_id(text) && text.trim() == text && RoomId::try_from(text).is_ok()
}

/// Returns the wrong fields.
pub fn wrong<'a>(fields: &'a [Field], payload: &Map<String, Value>) -> Vec<&'a str> {
    let right = |(name, kind, optional): &&Field| match payload.get(*name) {
        None | Some(Value::Null) => *optional,
        Some(value) => kind.admits(value),
    };
    fields
        .iter()
        .filter(|field| !right(field))
        .map(|(name, ..)| *name)
        .collect()
}

fn value(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Id | Kind::Key => {
            prop_oneof![4 => select(vec!["r", "s", "ann"]).prop_map(Value::from), 1 => text().prop_map(Value::from)]
                .boxed()
        }
        Kind::Text => text().prop_map(Value::from).boxed(),
        Kind::Flag => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Count(_) => super::number().boxed(),
    }
}

/// Generates an object that an event accepts, or nearly accepts.
pub fn payload(fields: &'static [Field]) -> impl Strategy<Value = Map<String, Value>> {
    let fields = fields.iter().map(|(name, kind, optional)| {
        let present = if *optional { 0.4 } else { 0.95 };
        let value = prop_oneof![9 => value(*kind), 1 => any_json()];
        proptest::option::weighted(present, value)
            .prop_map(move |value| value.map(|value| ((*name).to_owned(), value)))
    });
    let unknown = vec(("[a-z]{0,5}", any_json()), 0..2);
    (fields.collect::<Vec<_>>(), unknown).prop_map(|(known, unknown)| {
        let known = known.into_iter().flatten();
        unknown.into_iter().chain(known).collect()
    })
}

/// Parses a payload.
fn parse(event: &str, json: &str) -> Result<(), Error> {
    fn of<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
        contract::parse(json)
    }
    match event {
        "joinRoom" => of::<JoinRoom>(json).map(|join| {
            assert!(is_name(join.room_id.as_str()));
            assert!(join.last_seq.is_none_or(|seq| seq.get() >= 0));
            assert!(
                join.claim()
                    .is_none_or(|claim| is_name(claim.user_id().as_str()))
            );
        }),
        "leaveRoom" => of::<LeaveRoom>(json).map(|leave| assert!(is_name(leave.room_id.as_str()))),
        "sendMessage" => of::<SendMessage>(json).map(|send| {
            assert!(is_name(send.room_id.as_str()));
            assert!(
                send.client_message_id
                    .is_none_or(|name| is_id(name.as_str()))
            );
        }),
        "getHistory" => {
            of::<GetHistory>(json).map(|query| assert!(is_name(query.room_id.as_str())))
        }
        "typing" => of::<Typing>(json).map(|typing| assert!(is_name(typing.room_id.as_str()))),
        "connect" => of::<Auth>(json)
            .map(|auth| assert!(auth.user_id.is_none_or(|user| is_name(user.as_str())))),
        _ => of::<RefreshAuth>(json).map(drop),
    }
}

/// Asserts that a refusal names the payload and is short, and returns its text.
fn explanation(error: &Error) -> String {
    assert_eq!(error.code(), "INVALID_PAYLOAD");
    let explanation = error.to_string();
    assert!(
        (1..=MAX_EXPLANATION_BYTES).contains(&explanation.len()),
        "{} bytes",
        explanation.len()
    );
    explanation
}

fn events() -> impl Iterator<Item = (&'static str, &'static [Field])> {
    EVENTS.into_iter().chain(OTHERS)
}

#[test]
fn a_payload_is_accepted_exactly_when_all_its_fields_are_right() {
    for (event, fields) in events() {
        check(1, &payload(fields), |payload| {
            let wrong = wrong(fields, &payload);
            match parse(event, &Value::from(payload).to_string()) {
                Ok(()) => assert!(wrong.is_empty(), "{event}: taken, with wrong {wrong:?}"),
                Err(error) => {
                    let explanation = explanation(&error);
                    assert!(
                        wrong.iter().any(|field| explanation.contains(field)),
                        "{event} {wrong:?}: {explanation}"
                    );
                }
            }
        });
    }
}

#[test]
fn any_text_in_place_of_a_payload_is_accepted_or_refused_in_few_words() {
    for (event, fields) in events() {
        let damaged = changed(payload(fields).prop_map(|payload| Value::from(payload).to_string()));
        let texts = prop_oneof![
            damaged,
            any_json().prop_map(|json| json.to_string()),
            any::<String>()
        ];
        check(1, &texts, |json| {
            if let Err(error) = parse(event, &json) {
                explanation(&error);
            }
        });
    }
}

#[test]
fn a_long_text_in_the_wrong_place_is_refused_in_few_words() {
    let long = "😀\"\\\u{1}".repeat(10_000);
    for (event, fields) in events() {
        for (name, kind, _) in fields.iter().filter(|(_, kind, _)| *kind != Kind::Text) {
            let error = parse(event, &serde_json::json!({ *name: long }).to_string()).unwrap_err();
            assert!(
                explanation(&error).contains(name),
                "{event} {name} {kind:?}: {error}"
            );
        }
    }
}

#[test]
fn any_packet_has_a_first_argument_or_is_refused() {
    let packet = || vec(any_json(), 0..4).prop_map(|arguments| Value::from(arguments).to_string());
    let texts = prop_oneof![packet(), changed(packet()), any::<String>()];
    check(1, &texts, |text: String| {
        match protocol::first_argument(&text) {
            Ok(first) => {
                let whole: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
                assert_eq!(first.get(), whole[1].get());
            }
            Err(error) => drop(explanation(&error)),
        }
    });
}

#[test]
fn an_events_name_is_repeated_up_to_a_limit() {
    check(1, &prop_oneof![any::<String>(), "\\PC{60,70}"], |name| {
        let echoed = protocol::echoed(&name);
        let kept = echoed
            .strip_suffix('…')
            .filter(|_| echoed != name)
            .unwrap_or(&echoed);
        assert!(name.starts_with(kept) && kept.chars().count() <= protocol::MAX_ECHOED_CHARS);
        assert_eq!(
            echoed == name,
            name.chars().count() <= protocol::MAX_ECHOED_CHARS
        );
    });
}
