//! Several servers with a Redis between them.

use std::{sync::Arc, time::Duration};

use nix::sys::signal::Signal;
use parlor::testing::{
    bus::{self, Bus, KEEP_ALIVE, News, Settings},
    room::SWEEP_INTERVAL,
};
use testkit::Redis;
use tokio::time::{Instant, sleep};

use super::{
    bus::{Pair, room, seq},
    delivery::{PACE, everybody_gets_everything, talk_in_turn, typing_passes},
    engine::{kill_subscribers, on_redis},
    member, readiness, send, servers, until_well,
};
use crate::support::{Database, eventually, free_port, switch::Switch};

/// The longest time until a broken connection is noticed, as promised.
const NOTICED: Duration = Duration::from_secs(7);

/// The name of the channel by default.
const CHANNEL: &str = "{parlor:}:bus";

fn flag(redis: &Redis) -> String {
    format!("--bus-url={}", redis.url())
}

fn open(settings: &Settings) -> Arc<dyn Bus> {
    bus::open(settings, Default::default()).unwrap().unwrap()
}

/// Opens two ends of a bus, and waits until they hear each other.
async fn pair(url: &str) -> Pair {
    let settings = on_redis(url.to_owned(), "parlor", None);
    let pair = Pair {
        ends: [open(&settings), open(&settings)],
    };
    pair.until_well().await;
    pair.take_all().await;
    pair
}

async fn until_degraded(pair: &Pair) {
    eventually("both ends to be degraded", async || {
        !pair.ends.iter().any(|end| end.is_well())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_on_any_server_gets_every_message_once_and_in_order() {
    let redis = Redis::start(&[]);
    everybody_gets_everything(&[&flag(&redis)], Duration::ZERO, async |_| {
        std::future::pending().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_subscribers_are_killed() {
    let redis = Redis::start(&[]);
    let (mut rounds, mut killed) = (0, 0);
    let kill = async |_: &mut _| {
        killed += kill_subscribers(&redis);
        rounds += 1;
        sleep(Duration::from_millis(100)).await;
    };
    everybody_gets_everything(&[&flag(&redis)], PACE, kill).await;
    assert!(rounds > 4 && killed > 4, "{rounds} rounds, {killed} killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_redis_is_killed_and_started() {
    let mut redis = Redis::start(&[]);
    let flag = flag(&redis);
    let mut starts = 0;
    let restart = async |_: &mut _| {
        sleep(Duration::from_millis(150)).await;
        redis.kill();
        sleep(Duration::from_millis(150)).await;
        redis.start_again();
        starts += 1;
    };
    everybody_gets_everything(&[&flag], PACE, restart).await;
    assert!(starts > 1, "{starts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_while_redis_is_away_and_after_it_has_come_back() {
    let mut redis = Redis::start(&[]);
    redis.kill();
    let servers = servers(Database::postgres().await, 2, &[&flag(&redis)]).await;
    assert_eq!(readiness(&servers[0]).await, "ready\nbus: degraded\n");
    let mut ann = member(&servers[0], "ann", "r").await;
    let mut bob = member(&servers[1], "bob", "r").await;
    talk_in_turn(&mut ann, &mut bob, 0).await;
    redis.start_again();
    until_well(&servers[0]).await;
    until_well(&servers[1]).await;
    talk_in_turn(&mut ann, &mut bob, 2).await;
    redis.kill();
    talk_in_turn(&mut ann, &mut bob, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_seen_on_other_servers_by_all_but_the_typist() {
    let redis = Redis::start(&[]);
    typing_passes(&[&flag(&redis)]).await;
}

/// The commands of an idle server: the question for the role, and the looks at the other servers.
const KEEP_ALIVES: [&str; 5] = ["hello", "pexpire", "smembers", "hget", "hmget"];

/// Returns a Redis's number of calls of each command, without those that keep servers alive, and
/// those of these tests.
fn calls(redis: &Redis) -> Vec<String> {
    let stats = redis.command(&["INFO", "commandstats"]);
    let calls = stats.lines().filter_map(|line| line.split_once(",usec"));
    let calls = calls.filter_map(|(calls, _)| calls.strip_prefix("cmdstat_"));
    calls
        .filter(|calls| {
            let command = calls.split(':').next().unwrap();
            command != "info" && !KEEP_ALIVES.contains(&command)
        })
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_servers_publish_nothing_and_write_nothing() {
    let redis = Redis::start(&[]);
    let servers = servers(Database::postgres().await, 2, &[&flag(&redis)]).await;
    for server in &servers {
        until_well(server).await;
    }
    let mut ann = member(&servers[0], "ann", "r").await;
    let mut bob = member(&servers[1], "bob", "r").await;
    talk_in_turn(&mut ann, &mut bob, 0).await;
    let mut before = calls(&redis);
    // Reports of the last message may still come.
    eventually("the servers to be idle", async || {
        sleep(Duration::from_secs(1)).await;
        let now = calls(&redis);
        now == std::mem::replace(&mut before, now.clone())
    })
    .await;
    sleep(KEEP_ALIVE.max(SWEEP_INTERVAL) + Duration::from_secs(1)).await;
    assert_eq!(calls(&redis), before);
    send(&mut ann, "r", "hello").await;
    eventually("a report", async || calls(&redis) != before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_is_noticed_in_time() {
    let redis = Redis::start(&[]);
    let idle = pair(&redis.url()).await;
    let (frozen_at, any) = (Instant::now(), |heard: &News| heard.wakes.any);
    redis.signal(Signal::SIGSTOP);
    until_degraded(&idle).await;
    let noticed = frozen_at.elapsed();
    assert!(noticed < NOTICED, "{noticed:?}");
    redis.signal(Signal::SIGCONT);
    for end in [0, 1] {
        idle.until(end, any).await;
    }
    idle.until_well().await;
    idle.take_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_told_while_redis_is_away_are_sent_later() {
    let redis = Redis::start(&[]);
    let name = Switch::to(([127, 0, 0, 1], free_port()).into()).await;
    let teller = open(&on_redis(
        format!("redis://{}", name.address()),
        "parlor",
        None,
    ));
    let pair = Pair {
        ends: [teller, open(&on_redis(redis.url(), "parlor", None))],
    };
    eventually("the other end to be well", async || pair.ends[1].is_well()).await;
    pair.ends[0].tell(&room("a"), seq(1));
    // One of two connections is the listener's.
    eventually("attempts to send", async || name.failures() > 4).await;
    name.lead_to(redis.address());
    let is_told = |heard: &News| heard.wakes.rooms.get(&room("a")) == Some(&seq(1));
    pair.until(1, is_told).await;
}

/// A replica passes messages on to its own subscribers: servers connected to it hear themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_no_bus() {
    let (redis, primary) = (Redis::start(&[]), Redis::start(&[]));
    let pair = pair(&redis.url()).await;
    redis.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    until_degraded(&pair).await;
    redis.command(&["REPLICAOF", "NO", "ONE"]);
    pair.until_well().await;
    pair.take_all().await;
}

/// Both connections of a server have to move, also the one without an error.
#[tokio::test(flavor = "multi_thread")]
async fn servers_follow_a_name_to_the_new_primary() {
    let (old, new) = (Redis::start(&[]), Redis::start(&[]));
    let name = Switch::to(old.address()).await;
    let pair = pair(&format!("redis://{}", name.address())).await;
    name.lead_to(new.address());
    old.command(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    eventually("both servers to listen to the new primary", async || {
        let listeners = new.command(&["PUBSUB", "NUMSUB", CHANNEL]);
        listeners == format!("{CHANNEL}\n2")
    })
    .await;
    pair.until_well().await;
    pair.take_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_follow_the_sentinels_to_the_new_primary() {
    let redis = Redis::start(&[]);
    let port = redis.port().to_string();
    let _replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
    let sentinel = Redis::start_sentinel(&redis);
    eventually("the sentinel to know the replica", async || {
        sentinel
            .command(&["SENTINEL", "REPLICAS", "main"])
            .contains("master-link-status\nok")
    })
    .await;
    let login = ["ACL", "SETUSER", "ann", "on", ">a b", "+@all", "&*"];
    sentinel.command(&login);
    sentinel.command(&["ACL", "SETUSER", "default", "-role"]);
    let dead = Redis::start(&[]).url();
    let dead = dead.trim_start_matches("redis://");
    let pair = pair(&format!(
        "redis-sentinel://{dead},127.0.0.1:{}/main?sentinel_user=ann&sentinel_password=a%20b",
        sentinel.port()
    ))
    .await;
    drop(redis);
    until_degraded(&pair).await;
    pair.until_well().await;
    pair.take_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_needs_the_password_and_takes_it_from_the_url() {
    let redis = Redis::start(&["--requirepass", "a b"]);
    let url = |login: &str| redis.url().replace("//", &format!("//{login}"));
    pair(&url(":a%20b@")).await;
    let stranger = open(&on_redis(url(":wrong@"), "parlor", None));
    sleep(Duration::from_millis(300)).await;
    assert!(!stranger.is_well());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_speaks_tls_and_trusts_the_named_authority_only() {
    let redis = Redis::start_with_tls();
    let url = |rest: &str| format!("rediss://localhost:{}/{rest}", redis.port());
    pair(&url(&format!("?sslrootcert={}", redis.certificate()))).await;
    pair(&url("#insecure")).await;
    let careful = open(&on_redis(url(""), "parlor", None));
    sleep(Duration::from_millis(300)).await;
    assert!(!careful.is_well());
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_with_other_prefixes_share_a_redis_unheard() {
    let redis = Redis::start(&[]);
    let ours = pair(&redis.url()).await;
    let other = open(&on_redis(redis.url(), "other", None));
    eventually("the other chat's bus to be well", async || other.is_well()).await;
    other.tell(&room("a"), seq(1));
    other.close().await;
    ours.ends[0].tell(&room("b"), seq(1));
    let heard = ours.until(1, |heard| !heard.is_empty()).await;
    assert_eq!(heard.wakes.rooms, [(room("b"), seq(1))].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_payload_of_another_server_is_a_report_of_any_room() {
    let redis = Redis::start(&[]);
    let pair = pair(&redis.url()).await;
    let publish = |payload: &str| redis.command(&["PUBLISH", CHANNEL, payload]);
    let sender = "1 00000000-0000-0000-0000-000000000001";
    for payload in ["1 ", "2 \n1 a", "4 \n2 a"] {
        publish(&format!("{sender} {payload}"));
    }
    let is_last = |heard: &News| heard.wakes.rooms.get(&room("a")) == Some(&seq(2));
    assert!(pair.until(1, is_last).await.wakes.any);
    publish(&format!("{sender} 5 \n3 a"));
    let heard = pair.until(0, |heard| {
        heard.wakes.rooms.get(&room("a")) == Some(&seq(3))
    });
    heard.await;
    publish("2 a later version");
    pair.until(1, |heard| heard.wakes.any).await;
}
