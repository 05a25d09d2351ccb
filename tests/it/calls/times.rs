//! The ends that nobody makes, with times moved in the database.

use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{FLAGS, ROOM, code, users};
use crate::support::{Client, Database, Process, Server};

/// The lease of a party.
const LEASE: Duration = Duration::from_secs(20);

/// Moves the end of the call into the past by some seconds, in the column and in what clients see.
async fn move_end(database: &Database, seconds: i64) {
    let sql = if database.url().starts_with("postgres") {
        format!(
            r#"UPDATE calls SET expires = expires - interval '{seconds} s', call = jsonb_set(call::jsonb, '{{expiresAt}}',
                to_jsonb(to_char((expires - interval '{seconds} s') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))::text"#
        )
    } else {
        format!(
            "UPDATE calls SET expires = expires - {seconds}000, call = json_set(call, '$.expiresAt',
                strftime('%Y-%m-%dT%H:%M:%fZ', (expires - {seconds}000) / 1000.0, 'unixepoch'))"
        )
    };
    database.execute(&sql).await;
}

/// Moves the time of the last heartbeat for a party.
async fn move_heartbeat(database: &Database, party: &str, seconds: i64) {
    let back = if database.url().starts_with("postgres") {
        format!("heartbeat_at - interval '{seconds} s'")
    } else {
        format!("heartbeat_at - {seconds}000")
    };
    let sql = format!("UPDATE call_parties SET heartbeat_at = {back} WHERE party_id = '{party}'");
    database.execute(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_rings_for_45_seconds_is_missed_on_each_kind_of_database() {
    for server in Server::on_each_kind().await {
        let ann = Client::in_room(&server, "ann").await;
        let bob = Client::in_room(&server, "bob").await;
        let started = ann.starts("c1", "p1").await;
        let time = |field: &str| {
            let text = started["call"][field].as_str().unwrap();
            chrono::DateTime::parse_from_rfc3339(text).unwrap()
        };
        let ring = time("expiresAt") - time("startedAt");
        assert_eq!(ring.num_milliseconds(), 45_000);
        move_end(&server.database, 45).await;
        let (reason, text) = bob.ended_with_message().await;
        assert_eq!((&*reason, &*text), ("missed", "Missed video call"));
        assert_eq!(code(&bob.answers("c1", "p2").await), "CONFLICT", "too late");
        assert_eq!(code(&bob.starts("c2", "p2").await), "ok");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_alone_for_60_seconds_ends_the_call_on_each_kind_of_database() {
    for server in Server::on_each_kind().await {
        let ann = Client::in_room(&server, "ann").await;
        let bob = Client::in_room(&server, "bob").await;
        ann.starts("c1", "p1").await;
        bob.answers("c1", "p2").await;
        ann.hangs_up("c1", "p1").await;
        move_end(&server.database, 60).await;
        let (reason, text) = ann.ended_with_message().await;
        assert_eq!(reason, "alone");
        assert!(text.starts_with("Video call, "), "{text}");
    }
}

/// The states in which somebody goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Ringing,
    Two,
    Three,
    Alone,
}

/// Brings a call into a state: ann starts it, and leaves the last one alone.
async fn bring(state: State, ann: &Client, bob: &Client, cid: &Client) {
    assert_eq!(code(&ann.starts("c1", "ann").await), "ok");
    if state != State::Ringing {
        assert_eq!(code(&bob.answers("c1", "bob").await), "ok");
    }
    if state == State::Three {
        assert_eq!(code(&cid.answers("c1", "cid").await), "ok");
    }
    if state == State::Alone {
        ann.hangs_up("c1", "ann").await;
    }
}

/// Checks how a call goes on after a party is gone for too long, and that another one can start.
async fn check_lost(database: &Database, state: State, party: &str, witness: &Client) {
    move_heartbeat(database, party, 20).await;
    match state {
        State::Ringing | State::Alone => assert_eq!(witness.ended().await, "lost", "{state:?}"),
        State::Two | State::Three => {
            let without = |call: &serde_json::Value| !users(call).contains(&party);
            let call = witness.call_until(without).await;
            assert_eq!(call["state"], "active", "{call}");
            assert_eq!(call["expiresAt"].is_string(), state == State::Two, "{call}");
            if state == State::Three {
                // It took 15 s at least: without heartbeats the others' leases would be nearly over.
                let store = database.store().await;
                let due = store.calls().unwrap().due(Some(LEASE), 9).await.unwrap();
                assert!(due[0].due_in.as_secs() >= 10, "{due:?}");
                return;
            }
            move_end(database, 60).await;
            assert_eq!(witness.ended().await, "alone");
        }
    }
    assert_eq!(code(&witness.starts("c2", "witness").await), "ok");
}

/// Lets a party's connection go in a state of the call.
async fn lose_connection((state, victim): (State, &str)) {
    let server = Server::on(Database::sqlite(), &FLAGS).await;
    let (ann, bob) = (
        Client::in_room(&server, "ann").await,
        Client::in_room(&server, "bob").await,
    );
    let cid = Client::in_room(&server, "cid").await;
    bring(state, &ann, &bob, &cid).await;
    let witness = Client::in_room(&server, "witness").await;
    match victim {
        "ann" => ann.disconnect().await,
        "bob" => bob.disconnect().await,
        _ => cid.disconnect().await,
    }
    // The others' leases are renewed, as their clients are there.
    check_lost(&server.database, state, victim, &witness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_whose_connection_is_gone_is_out_in_every_state_of_the_call() {
    let cases = [
        (State::Ringing, "ann"),
        (State::Two, "ann"),
        (State::Two, "bob"),
        (State::Three, "cid"),
        (State::Alone, "bob"),
    ];
    join_all(cases.map(lose_connection)).await;
}

/// Kills a party's server in a state of the call.
async fn lose_server((state, victim): (State, &str)) {
    let database = Database::postgres().await;
    let dying = Process::with(&database, &FLAGS).await;
    let other = Server::on(database.shared(), &FLAGS).await;
    let doomed = Client::connect(&format!("http://{}", dying.address), victim).await;
    doomed.join(ROOM).await;
    let rest = ["ann", "bob"].into_iter().find(|user| *user != victim);
    let safe = Client::in_room(&other, rest.unwrap()).await;
    let cid = Client::in_room(&other, "cid").await;
    let (ann, bob) = if victim == "ann" {
        (&doomed, &safe)
    } else {
        (&safe, &doomed)
    };
    bring(state, ann, bob, &cid).await;
    let witness = Client::in_room(&other, "witness").await;
    dying.signal(Signal::SIGKILL);
    check_lost(&database, state, victim, &witness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parties_of_a_server_that_dies_are_out_in_every_state_of_the_call() {
    let cases = [
        (State::Ringing, "ann"),
        (State::Two, "ann"),
        (State::Three, "ann"),
        (State::Alone, "bob"),
    ];
    join_all(cases.map(lose_server)).await;
}

/// Its heartbeats may have failed, and another server's, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_just_started_puts_nobody_out() {
    let first = Server::on(Database::postgres().await, &FLAGS).await;
    let ann = Client::in_room(&first, "ann").await;
    ann.starts("c1", "ann").await;
    let (database, stopped) = first.stop().await;
    stopped.unwrap();
    move_heartbeat(&database, "ann", 60).await;
    move_end(&database, -600).await;
    let second = Server::on(database, &FLAGS).await;
    let keeper = second.database.store().await;
    let calls = keeper.calls().unwrap();
    assert_eq!(
        calls.due(Some(LEASE), 9).await.unwrap()[0].due_in.as_secs(),
        0
    );
    assert!(calls.due(None, 9).await.unwrap()[0].due_in.as_secs() > 600);
    let back = Client::in_room(&second, "ann").await;
    assert_eq!(
        users(&back.reads_call().await),
        ["ann"],
        "read out of the database"
    );
    let joined = back.answers("c1", "ann").await;
    assert_eq!((code(&joined), users(&joined)), ("ok", vec!["ann"]));
    assert!(calls.due(Some(LEASE), 9).await.unwrap()[0].due_in.as_secs() > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_comes_back_in_time_on_another_server_with_the_call_going_on() {
    let first = Server::on(Database::postgres().await, &FLAGS).await;
    let second = Server::on(first.database.shared(), &FLAGS).await;
    let ann = Client::in_room(&first, "ann").await;
    let bob = Client::in_room(&first, "bob").await;
    ann.starts("c1", "ann").await;
    let active = bob.answers("c1", "bob").await["call"].clone();
    bob.disconnect().await;
    move_heartbeat(&first.database, "bob", 10).await;
    let back = Client::in_room(&second, "bob").await;
    assert_eq!(back.answers("c1", "bob").await["call"], active);
    // It has come back with a heartbeat.
    let store = first.database.store().await;
    let due = store.calls().unwrap().due(Some(LEASE), 9).await.unwrap();
    assert!(due[0].due_in.as_secs() >= 12, "{due:?}");
    let cid = Client::in_room(&first, "cid").await;
    let joined = cid.answers("c1", "cid").await;
    assert_eq!(users(&joined), ["ann", "bob", "cid"]);
    let next = ann.next("roomChanged").await["room"]["call"].clone();
    let next = if next["parties"].as_array().unwrap().len() < 2 {
        ann.call_until(|call| users(call).len() > 1).await
    } else {
        next
    };
    assert!(users(&next).contains(&"bob"), "{next}");
    let other = Client::in_room(&second, "bob").await;
    let join = json!({ "roomId": ROOM, "callId": "c1", "partyId": "another" });
    assert_eq!(other.refused("joinCall", join).await, "CONFLICT");
}
