//! Connections that break again and again, and go on at another of several servers, while the servers
//! lose each other.

use std::time::Duration;

use testkit::Redis;
use tokio::time::sleep;

use super::{Member, Talk, cuts::seed, print_counts};
use crate::{
    nodes::engine::Engine,
    support::{
        Database, FLOODED, Process,
        proxy::{Plan, Proxy},
    },
};

const SERVERS: usize = 3;
const CLIENTS: usize = 60;
const ROOMS: usize = 20;
/// The messages of a client, unless `MOVES_SENDS` says otherwise.
const SENDS: usize = 100;
const CUTS: usize = 10;
/// Bytes between two cuts of a client's connections.
const BYTES: usize = 10_000;
/// The time between two losses of the bus.
const PAUSE: Duration = Duration::from_secs(2);

fn sends() -> usize {
    std::env::var("MOVES_SENDS").map_or(SENDS, |sends| sends.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn clients_that_move_between_servers_get_every_message_once_in_order_by_postgres() {
    let engine = Engine::postgres().await;
    let lose = async || assert!(engine.kill_listeners().await > 0);
    talk_on_the_move(&engine.database().await, &[], lose).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn clients_that_move_between_servers_get_every_message_once_in_order_by_redis() {
    let mut redis = Redis::start(&[]);
    let flag = format!("--bus-url={}", redis.url());
    let lose = async || {
        redis.kill();
        sleep(PAUSE / 10).await;
        redis.start_again();
    };
    talk_on_the_move(&Database::postgres().await, &[&flag], lose).await;
}

/// Lets clients talk, and loses the bus from time to time.
async fn talk_on_the_move(database: &Database, flags: &[&str], mut lose: impl AsyncFnMut()) {
    let seed = seed();
    println!("to repeat these cuts: FAULTS_SEED={seed}");
    let usual = [FLOODED, "--ping-interval-ms=1000", "--ping-timeout-ms=2000"];
    let flags = [&usual, flags].concat();
    let mut servers = vec![];
    for _ in 0..SERVERS {
        servers.push(Process::with(database, &flags).await);
    }
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let plan = Plan {
        cuts: CUTS,
        bytes: BYTES,
        seed,
    };
    let proxy = Proxy::start(&addresses, CLIENTS, plan).await;
    let urls = proxy
        .addresses
        .iter()
        .map(|address| format!("http://{address}"));
    let members = urls
        .enumerate()
        .map(|(number, url)| Member::numbered(number, ROOMS, url));
    let talk = Talk::start(&members.collect::<Vec<_>>(), sends());
    let mut losses = 0;
    let losing = async {
        loop {
            sleep(PAUSE).await;
            lose().await;
            losses += 1;
        }
    };
    let everybody = tokio::select! {
        everybody = talk.assert_nothing_lost_or_doubled(database) => everybody,
        () = losing => unreachable!(),
    };
    print_counts(
        &format!("{losses} losses of the bus, {:?}", proxy.cuts()),
        &everybody,
    );
    assert!(
        everybody.iter().all(|one| one.resumed > 0),
        "somebody was never cut off"
    );
    assert!(losses > 1, "{losses}");
}
