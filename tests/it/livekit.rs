//! Access to LiveKit, whose tokens another library verifies by LiveKit's published rules.

use std::{collections::BTreeMap, process::Stdio};

use clap::Parser;
use parlor::{Config, testing::calling::Grant};
use serde_json::Value;
use tokio::process::Command;

use crate::support::{HOW_TO_GET_TOOLS, within_deadline};

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/python");
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/clients/livekit_token.py"
);

const KEY: &str = "APIMmxiL8rquKzt";
const SECRET: &str = "a secret of a key of LiveKit, for tests";

/// The published properties of a token and of its grant that a party may have, with their types.
const CLAIMS: [&str; 6] = ["exp", "iss", "name", "nbf", "sub", "video"];
const GRANTS: [(&str, &str); 5] = [
    ("canPublish", "true"),
    ("canPublishData", "true"),
    ("canSubscribe", "true"),
    ("room", "text"),
    ("roomJoin", "true"),
];

fn grant(room: &str, call: &str, party: &str, user: &str) -> Grant {
    let flags = [
        "parlor",
        "--livekit-url=wss://livekit.example",
        &format!("--livekit-api-key={KEY}"),
        &format!("--livekit-api-secret={SECRET}"),
    ];
    let livekit = Config::parse_from(flags).livekit().unwrap().unwrap();
    livekit.grant(
        &room.try_into().unwrap(),
        &call.try_into().unwrap(),
        &party.try_into().unwrap(),
        &user.try_into().unwrap(),
    )
}

/// Returns the claims of a token as another library reads them, or none if it refuses the token.
async fn verified(token: &str, key: &str, secret: &str) -> Option<Value> {
    let mut command = Command::new(PYTHON);
    command.args([SCRIPT, token, key, secret]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = within_deadline("the claims", command.output()).await;
    let output = output.unwrap_or_else(|error| panic!("{PYTHON}: {error}: {HOW_TO_GET_TOOLS}"));
    let refusal = String::from_utf8_lossy(&output.stderr);
    let is_refused = refusal.contains("jwt.exceptions.Invalid");
    assert!(output.status.success() || is_refused, "{refusal}");
    serde_json::from_slice(&output.stdout).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_the_published_format_and_the_signature_of_the_key() {
    let Grant { url, token } = grant("a room", "call", "party", "Ann é");
    assert_eq!(url, "wss://livekit.example");
    let claims = verified(&token, KEY, SECRET).await.unwrap();
    let names: Vec<_> = claims.as_object().unwrap().keys().collect();
    assert_eq!(names, CLAIMS);
    assert_eq!(
        (&claims["sub"], &claims["name"]),
        (&"party".into(), &"Ann é".into())
    );
    let life = claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap();
    assert!((60..=3600).contains(&life), "{life} s");
    let grants: BTreeMap<_, _> = claims["video"].as_object().unwrap().iter().collect();
    let kinds = grants.iter().map(|(name, value)| {
        let kind = value
            .as_str()
            .map_or_else(|| value.to_string(), |_| "text".to_owned());
        (name.to_string(), kind)
    });
    let expected = GRANTS.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    assert_eq!(Vec::from_iter(kinds), expected);

    assert!(
        verified(&token, KEY, "another secret, of as many bytes")
            .await
            .is_none()
    );
    assert!(verified(&token, "another key", SECRET).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parties_of_a_call_meet_in_one_livekit_room_and_no_others_do() {
    let mut rooms = vec![];
    for (room, call, party, user) in [
        ("room", "call", "p1", "ann"),
        ("room", "call", "p2", "bob"),
        ("room", "call2", "p1", "ann"),
        ("room2", "call", "p1", "ann"),
    ] {
        let token = grant(room, call, party, user).token;
        let claims = verified(&token, KEY, SECRET).await.unwrap();
        let name = claims["video"]["room"].as_str().unwrap().to_owned();
        assert!(!name.contains("room") && !name.contains("call"), "{name}");
        rooms.push(name);
    }
    assert_eq!(rooms[0], rooms[1]);
    rooms.dedup();
    assert_eq!(rooms.len(), 3);
}
