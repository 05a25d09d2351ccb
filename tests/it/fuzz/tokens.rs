//! Tokens: none counts unless it was signed with exactly these claims.

use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parlor::{
    model::RoomId,
    testing::{
        auth::{Grant, Verifier},
        error::Error,
    },
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::{
    any_json, changed, check, number,
    payloads::{MAX_EXPLANATION_BYTES, is_id},
    text,
};

const SECRET: &str = "a secret that has as many bytes as it needs";

fn verifier() -> Verifier {
    Verifier::from_secret(SECRET).unwrap()
}

fn signed(claims: &Value) -> String {
    encode(
        &Header::new(Algorithm::HS256),
        claims,
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
    .unwrap()
}

fn later() -> i64 {
    Utc::now().timestamp() + 3600
}

/// Generates claims, each correct, arbitrary, or missing.
fn claims() -> impl Strategy<Value = Value> {
    let time = || {
        prop_oneof![
            (-10_000..10_000_i64).prop_map(|by| json!(Utc::now().timestamp() + by)),
            number(),
            any_json()
        ]
    };
    let rooms = vec("[ab]{0,2}\\*?", 0..3).prop_map(|rooms| json!(rooms));
    let known: [(&str, f64, BoxedStrategy<Value>); 7] = [
        ("sub", 0.95, prop_oneof![9 => Just(json!("ann")), 3 => text().prop_map(Value::from), 1 => any_json()].boxed()),
        ("exp", 0.95, prop_oneof![9 => Just(json!(later())), 3 => time()].boxed()),
        ("nbf", 0.2, time().boxed()),
        ("role", 0.3, prop_oneof![Just(json!("operator")), Just(json!("service")), Just(json!("user")), any_json()].boxed()),
        ("rooms", 0.5, prop_oneof![3 => rooms, 1 => any_json()].boxed()),
        ("iss", 0.2, any_json().boxed()),
        ("aud", 0.1, any_json().boxed()),
    ];
    let claims = known.into_iter().map(|(name, present, value)| {
        proptest::option::weighted(present, value)
            .prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    });
    claims
        .collect::<Vec<_>>()
        .prop_map(|claims| claims.into_iter().flatten().collect::<Map<_, _>>().into())
}

/// Asserts that a refusal names the token, and is short.
fn assert_refused(result: Result<Grant, Error>) {
    let error = result.unwrap_err();
    assert!(
        matches!(error.code(), "UNAUTHORIZED" | "TOKEN_EXPIRED"),
        "{error}"
    );
    assert!(
        (1..=MAX_EXPLANATION_BYTES).contains(&error.to_string().len()),
        "{error}"
    );
}

/// Returns true when a token's `rooms` include a room.
fn admits(rooms: Option<&Value>, room: &str) -> bool {
    let Some(rooms) = rooms else { return true };
    let patterns = rooms
        .as_array()
        .unwrap()
        .iter()
        .map(|pattern| pattern.as_str().unwrap());
    patterns
        .into_iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => room.starts_with(beginning),
            None => room == pattern,
        })
}

#[test]
fn a_signed_token_grants_its_claims_and_no_more() {
    let verifier = verifier();
    check(
        1,
        &(claims(), "[abc]{1,3}"),
        |(claims, room)| match verifier.check(&signed(&claims)) {
            Err(error) => assert_refused(Err(error)),
            Ok(Grant {
                identity,
                expires_at,
                is_service,
            }) => {
                assert_eq!(is_service, claims["role"] == "service");
                assert!(!identity.is_service(), "a socket's client is no service");
                assert_eq!(claims["sub"].as_str(), Some(identity.user_id().as_str()));
                assert!(is_id(identity.user_id().as_str()));
                assert!(
                    expires_at > Utc::now()
                        && claims["exp"].as_f64().unwrap() > Utc::now().timestamp() as f64
                );
                assert_eq!(
                    identity.operator_id().is_some(),
                    claims["role"] == "operator"
                );
                assert!(
                    claims.get("aud").is_none_or(Value::is_null),
                    "it is for somebody else"
                );
                assert!(
                    claims["nbf"]
                        .as_f64()
                        .is_none_or(|from| from < (Utc::now().timestamp() + 10) as f64)
                );
                let may_enter = identity
                    .may_enter(&RoomId::try_from(room.as_str()).unwrap())
                    .is_ok();
                assert_eq!(may_enter, admits(claims.get("rooms"), &room));
            }
        },
    );
}

#[test]
fn a_good_token_is_accepted() {
    let verifier = verifier();
    let cases = (
        "[a-zé😀]([a-z é😀]{0,18}[a-zé😀])?",
        1..1_000_000_000_i64,
        vec("\\PC{0,9}", 0..4),
        any::<bool>(),
    );
    check(1, &cases, |(sub, time, rooms, operator)| {
        let mut claims = json!({ "sub": sub, "exp": Utc::now().timestamp() + time, "rooms": rooms, "name": sub });
        if operator {
            claims["role"] = json!("operator");
        }
        let grant = verifier.check(&signed(&claims)).unwrap();
        assert_eq!(grant.identity.operator_id().is_some(), operator);
        assert_eq!(
            grant.expires_at.timestamp(),
            claims["exp"].as_i64().unwrap()
        );
    });
}

#[test]
fn a_changed_token_is_refused() {
    let verifier = verifier();
    let token = signed(&json!({ "sub": "ann", "exp": later(), "rooms": ["a*"] }));
    check(1, &changed(Just(token.clone())), |changed| {
        if changed != token {
            assert_refused(verifier.check(&changed));
        }
    });
}

#[test]
fn a_token_with_another_algorithm_or_key_is_refused() {
    let verifier = verifier();
    check(
        1,
        &(claims(), select(vec![Algorithm::HS384, Algorithm::HS512])),
        |(claims, algorithm)| {
            let key = EncodingKey::from_secret(SECRET.as_bytes());
            assert_refused(
                verifier.check(&encode(&Header::new(algorithm), &claims, &key).unwrap()),
            );
            let other = EncodingKey::from_secret(SECRET.to_uppercase().as_bytes());
            assert_refused(
                verifier.check(&encode(&Header::new(Algorithm::HS256), &claims, &other).unwrap()),
            );
        },
    );
}

#[test]
fn any_text_in_place_of_a_token_is_refused() {
    let verifier = verifier();
    let part = || {
        prop_oneof![
            "[A-Za-z0-9_-]{0,40}",
            any_json().prop_map(|json| base64(json.to_string().as_bytes()))
        ]
    };
    let header = any_json()
        .prop_map(|alg| base64(json!({ "alg": alg, "typ": "JWT" }).to_string().as_bytes()));
    let parts = (header, part(), part())
        .prop_map(|(header, claims, signature)| format!("{header}.{claims}.{signature}"));
    let long = any::<char>().prop_map(|one| one.to_string().repeat(9000));
    check(
        1,
        &prop_oneof![4 => any::<String>(), 4 => parts, 1 => long],
        |text| assert_refused(verifier.check(&text)),
    );
}

#[test]
fn an_invalid_audience_is_another_one() {
    let verifier = verifier();
    for audience in [json!(5), json!([]), json!([null]), json!({}), json!("")] {
        assert_refused(verifier.check(&signed(
            &json!({ "sub": "ann", "exp": later(), "aud": audience }),
        )));
    }
}

#[test]
fn a_token_with_a_long_word_in_the_wrong_place_is_refused_in_few_words() {
    let verifier = verifier();
    let long = "x".repeat(5000);
    let header = base64(json!({ "alg": long }).to_string().as_bytes());
    for token in [
        format!("{header}.e30.e30"),
        signed(&json!({ "sub": "ann", "exp": later(), "rooms": long })),
    ] {
        assert_refused(verifier.check(&token));
    }
}

/// Encodes as Base64 for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| usize::from(byte >> bit & 1)));
    let bits: Vec<_> = bits.collect();
    let digits = bits
        .chunks(6)
        .map(|chunk| chunk.iter().fold(0, |digit, bit| digit << 1 | bit) << (6 - chunk.len()));
    digits.map(|digit| char::from(DIGITS[digit])).collect()
}
