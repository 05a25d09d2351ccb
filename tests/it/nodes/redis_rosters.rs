//! Presence between servers with a Redis between them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use parlor::testing::bus::Roster;
use testkit::Redis;

use super::{engine::Engine, presence::well_servers, rosters::pair, watcher::Watcher};
use crate::support::{Database, eventually};

/// The key of the set of servers by default.
const SERVERS: &str = "{parlor:}:servers";

/// Returns the number of the rosters of all servers.
fn count_rosters(redis: &Redis) -> usize {
    let servers = redis.command(&["SMEMBERS", SERVERS]);
    let count = |server: &str| -> usize {
        let fields = redis.command(&["HLEN", &format!("{{parlor:}}:server:{server}")]);
        // One field is the revision.
        fields.parse::<usize>().unwrap().saturating_sub(1)
    };
    servers.lines().map(count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_redis_takes_no_member_away() {
    let mut redis = Redis::start(&[]);
    let flag = format!("--bus-url={}", redis.url());
    let servers = well_servers(Database::postgres().await, 3, &[&flag]).await;
    let users = ["0", "1", "2"];
    let mut watchers = vec![];
    for (server, user) in servers.iter().zip(users) {
        watchers.push(Watcher::join(server.address(), user, "r").await);
    }
    for watcher in &mut watchers {
        watcher.until_members(&users).await;
    }
    redis.kill();
    redis.start_again();
    let back_at = Instant::now();
    eventually("the rosters to be whole again", async || {
        count_rosters(&redis) == users.len()
    })
    .await;
    println!("whole after {:?}", back_at.elapsed());
    // Longer than a server may be absent.
    let settled = watchers
        .iter_mut()
        .map(|watcher| watcher.settle(Duration::from_secs(9)));
    join_all(settled).await;
    for watcher in &watchers {
        assert_eq!(watcher.left, [""; 0]);
        assert_eq!(watcher.count, users.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_server_is_listed_and_neither_alive_nor_read() {
    let engine = Engine::redis();
    let [a, b] = pair(&engine).await;
    let [a, b] = [a.rosters(), b.rosters()];
    let rosters = [("r".try_into().unwrap(), Roster::Counted(300))];
    for server in [a, b] {
        server.list(1, &rosters).await.unwrap();
    }
    let Engine::Redis(redis) = &engine else {
        unreachable!("a Redis");
    };
    let expired = format!("{{parlor:}}:server:{}", a.server_id().0);
    assert_eq!(redis.command(&["PEXPIRE", &expired, "0"]), "1");
    let seen = b.servers().await.unwrap();
    let is_alive = |server| seen.iter().find(|seen| seen.id == server).unwrap().is_alive;
    assert_eq!(
        [a, b].map(|server| is_alive(server.server_id())),
        [false, true]
    );
    // A server without its hash has to list itself again.
    let own = a.servers().await.unwrap();
    assert!(own.iter().all(|seen| seen.id != a.server_id()), "{own:?}");
    let read = a.read(&[rosters[0].0.clone()]).await.unwrap();
    assert_eq!(read.servers, [b.server_id()]);
    assert_eq!(read.rosters.len(), 1);
}

/// The user of the documentation may do what servers do, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_are_enough() {
    let page = std::fs::read_to_string("docs/operations.md").unwrap();
    let rights = page.split('`').find(|code| code.starts_with("+publish "));
    let rights = rights.expect("rights in the documentation");
    let redis = Redis::start(&[]);
    let words = ["ACL", "SETUSER", "ann", "on", ">secret"];
    redis.command(&Vec::from_iter(words.into_iter().chain(rights.split(' '))));
    let url = redis.url().replace("//", "//ann:secret@");
    let flag = format!("--bus-url={url}");
    let servers = well_servers(Database::postgres().await, 2, &[&flag]).await;
    let mut ann = Watcher::join(servers[0].address(), "ann", "r").await;
    let mut bob = Watcher::join(servers[1].address(), "bob", "r").await;
    for watcher in [&mut ann, &mut bob] {
        watcher.until_members(&["ann", "bob"]).await;
    }
    for server in servers {
        server.stop().await.1.unwrap();
    }
    assert_eq!(redis.command(&["ACL", "LOG"]), "");
}
