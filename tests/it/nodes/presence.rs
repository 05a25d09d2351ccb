//! Presence between servers.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use parlor::testing::room::INTERVAL;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{
    engine::{Engine, conformance},
    servers, until_well,
    watcher::{Watcher, set},
};
use crate::support::{
    Database, Process, Server, eventually, pgbouncer::PgBouncer, postgres::Postgres,
    within_deadline,
};

conformance!(
    members_on_all_servers_are_members_of_one_room,
    a_user_on_two_servers_is_one_member_until_it_has_left_both,
    a_client_that_comes_back_on_another_server_never_left,
    members_of_a_large_room_are_counted_and_not_named,
    the_members_of_a_killed_server_leave_once_unless_they_come_back,
    a_server_that_stood_still_has_no_ghosts,
    presence_is_the_truth_whenever_joins_and_leaves_rest,
    a_storm_of_joins_and_leaves_is_told_in_few_packets,
);

const GRACE: Duration = Duration::from_secs(3);
const SHORT_GRACE: &str = "--presence-grace-ms=3000";

/// Starts servers that hear each other.
pub async fn well_servers(database: Database, count: usize, flags: &[&str]) -> Vec<Server> {
    let servers = servers(database, count, flags).await;
    for server in &servers {
        until_well(server).await;
    }
    servers
}

async fn servers_on(engine: &Engine, count: usize, flags: &[&str]) -> Vec<Server> {
    let flags = engine.flags(flags);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    well_servers(engine.database().await, count, &flags).await
}

/// Starts a server as a process of its own.
async fn process(engine: &Engine, database: &Database, flags: &[&str]) -> Process {
    let flags = engine.flags(flags);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    Process::with(database, &flags).await
}

async fn two_servers(engine: &Engine, flags: &[&str]) -> Vec<Server> {
    servers_on(engine, 2, flags).await
}

async fn members_on_all_servers_are_members_of_one_room(engine: Engine) {
    let servers = two_servers(&engine, &[]).await;
    let mut ann = Watcher::join(servers[0].address(), "ann", "r").await;
    ann.until(|ann| ann.joined == ["ann"]).await;
    eventually("the other server to know of ann", async || {
        let mut bob = Watcher::join(servers[1].address(), "bob", "r").await;
        let is_whole = bob.members == set(&["ann", "bob"]) && bob.count == 2;
        bob.leave("r").await;
        is_whole
    })
    .await;
    let mut bob = Watcher::join(servers[1].address(), "bob", "r").await;
    ann.until_members(&["ann", "bob"]).await;
    bob.leave("r").await;
    ann.until_members(&["ann"]).await;
}

async fn a_user_on_two_servers_is_one_member_until_it_has_left_both(engine: Engine) {
    let servers = two_servers(&engine, &[]).await;
    let mut ann = Watcher::join(servers[0].address(), "ann", "r").await;
    let mut bobs = [
        Watcher::join(servers[0].address(), "bob", "r").await,
        Watcher::join(servers[1].address(), "bob", "r").await,
    ];
    // The news of dan brings that of the second bob.
    let _dan = Watcher::join(servers[1].address(), "dan", "r").await;
    ann.until_members(&["ann", "bob", "dan"]).await;
    bobs[0].leave("r").await;
    let _cid = Watcher::join(servers[1].address(), "cid", "r").await;
    ann.until_members(&["ann", "bob", "cid", "dan"]).await;
    assert!(!ann.left.contains(&"bob".into()), "{:?}", ann.left);
    bobs[1].leave("r").await;
    ann.until(|ann| ann.left.contains(&"bob".into())).await;
}

async fn a_client_that_comes_back_on_another_server_never_left(engine: Engine) {
    let servers = two_servers(&engine, &[SHORT_GRACE]).await;
    let mut ann = Watcher::join(servers[1].address(), "ann", "r").await;
    // Nobody else is in the room on the first server.
    let bob = Watcher::join(servers[0].address(), "bob", "r").await;
    ann.until_members(&["ann", "bob"]).await;
    drop(bob);
    // Long enough for the other server to hear of it, and less than the grace period.
    ann.settle(GRACE / 2).await;
    let bob = Watcher::join(servers[1].address(), "bob", "r").await;
    ann.settle(GRACE).await;
    Watcher::join(servers[0].address(), "cid", "r").await;
    ann.until(|ann| ann.joined.contains(&"cid".into())).await;
    assert!(!ann.left.contains(&"bob".into()), "{:?}", ann.left);
    drop(bob);
    ann.until(|ann| ann.left.contains(&"bob".into())).await;
}

async fn members_of_a_large_room_are_counted_and_not_named(engine: Engine) {
    let servers = two_servers(&engine, &["--presence-names-limit=3"]).await;
    let mut crowd = vec![];
    for user in ["a", "b", "c", "d"] {
        crowd.push(Watcher::join(servers[0].address(), user, "r").await);
    }
    let mut eve = Watcher::join(servers[1].address(), "eve", "r").await;
    eve.until(|eve| eve.count == 5).await;
    crowd[0].until(|first| first.count == 5).await;
    crowd[3].leave("r").await;
    crowd[2].leave("r").await;
    for watcher in [&mut eve, &mut crowd[0]] {
        watcher.until(|seen| seen.count == 3).await;
    }
    let eve = Watcher::join(servers[1].address(), "eve", "r").await;
    assert_eq!(eve.members, set(&["a", "b", "eve"]));
}

/// Without a connection that can hold a lock, servers write their signs of life.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_transaction_pooler_presence_speaks_of_all_servers_too() {
    let pooler = PgBouncer::start("transaction", "default_pool_size = 5");
    let database = Database::postgres().await.behind(&pooler);
    let mut servers = servers(database, 2, &[]).await;
    let mut ann = Watcher::join(servers[0].address(), "ann", "r").await;
    let _bob = Watcher::join(servers[1].address(), "bob", "r").await;
    ann.until_members(&["ann", "bob"]).await;
    // Longer than a server may be absent.
    ann.settle(Duration::from_secs(8)).await;
    assert_eq!(ann.left, [""; 0]);
    servers.pop().unwrap().stop().await.1.unwrap();
    ann.until_members(&["ann"]).await;
}

const CROWD: usize = 100;
const ROOMS: usize = 3;
/// The members that come back on other servers.
const BACK: usize = 10;

/// Joins all rooms' members on one server.
async fn crowds(address: SocketAddr) -> Vec<Vec<Watcher>> {
    let crowd = |room: usize| {
        let members = (0..CROWD).map(move |number| async move {
            Watcher::join(address, &number.to_string(), &room.to_string()).await
        });
        join_all(members)
    };
    join_all((0..ROOMS).map(crowd)).await
}

async fn the_members_of_a_killed_server_leave_once_unless_they_come_back(engine: Engine) {
    let database = engine.database().await;
    let mut servers = vec![];
    for _ in 0..3 {
        servers.push(process(&engine, &database, &["--max-connections-per-address=0"]).await);
    }
    let killed = servers.pop().unwrap();
    let mut watchers = vec![];
    for server in &servers {
        for room in 0..ROOMS {
            watchers.push(Watcher::join(server.address, "watching", &room.to_string()).await);
        }
    }
    let crowds = crowds(killed.address).await;
    for watcher in &mut watchers {
        watcher.until(|seen| seen.count == CROWD + 1).await;
    }
    killed.signal(Signal::SIGKILL);
    let killed_at = Instant::now();
    drop(crowds);
    let mut back = vec![];
    for room in 0..ROOMS {
        for number in 0..BACK {
            let address = servers[number % servers.len()].address;
            back.push(Watcher::join(address, &number.to_string(), &room.to_string()).await);
        }
    }
    for watcher in &mut watchers {
        watcher.until(|seen| seen.count == BACK + 1).await;
    }
    println!("gone after {:?}", killed_at.elapsed());
    for watcher in &mut watchers {
        watcher.settle(2 * INTERVAL).await;
        watcher.left.sort_unstable();
        let mut expected: Vec<_> = (BACK..CROWD).map(|number| number.to_string()).collect();
        expected.sort_unstable();
        assert_eq!(watcher.left, expected);
        assert_eq!(watcher.count, BACK + 1);
    }
    killed.ended().await;
}

/// Longer than a server may be absent.
const STOPPED: Duration = Duration::from_secs(9);

async fn a_server_that_stood_still_has_no_ghosts(engine: Engine) {
    let database = engine.database().await;
    let start = async || process(&engine, &database, &[SHORT_GRACE]).await;
    let [here, still] = [start().await, start().await];
    let mut ann = Watcher::join(here.address, "ann", "r").await;
    let bob = Watcher::join(still.address, "bob", "r").await;
    let cid = Watcher::join(still.address, "cid", "r").await;
    ann.until_members(&["ann", "bob", "cid"]).await;
    still.signal(Signal::SIGSTOP);
    drop((bob, cid));
    let mut bob = Watcher::join(here.address, "bob", "r").await;
    ann.settle(STOPPED).await;
    still.signal(Signal::SIGCONT);
    ann.until_members(&["ann", "bob"]).await;
    let dot = Watcher::join(still.address, "dot", "r").await;
    assert_eq!(dot.members, set(&["ann", "bob", "dot"]));
    bob.leave("r").await;
    ann.until_members(&["ann", "dot"]).await;
    assert_eq!(ann.left, ["cid", "bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_database_takes_no_member_away() {
    let mut postgres = Postgres::start(&[]);
    let servers = well_servers(Database::on(&postgres), 3, &[]).await;
    let users = ["0", "1", "2"];
    let mut watchers = vec![];
    for (server, user) in servers.iter().zip(users) {
        watchers.push(Watcher::join(server.address(), user, "r").await);
    }
    for watcher in &mut watchers {
        watcher.until_members(&users).await;
    }
    postgres = tokio::task::spawn_blocking(move || {
        postgres.crash();
        postgres
    })
    .await
    .unwrap();
    let back_at = Instant::now();
    for server in &servers {
        // A new room has nothing in memory but what it reads.
        eventually("the tables to be whole again", async || {
            let connection = &mut super::connect(&server.database).await;
            let rosters = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM rosters");
            rosters.fetch_one(connection).await.unwrap() == 3
        })
        .await;
        until_well(server).await;
    }
    println!("whole after {:?}", back_at.elapsed());
    // Longer than a server may be absent.
    let settled = watchers
        .iter_mut()
        .map(|watcher| watcher.settle(Duration::from_secs(9)));
    join_all(settled).await;
    for watcher in &watchers {
        assert_eq!(watcher.left, [""; 0]);
        assert_eq!(watcher.count, 3);
    }
    drop(postgres);
}

const TOGGLES: usize = 1_000;
const TOGGLES_BETWEEN_RESTS: usize = 100;
const USERS: usize = 10;

async fn presence_is_the_truth_whenever_joins_and_leaves_rest(engine: Engine) {
    let servers = two_servers(&engine, &[]).await;
    let mut random = fastrand::Rng::with_seed(14);
    let mut watchers = vec![];
    let mut clients = vec![];
    for server in &servers {
        watchers.push(Watcher::join(server.address(), "watching", "r").await);
        for user in 0..USERS {
            clients.push((user, server.raw(&user.to_string()).await, false));
        }
    }
    for toggle in 1..=TOGGLES {
        let place = random.usize(0..clients.len());
        let (_, client, is_in) = &mut clients[place];
        let event = if *is_in { "leaveRoom" } else { "joinRoom" };
        let answer = client.call(event, json!({ "roomId": "r" })).await;
        assert_eq!(answer["status"], "ok", "{answer}");
        *is_in = !*is_in;
        if toggle % TOGGLES_BETWEEN_RESTS == 0 {
            let present = clients.iter().filter(|(_, _, is_in)| *is_in);
            let mut truth: BTreeSet<_> = present.map(|(user, ..)| user.to_string()).collect();
            truth.insert("watching".into());
            for watcher in &mut watchers {
                let is_true = |seen: &Watcher| seen.members == truth && seen.count == truth.len();
                watcher.until(is_true).await;
            }
        }
    }
}

/// Joins and leaves a second, on all servers together.
const STORM: u32 = 300;
const STORM_TIME: Duration = Duration::from_secs(4);

async fn a_storm_of_joins_and_leaves_is_told_in_few_packets(engine: Engine) {
    let servers = servers_on(&engine, 3, &[]).await;
    let mut watcher = Watcher::join(servers[0].address(), "watching", "r").await;
    let began = Instant::now();
    let pause = Duration::from_secs(1) * u32::try_from(servers.len()).unwrap() / STORM;
    let storm = servers
        .iter()
        .enumerate()
        .map(|(place, server)| async move {
            let mut client = server.raw(&format!("restless {place}")).await;
            let mut changes = 0;
            while began.elapsed() < STORM_TIME {
                for event in ["joinRoom", "leaveRoom"] {
                    client.call(event, json!({ "roomId": "r" })).await;
                    changes += 1;
                    sleep(pause).await;
                }
            }
            changes
        });
    let watching = async {
        timeout(STORM_TIME, watcher.until(|_| false)).await.ok();
        watcher.until_members(&["watching"]).await;
    };
    let (changes, ()) = within_deadline("the storm's end", async {
        tokio::join!(join_all(storm), watching)
    })
    .await;
    let most = began.elapsed().div_duration_f64(INTERVAL) as usize + 2;
    let changes: usize = changes.iter().sum();
    println!("{changes} changes in {} packets", watcher.packets);
    assert!(watcher.packets <= most, "{} of {most}", watcher.packets);
    assert!(changes > 2 * watcher.packets, "{changes}");
}
