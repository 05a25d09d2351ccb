//! Many operators at once.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{asked, brief, client, customer, operator, server};
use crate::support::{Client, Database};

/// The conversations that all operators claim.
const CONVERSATIONS: usize = 200;
const OPERATORS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn each_of_200_conversations_that_50_operators_on_3_servers_claim_has_one_winner() {
    let first = server(Database::postgres().await).await;
    let servers = [
        server(first.database.shared()).await,
        server(first.database.shared()).await,
        first,
    ];
    let ann = customer(&servers[0], "ann").await;
    let rooms = Vec::from_iter((0..CONVERSATIONS).map(|number| format!("support-{number}")));
    for room in &rooms {
        asked(&ann, room).await;
    }
    let operators = (0..OPERATORS).map(async |number| {
        let (url, name) = (servers[number % 3].url(), format!("op {number}"));
        (name.clone(), client(&url, &name, Some("operator")).await)
    });
    let operators = join_all(operators).await;
    let claims = operators.iter().map(async |(name, operator)| {
        let (mut won, mut lost) = (vec![], vec![]);
        // Each begins elsewhere, so that all are in the way of each other all the time.
        let begin = fastrand::usize(..CONVERSATIONS);
        for room in rooms.iter().cycle().skip(begin).take(CONVERSATIONS) {
            let answer = operator
                .call("claimConversation", json!({ "roomId": room }))
                .await;
            match answer["status"].as_str() {
                Some("ok") => won.push(room.clone()),
                _ => lost.push((room.clone(), answer["error"].clone())),
            }
        }
        (name.clone(), won, lost)
    });
    let claimed = join_all(claims).await;
    let mut winners = BTreeMap::new();
    for (name, won, _) in &claimed {
        for room in won {
            assert_eq!(winners.insert(room.clone(), name.clone()), None, "{room}");
        }
    }
    assert_eq!(winners.len(), CONVERSATIONS);
    let lost = claimed.iter().flat_map(|(_, _, lost)| lost);
    assert_eq!(lost.clone().count(), CONVERSATIONS * (OPERATORS - 1));
    for (room, error) in lost {
        assert_eq!(error["code"], "CONFLICT", "{error}");
        assert_eq!(error["current"]["operatorId"], winners[room].as_str());
        assert_eq!(error["current"]["version"], 2);
    }
}

/// Operators on two servers who do one thing after another, without regard to each other.
#[tokio::test(flavor = "multi_thread")]
async fn versions_have_no_gap_and_every_history_is_a_way_through_the_states() {
    const STEPS: usize = 60;
    let first = server(Database::postgres().await).await;
    let second = server(first.database.shared()).await;
    let ann = customer(&first, "ann").await;
    asked(&ann, "support-1").await;
    let witness = operator(&second, "witness").await;
    witness.join("support-1").await;
    let operators = [
        operator(&first, "a").await,
        operator(&second, "b").await,
        operator(&first, "c").await,
    ];
    let acting = operators.iter().map(async |operator| {
        let mut changes = vec![];
        for _ in 0..STEPS {
            changes.extend(step(operator).await);
        }
        changes
    });
    let changes: Vec<_> = join_all(acting).await.into_iter().flatten().collect();
    let mut versions: BTreeMap<i64, Value> = BTreeMap::new();
    for conversation in changes {
        let version = conversation["version"].as_i64().unwrap();
        assert_eq!(versions.insert(version, conversation), None);
    }
    assert!(versions.len() > STEPS / 6, "{}", versions.len());
    let mut before = 1;
    for version in versions.keys() {
        assert_eq!(*version, before + 1, "two changes with one place, or none");
        before = *version;
    }
    for (one, next) in versions.values().zip(versions.values().skip(1)) {
        assert!(is_step(one, next), "{one} then {next}");
    }
    let last = versions.last_key_value().unwrap().1;
    while witness.next("roomChanged").await["room"]["conversation"] != *last {}
}

/// Returns true for two states with one change between them.
fn is_step(one: &Value, next: &Value) -> bool {
    let (by, holder) = (&next["changedBy"], &one["operatorId"]);
    match (
        one["state"].as_str().unwrap(),
        next["state"].as_str().unwrap(),
    ) {
        ("open" | "closed", "claimed") => next["operatorId"] == *by,
        ("open", "closed") => true,
        ("claimed", "open" | "closed") => holder == by,
        ("claimed", "claimed") => holder == by && next["operatorId"] != *holder,
        _ => false,
    }
}

/// Asks for any change, and returns the conversation after one that was made.
async fn step(operator: &Client) -> Option<Value> {
    let room = json!({ "roomId": "support-1" });
    let to = json!({ "roomId": "support-1", "to": fastrand::choice(["a", "b", "c"]).unwrap() });
    let (event, payload) = match fastrand::u8(..4) {
        0 => ("claimConversation", room),
        1 => ("releaseConversation", room),
        2 => ("closeConversation", room),
        _ => ("transferConversation", to),
    };
    let answer = operator.call(event, payload).await;
    let code = answer["error"]["code"].as_str().unwrap_or("CONFLICT");
    assert!(matches!(code, "CONFLICT" | "FORBIDDEN"), "{answer}");
    if code == "CONFLICT" && answer["status"] == "error" {
        brief(&answer["error"]["current"]);
    }
    (answer["changed"] == true).then(|| answer["conversation"].clone())
}
