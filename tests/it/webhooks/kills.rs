//! Everything fails: the receiver, the connections, and the servers that send.

use std::{
    collections::HashMap,
    env,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use clap::Parser;
use nix::sys::signal::Signal;
use parlor::{
    App, Config,
    testing::{
        telemetry,
        webhooks::{AT_ONCE, Timing},
    },
};
use serde_json::{Value, json};
use testkit::process::{Announcement, Log, Process};
use tokio::process::Command;

use super::{
    Receiver,
    receiver::{Reply, Request},
    settings,
};
use crate::support::{self, Database, FLOODED, RawClient, Server};

/// The settings of a server in a process of its own, one a line.
const FLAGS: &str = "WEBHOOKS_TEST_FLAGS";
/// The name of the function that serves in it.
const SERVE: &str = "webhooks::kills::a_server_has_a_process_of_its_own";

const SERVERS: usize = 2;

/// The extent of a run. `WEBHOOKS_MESSAGES=20000` makes it a long one.
struct Extent {
    messages: usize,
    rooms: usize,
    kills: usize,
    restarts: usize,
}

impl Extent {
    fn from_env() -> Self {
        match env::var("WEBHOOKS_MESSAGES") {
            Err(_) => Self {
                messages: 1_500,
                rooms: 50,
                kills: 3,
                restarts: 1,
            },
            Ok(messages) => Self {
                messages: messages.parse().unwrap(),
                rooms: 200,
                kills: 15,
                restarts: 5,
            },
        }
    }
}

/// Serves in a process of its own, started by another test; else it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_a_process_of_its_own() {
    let Ok(flags) = env::var(FLAGS) else {
        return;
    };
    let flags = ["parlor"].into_iter().chain(flags.lines());
    let mut config = Config::try_parse_from(flags).unwrap();
    config.webhook_timing = Timing {
        lease: Duration::from_millis(1_200),
        renewal: Duration::from_millis(200),
        round: Duration::from_secs(60),
        timeout: Duration::from_millis(400),
        retries: vec![Duration::from_millis(20); 100_000],
    };
    telemetry::start(config.rust_log.clone(), config.log_format).unwrap();
    let store = App::open_store(&config).unwrap();
    let app = App::bind(&config, store).unwrap();
    tracing::info!(address = %app.local_addr().unwrap(), "listening");
    app.serve_until(std::future::pending()).await.unwrap();
}

/// Starts a server with short intervals that can be killed.
async fn start(database: &Database, receivers: &[&Receiver]) -> Process {
    let mut flags = settings(receivers).to_vec();
    flags.push(format!("--database-url={}", database.url()));
    flags.extend(["--host=127.0.0.1", "--port=0", "--log-format=json"].map(str::to_owned));
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", SERVE, "--nocapture"])
        .stdout(Stdio::null())
        .env(FLAGS, flags.join("\n"));
    let spawning = Process::spawn(command, Announcement::Ready, Log::Keep);
    spawning.await.unwrap()
}

/// Three of ten requests fail, and one has no answer.
fn unreliable(_: &Request) -> Reply {
    match fastrand::u8(..10) {
        0..3 => Reply::Status(500),
        3 => Reply::Hang,
        _ => Reply::Status(204),
    }
}

/// Sends messages into all rooms in turn.
async fn talk(address: SocketAddr, messages: usize, rooms: usize) {
    let mut client = RawClient::connect(address, "ann").await;
    for room in 0..rooms {
        let room = json!({ "roomId": room.to_string() });
        client.call("joinRoom", room).await;
    }
    for number in 0..messages {
        let room = (number % rooms).to_string();
        let message = json!({ "roomId": room, "message": number.to_string() });
        let sent = client.call("sendMessage", message).await;
        assert_eq!(sent["status"], "ok", "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_arrives_in_order_though_receivers_and_senders_fail() {
    let extent = Extent::from_env();
    let database = Database::postgres().await;
    let chat = Server::on(database.shared(), &[FLOODED]).await;
    let mut receiver = Receiver::deciding(unreliable).await;
    let dead = Receiver::deciding(|_| Reply::Hang).await;
    let mut senders = vec![];
    for _ in 0..SERVERS {
        senders.push(start(&database, &[&receiver, &dead]).await);
    }
    let begun = Instant::now();
    let talking = tokio::spawn(talk(chat.address(), extent.messages, extent.rooms));
    let faults = extent.kills + extent.restarts;
    for fault in 1..=faults {
        let share = extent.messages * fault / (faults + 1);
        until(&receiver, share).await;
        if fault % (faults / extent.restarts) == 0 {
            receiver.restart().await;
        } else {
            let killed = senders.remove(0);
            killed.signal(Signal::SIGKILL);
            killed.ended().await;
            senders.push(start(&database, &[&receiver, &dead]).await);
        }
    }
    support::within_deadline("the talk", talking).await.unwrap();
    until(&receiver, extent.messages).await;
    let taken = receiver.taken();
    let first = first_deliveries(&taken);
    println!(
        "{} messages in {} rooms, {} kills, {} restarts: {:?}, {} requests, {} repeated, {} to the dead receiver",
        extent.messages,
        extent.rooms,
        extent.kills,
        extent.restarts,
        begun.elapsed(),
        receiver.requests().len(),
        taken.len() - extent.messages,
        dead.requests().len(),
    );
    assert_eq!(first.values().map(Vec::len).sum::<usize>(), extent.messages);
    for seqs in first.values() {
        assert!(seqs.iter().copied().eq(1..=seqs.len() as i64), "{seqs:?}");
    }
    let repeated = taken.len() - extent.messages;
    assert!(repeated <= faults * AT_ONCE, "{repeated} repeated");
    let is_long = extent.messages >= 20_000;
    assert!(
        !is_long || repeated * 50 < extent.messages,
        "{repeated} repeated"
    );
    // Each kill ended a turn of the endpoint's sender.
    let turns = format!(
        "SELECT 1 / (min(epoch) > {})::int FROM webhook_endpoints",
        extent.kills / SERVERS
    );
    database.execute(&turns).await;
}

/// Waits until a number of different events have arrived.
async fn until(receiver: &Receiver, count: usize) {
    // The deadline is one of progress: a long run has many of them.
    let mut arrived = 0;
    while arrived < count {
        support::eventually("another event", async || {
            let taken = receiver.taken();
            let ids: std::collections::HashSet<_> = taken.iter().map(|(id, _)| id).collect();
            let is_further = ids.len() > arrived;
            arrived = ids.len();
            is_further
        })
        .await;
    }
}

/// Returns the messages of each room in the order of their first deliveries.
fn first_deliveries(taken: &[(String, Value)]) -> HashMap<&str, Vec<i64>> {
    let mut rooms = HashMap::<_, Vec<i64>>::new();
    for (_, event) in taken {
        let seqs = rooms
            .entry(event["data"]["roomId"].as_str().unwrap())
            .or_default();
        let seq = event["data"]["seq"].as_i64().unwrap();
        if !seqs.contains(&seq) {
            seqs.push(seq);
        }
    }
    rooms
}
