//! `presence`: arrivals and departures.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{assert_keys, raw_member};
use crate::support::{Client, Database, Server};

/// Longer than a test's deadline, so that no packet in a test can have waited for its end.
const LONG_GRACE: &str = "--presence-grace-ms=600000";

fn names(told: &Value, field: &str) -> Vec<String> {
    let names = told[field].as_array().unwrap().iter();
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// Returns the packets up to the one that lists `user` as arrived or departed.
async fn until(client: &Client, field: &str, user: &str) -> Vec<Value> {
    let mut packets = vec![];
    loop {
        let told = client.next("presence").await;
        assert_keys(&told, &["roomId", "joined", "left", "memberCount"]);
        assert_eq!(told["roomId"], "r");
        let named = names(&told, field).iter().any(|name| name == user);
        packets.push(told);
        if named {
            return packets;
        }
    }
}

fn named(packets: &[Value], user: &str) -> bool {
    let names = packets
        .iter()
        .flat_map(|told| [names(told, "joined"), names(told, "left")].concat());
    names.into_iter().any(|name| name == user)
}

fn count(packets: &[Value]) -> i64 {
    packets.last().unwrap()["memberCount"].as_i64().unwrap()
}

async fn watching(server: &Server) -> Client {
    let client = server.client("watching").await;
    client.join("r").await;
    until(&client, "joined", "watching").await;
    client
}

async fn leave(client: &Client) {
    client.ok("leaveRoom", json!({ "roomId": "r" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_room_hears_of_arrivals_and_departures() {
    let server = Server::start().await;
    let watching = watching(&server).await;
    let bob = server.client("bob").await;
    bob.join("r").await;
    let told = watching.next("presence").await;
    assert_eq!(
        told,
        json!({ "roomId": "r", "joined": ["bob"], "left": [], "memberCount": 2 })
    );
    leave(&bob).await;
    let told = watching.next("presence").await;
    assert_eq!(
        told,
        json!({ "roomId": "r", "joined": [], "left": ["bob"], "memberCount": 1 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_tabs_are_one_member() {
    let server = Server::start().await;
    let watching = watching(&server).await;
    let (tab, other_tab, barrier) = (
        server.client("bob").await,
        server.client("bob").await,
        server.client("cid").await,
    );
    tab.join("r").await;
    until(&watching, "joined", "bob").await;
    assert_eq!(other_tab.join("r").await["memberCount"], 2);
    leave(&tab).await;
    barrier.join("r").await;
    let packets = until(&watching, "joined", "cid").await;
    assert!(!named(&packets, "bob"), "{packets:?}");
    assert_eq!(count(&packets), 3);
    leave(&other_tab).await;
    assert_eq!(count(&until(&watching, "left", "bob").await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_leaves_or_disconnects_is_gone_at_once() {
    let server = Server::on(Database::sqlite(), &[LONG_GRACE]).await;
    let watching = watching(&server).await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    let mut cid = raw_member(&server, "cid", "r").await;
    for client in [&ann, &bob] {
        client.join("r").await;
    }
    while watching.next("presence").await["memberCount"] != 4 {}
    leave(&ann).await;
    assert_eq!(count(&until(&watching, "left", "ann").await), 3);
    bob.disconnect().await;
    assert_eq!(count(&until(&watching, "left", "bob").await), 2);
    cid.send("41".into()).await;
    assert_eq!(count(&until(&watching, "left", "cid").await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnecting_user_leaves_all_rooms() {
    let server = Server::on(Database::sqlite(), &[LONG_GRACE]).await;
    let watching = server.client("watching").await;
    let bob = server.client("bob").await;
    for room in ["r", "s"] {
        watching.join(room).await;
        bob.join(room).await;
        while !named(&[watching.next("presence").await], "bob") {}
    }
    bob.disconnect().await;
    let mut rooms = HashSet::new();
    while rooms.len() < 2 {
        let told = watching.next("presence").await;
        if names(&told, "left") == ["bob"] {
            rooms.insert(told["roomId"].to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_broken_connection_is_gone_after_the_grace() {
    const GRACE: Duration = Duration::from_millis(500);
    let server = Server::on(Database::sqlite(), &["--presence-grace-ms=500"]).await;
    let watching = watching(&server).await;
    let bob = raw_member(&server, "bob", "r").await;
    until(&watching, "joined", "bob").await;
    let broken = Instant::now();
    drop(bob);
    let packets = until(&watching, "left", "bob").await;
    assert!(broken.elapsed() >= GRACE, "{:?}", broken.elapsed());
    assert_eq!(count(&packets), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_returns_within_the_grace_was_never_away() {
    let server = Server::on(Database::sqlite(), &[LONG_GRACE]).await;
    let watching = watching(&server).await;
    let (bob, barrier) = (
        raw_member(&server, "bob", "r").await,
        server.client("cid").await,
    );
    until(&watching, "joined", "bob").await;
    drop(bob);
    barrier.join("r").await;
    let mut packets = until(&watching, "joined", "cid").await;
    assert_eq!(count(&packets), 3);
    let back = raw_member(&server, "bob", "r").await;
    leave(&barrier).await;
    packets.extend(until(&watching, "left", "cid").await);
    assert!(!named(&packets, "bob"), "{packets:?}");
    assert_eq!(count(&packets), 2);
    drop(back);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_go_out_together() {
    const INTERVAL: Duration = parlor::testing::room::INTERVAL;
    let server = Server::start().await;
    let watching = watching(&server).await;
    let users: HashSet<_> = (0..30).map(|number| format!("user {number}")).collect();
    let begun = Instant::now();
    let members = join_all(users.iter().map(|user| raw_member(&server, user, "r"))).await;
    let (mut packets, mut joined) = (0, vec![]);
    while joined.len() < members.len() {
        let told = watching.next("presence").await;
        packets += 1;
        joined.extend(names(&told, "joined"));
        assert_eq!(told["memberCount"], joined.len() + 1);
    }
    let most = 1 + begun.elapsed().as_millis() / INTERVAL.as_millis();
    assert!(packets <= most, "{packets} packets, at most {most}");
    assert_eq!(joined.into_iter().collect::<HashSet<_>>(), users);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_room_gets_only_the_count() {
    let server = Server::on(Database::sqlite(), &["--presence-names-limit=3"]).await;
    let watching = watching(&server).await;
    let mut members = vec![];
    for count in 2..=3 {
        members.push(raw_member(&server, &format!("user {count}"), "r").await);
        until(&watching, "joined", &format!("user {count}")).await;
    }
    let mut fourth = raw_member(&server, "user 4", "r").await;
    let fifth = raw_member(&server, "user 5", "r").await;
    let mut told = Value::Null;
    while told["memberCount"] != 5 {
        told = watching.next("presence").await;
        assert_eq!((&told["joined"], &told["left"]), (&json!([]), &json!([])));
    }
    fourth.call("leaveRoom", json!({ "roomId": "r" })).await;
    let told = watching.next("presence").await;
    assert_eq!(
        told,
        json!({ "roomId": "r", "joined": [], "left": [], "memberCount": 4 })
    );
    drop((members, fifth));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_lists_at_most_200_members() {
    let server = Server::start().await;
    let users: Vec<_> = (1..=205).map(|number| format!("user {number}")).collect();
    let mut members = vec![];
    for some in users.chunks(41) {
        members.extend(join_all(some.iter().map(|user| raw_member(&server, user, "r"))).await);
    }
    let joined = members[0].call("joinRoom", json!({ "roomId": "r" })).await;
    let listed: HashSet<_> = names(&joined, "members").into_iter().collect();
    assert_eq!((listed.len(), &joined["memberCount"]), (200, &json!(205)));
    assert!(listed.iter().all(|user| users.contains(user)));
}
