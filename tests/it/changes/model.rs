//! Random changes, cuts and moves: every client ends with the same state of every message.

use std::{collections::BTreeMap, sync::Arc};

use fastrand::Rng;
use parlor::{
    model::{Revision, Seq},
    store::{Keep, MessageStore, Page},
};
use serde_json::{Value, json};

use super::follower::Follower;
use crate::{
    nodes::lossy::Lossy,
    support::{Database, FLOODED, Server},
};

const USERS: usize = 8;
const REACTIONS: [&str; 4] = ["👍", "👎", "🎉", "x"];

/// The steps of each run, unless `CHANGES_STEPS` says otherwise.
const STEPS: usize = 1_500;

fn steps() -> usize {
    let steps = std::env::var("CHANGES_STEPS");
    steps.map_or(STEPS, |steps| steps.parse().unwrap())
}

/// Returns the room's messages as the database has them, as JSON.
pub async fn stored(store: &Arc<dyn MessageStore>) -> BTreeMap<i64, Value> {
    let all = Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit: 100_000,
        keep: Keep::Oldest,
    };
    let messages = store.read(&"r".try_into().unwrap(), all).await.unwrap();
    let messages = messages.iter();
    messages
        .map(|message| (message.seq.get(), serde_json::to_value(message).unwrap()))
        .collect()
}

/// Makes a random step as one user.
async fn step(random: &mut Rng, follower: &mut Follower, newest: i64) {
    let seq = match random.u8(..4) {
        0 => newest,
        1 => (newest - random.i64(0..10)).max(1),
        _ => random.i64(1..=newest.max(1)),
    };
    let at = json!({ "roomId": "r", "seq": seq });
    let (event, mut payload) = match random.u8(..21) {
        0..8 => {
            let reply = random.bool().then_some(seq);
            let send = json!({ "roomId": "r", "message": "hello", "replyTo": reply.filter(|seq| *seq < newest) });
            ("sendMessage", send)
        }
        8..12 => ("editMessage", at),
        12..17 => ("setReaction", at),
        17..19 => ("setPinned", at),
        19 => (
            "setRoom",
            json!({ "roomId": "r", "title": random.u32(..).to_string() }),
        ),
        _ => ("deleteMessage", at),
    };
    match event {
        "editMessage" => payload["message"] = random.u32(..).to_string().into(),
        "setReaction" => {
            payload["reaction"] = (*random.choice(REACTIONS.iter()).unwrap()).into();
            payload["on"] = random.bool().into();
        }
        "setPinned" => payload["on"] = random.bool().into(),
        _ => {}
    }
    let answer = follower.call(event, payload).await;
    let code = answer["error"]["code"].as_str();
    let expected = [None, Some("FORBIDDEN"), Some("CONFLICT"), Some("NOT_FOUND")];
    assert!(expected.contains(&code), "{event}: {answer}");
}

async fn run(servers: &[Server], seed: u64) {
    let store = servers[0].database.store().await;
    let mut random = Rng::with_seed(seed);
    let mut followers = vec![];
    for user in 0..USERS {
        let server = &servers[user % servers.len()];
        followers.push(Follower::join(server.address(), &user.to_string()).await);
    }
    followers[0]
        .call("createRoom", json!({ "roomId": "r" }))
        .await;
    // One who is away most of the time.
    let mut sleeper = Follower::join(servers[0].address(), "sleeper").await;
    for number in 0..steps() {
        let follower = random.usize(..USERS);
        if random.u8(..40) == 0 {
            let server = random.choice(servers).unwrap().address();
            followers[follower].come_back(server).await;
        }
        let newest = followers[follower].messages.len() as i64;
        step(&mut random, &mut followers[follower], newest.max(1)).await;
        if number % 300 == 299 {
            sleeper.come_back(servers[0].address()).await;
        }
    }
    sleeper.come_back(servers[0].address()).await;
    followers.push(sleeper);
    let expected = stored(&store).await;
    let settings = store.rooms().settings(&"r".try_into().unwrap()).await;
    let settings = serde_json::to_value(settings.unwrap()).unwrap();
    let mut changes = 0;
    for follower in &mut followers {
        follower
            .until(|seen| seen.messages.len() == expected.len())
            .await;
        follower.until(|seen| seen.messages == expected).await;
        follower.until(|seen| seen.settings == settings).await;
        changes += follower.changes;
    }
    let room = "r".try_into().unwrap();
    let all = store.read_changes(&room, Revision::ZERO, 100_000).await;
    let last = all.unwrap().last().unwrap().revision();
    println!(
        "{} messages, {} changes, {changes} taken in by {} clients",
        expected.len(),
        last.get(),
        followers.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_ends_with_the_state_of_the_database_on_sqlite() {
    run(&[Server::on(Database::sqlite(), &[FLOODED]).await], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_ends_with_the_state_of_the_database_on_two_servers() {
    let database = Database::postgres().await;
    let shared = database.shared();
    let first = Server::on(database, &[FLOODED]).await;
    let second = Server::on(shared, &[FLOODED]).await;
    run(&[first, second], 2).await;
}

/// Reports get lost, so changes are found by the sweep.
#[tokio::test(flavor = "multi_thread")]
async fn every_client_ends_with_the_state_of_the_database_though_the_bus_loses_half() {
    let database = Database::postgres().await;
    let mut servers = vec![];
    for _ in 0..2 {
        let around = |inner| Lossy::around(inner, Some(2));
        servers.push(Server::around_bus(database.shared(), &[FLOODED], around).await);
    }
    run(&servers, 3).await;
}
