//! The presence of rooms and users on all servers, and the end of users' connections.

use serde_json::{Value, json};

use super::{Backend, WITH_KEY};
use crate::{
    nodes::engine::Engine,
    support::{Database, Server, eventually},
};

/// Starts two servers that hear each other, with a backend of each.
async fn two(flags: &[&str]) -> ([Server; 2], [Backend; 2]) {
    let database = Database::postgres().await;
    let shared = database.shared();
    let flags = [&[WITH_KEY], flags].concat();
    let servers = [
        Server::on(database, &flags).await,
        Server::on(shared, &flags).await,
    ];
    let backends = [Backend::of(&servers[0]), Backend::of(&servers[1])];
    (servers, backends)
}

async fn presence(backend: &Backend, query: (&str, &str)) -> Value {
    let answer = backend.get("/presence", &[query]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

async fn until_present(backend: &Backend, room: &str, users: &[&str]) {
    eventually("the members to be known", async || {
        let present = presence(backend, ("roomId", room)).await;
        let mut members: Vec<_> = present["members"].as_array().unwrap().clone();
        members.sort_by_key(Value::to_string);
        members == users && present["memberCount"] == users.len()
    })
    .await;
}

async fn both_tell_of_rooms(flags: &[&str]) {
    let ([first, second], backends) = two(flags).await;
    let ann = first.client("ann").await;
    ann.join("r").await;
    let bob = second.client("bob").await;
    bob.join("r").await;
    let cid = second.client("cid").await;
    cid.join("elsewhere").await;
    for backend in &backends {
        until_present(backend, "r", &["ann", "bob"]).await;
        // The room is active on one of the servers only.
        until_present(backend, "elsewhere", &["cid"]).await;
        until_present(backend, "nowhere", &[]).await;
    }
    bob.ok("leaveRoom", json!({ "roomId": "r" })).await;
    cid.disconnect().await;
    for backend in &backends {
        until_present(backend, "r", &["ann"]).await;
        until_present(backend, "elsewhere", &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_tells_of_all_rooms() {
    both_tell_of_rooms(&["--presence-grace-ms=0"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_tells_of_all_rooms_by_redis() {
    let bus = Engine::redis();
    let flags = bus.flags(&["--presence-grace-ms=0"]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    both_tell_of_rooms(&flags).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_tells_of_the_connections_of_a_user() {
    let ([first, second], backends) = two(&[]).await;
    let tabs = [
        first.client("ann").await,
        first.client("ann").await,
        second.client("ann").await,
    ];
    for (tab, room) in tabs.iter().zip(["a", "b", "c"]) {
        tab.join(room).await;
    }
    first.client("bob").await.join("a").await;
    for backend in &backends {
        assert_eq!(
            presence(backend, ("userId", "ann")).await,
            json!({ "userId": "ann", "connections": 3, "rooms": ["a", "b", "c"] })
        );
        assert_eq!(
            presence(backend, ("userId", "nobody")).await["connections"],
            0
        );
    }
    tabs[1].disconnect().await;
    eventually("the tab to be gone", async || {
        presence(&backends[1], ("userId", "ann")).await["rooms"] == json!(["a", "c"])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_in_many_rooms_with_long_names_is_found() {
    let ([first, _second], backends) = two(&[]).await;
    let ann = first.client("ann").await;
    for number in 0..30 {
        ann.join(&format!("{number:02}{}", r#"\"""#.repeat(42)))
            .await;
    }
    let found = presence(&backends[1], ("userId", "ann")).await;
    assert_eq!(
        (
            &found["connections"],
            found["rooms"].as_array().unwrap().len()
        ),
        (&json!(1), 20)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_disconnected_on_every_server_and_nobody_else_is() {
    let ([first, second], [backend, _]) = two(&[]).await;
    let mut tabs = [
        first.raw("ann").await,
        first.raw("ann").await,
        second.raw("ann").await,
    ];
    let mut bob = second.raw("bob").await;
    for client in tabs.iter_mut().chain([&mut bob]) {
        let joined = client.call("joinRoom", json!({ "roomId": "r" })).await;
        assert_eq!(joined["status"], "ok", "{joined}");
    }
    let ended = backend
        .ok("POST", "/disconnect", json!({ "userId": "ann" }))
        .await;
    assert_eq!(
        ended,
        json!({ "userId": "ann", "connections": 3, "rooms": ["r"] })
    );
    for tab in &mut tabs {
        let error = tab.next("error").await;
        let (event, code) = (&error["event"], &error["error"]["code"]);
        assert_eq!((event, code), (&json!("connect"), &json!("FORBIDDEN")));
        // The packet of a disconnection, after which a stock client stays away.
        assert_eq!(tab.frame().await, "41");
    }
    let message = json!({ "roomId": "r", "message": "still here" });
    assert_eq!(bob.call("sendMessage", message).await["status"], "ok");
    let again = backend
        .ok("POST", "/disconnect", json!({ "userId": "ann" }))
        .await;
    assert_eq!(again["connections"], 0);
    // Nothing keeps the user from coming back.
    let mut back = first.raw("ann").await;
    back.call("joinRoom", json!({ "roomId": "r" })).await;
    let present = presence(&backend, ("userId", "ann")).await;
    assert_eq!(present["connections"], 1);
}
