//! Signals between servers.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Instant,
};

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::{all, member};
use crate::{
    nodes::{engine::Engine, lossy::Lossy, until_well},
    support::{Database, Process, RawClient, Server, figures::SCRAPED, raw::Packet},
};

/// The members of shared rooms who signal to one another, and those in rooms of their own.
const PAIRS_IN_ROOMS: usize = 40;
const PAIRS_ALONE: usize = 10;
const IN_ROOM: usize = 10;

/// The signals of each member, and those on their way at a time.
const SIGNALS: usize = 200;
const AT_ONCE: usize = 10;

const NONE_DROPPED: [&str; 3] = [
    "parlor_bus_dropped_signals_total",
    "parlor_dropped_signals_total",
    "parlor_cut_clients_total",
];

/// Returns the text of a signal: mostly short, sometimes up to 16 kB of JSON.
fn text(sender: &str, number: usize) -> String {
    let mut hasher = DefaultHasher::new();
    (sender, number).hash(&mut hasher);
    let chance = hasher.finish() as usize;
    let pieces = match chance % 10 {
        0 => chance / 10 % 680,
        1..4 => chance / 10 % 200,
        _ => chance / 10 % 5,
    };
    // 24 bytes of JSON.
    format!("{chance:016x}\"\\é\n").repeat(pieces)
}

fn signal(room: &str, to: Option<&str>, sender: &str, number: usize) -> Value {
    let data = json!({ "number": number, "text": text(sender, number) });
    json!({ "roomId": room, "type": "t", "data": data, "to": to })
}

/// A member, and the other one of its pair.
struct Half {
    client: RawClient,
    name: String,
    other: String,
    sent: usize,
    heard: usize,
}

impl Half {
    async fn join(server: &Server, name: String, other: String, room: &str) -> Self {
        Self {
            client: member(server, &name, room).await,
            name,
            other,
            sent: 0,
            heard: 0,
        }
    }

    async fn emit(&mut self, room: &str, to_all: bool) {
        for number in self.sent..self.sent + AT_ONCE {
            let to = (!to_all).then_some(self.other.as_str());
            let payload = signal(room, to, &self.name, number);
            self.client.emit("signal", &payload).await;
        }
        self.sent += AT_ONCE;
        self.client.flush().await;
    }

    /// Waits for the acks of all of its signals, and for all of the other one's: in order, each once.
    async fn take(&mut self) {
        let mut acked = 0;
        while acked < AT_ONCE || self.heard < self.sent {
            match self.client.packet().await {
                Packet::Ack(_, answer) => {
                    assert_eq!(answer, json!({ "status": "ok" }));
                    acked += 1;
                }
                Packet::Event(event, told) if event == "signal" => {
                    assert_eq!(told["userId"], self.other.as_str());
                    let expected = text(&self.other, self.heard);
                    assert_eq!(
                        told["data"],
                        json!({ "number": self.heard, "text": expected })
                    );
                    self.heard += 1;
                }
                Packet::Event(..) => {}
                Packet::Other(frame) => panic!("{frame}"),
            }
        }
    }
}

/// Lets a pair on two servers signal to each other.
async fn talk(servers: Arc<[Server; 2]>, pair: usize) {
    let is_alone = pair >= PAIRS_IN_ROOMS;
    let room = if is_alone {
        format!("alone {pair}")
    } else {
        format!("room {}", pair / IN_ROOM)
    };
    let names = [format!("ann {pair}"), format!("bob {pair}")];
    let [ann, bob] = names;
    let mut one = Half::join(&servers[0], ann.clone(), bob.clone(), &room).await;
    let mut other = Half::join(&servers[1], bob, ann, &room).await;
    while one.sent < SIGNALS {
        one.emit(&room, is_alone).await;
        other.emit(&room, is_alone).await;
        tokio::join!(one.take(), other.take());
    }
}

/// Checks that a client has heard no signal.
async fn assert_deaf(mut client: RawClient) {
    let id = client.emit("barrier", &json!({})).await;
    client.flush().await;
    let (before, _) = client.until_ack(id).await;
    let is_signal =
        |packet: &&Packet| matches!(packet, Packet::Event(event, _) if event == "signal");
    assert_eq!(before.iter().find(is_signal), None);
}

async fn ten_thousand_each_way(engine: Engine) {
    let flags = engine.flags(&[SCRAPED]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let database = engine.database().await;
    let servers = Arc::new([
        Server::on(database.shared(), &flags).await,
        Server::on(database.shared(), &flags).await,
    ]);
    let mut others = vec![];
    for server in servers.iter() {
        until_well(server).await;
        others.push(member(server, "third", "room 0").await);
        others.push(member(server, "outsider", "elsewhere").await);
    }
    let begun = Instant::now();
    let pairs = 0..PAIRS_IN_ROOMS + PAIRS_ALONE;
    let talks = pairs.map(|pair| tokio::spawn(talk(servers.clone(), pair)));
    try_join_all(talks).await.unwrap();
    let elapsed = begun.elapsed();
    println!("{} signals each way in {elapsed:?}", 50 * SIGNALS);
    for other in others {
        assert_deaf(other).await;
    }
    for server in servers.iter() {
        let figures = server.figures().await;
        for series in NONE_DROPPED {
            assert_eq!(figures.get(series), 0.0, "{series}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_signals_each_way_arrive_once_in_order_and_at_nobody_else_by_postgres() {
    ten_thousand_each_way(Engine::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_signals_each_way_arrive_once_in_order_and_at_nobody_else_by_redis() {
    ten_thousand_each_way(Engine::redis()).await;
}

/// Emits signals and, once they are acked, last ones until one is heard; checks the order.
async fn in_order_without(
    ann: &mut RawClient,
    bob: &mut RawClient,
    disturb: impl AsyncFn(),
) -> usize {
    for number in 0..SIGNALS / 2 {
        let payload = signal("r", None, "ann", number);
        assert_eq!(all(ann, [payload]).await[0]["status"], "ok");
        if number == SIGNALS / 4 {
            disturb().await;
        }
    }
    let (mut heard, mut next) = (0, 0);
    loop {
        all(ann, [json!({ "roomId": "r", "type": "last", "data": {} })]).await;
        let barrier = bob.emit("barrier", &json!({})).await;
        bob.flush().await;
        let (before, _) = bob.until_ack(barrier).await;
        for packet in before {
            match packet {
                Packet::Event(event, told) if event == "signal" => {
                    if told["type"] == "last" {
                        return heard;
                    }
                    let number = told["data"]["number"].as_u64().unwrap() as usize;
                    assert!(number >= next, "{number} after {next}");
                    assert_eq!(told["data"]["text"], text("ann", number));
                    (heard, next) = (heard + 1, number + 1);
                }
                _ => {}
            }
        }
    }
}

async fn lossy(engine: Engine) {
    let flags = engine.flags(&[]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let database = engine.database().await;
    let mut servers = vec![];
    for _ in 0..2 {
        let around = |inner| Lossy::around(inner, Some(2));
        servers.push(Server::around_bus(database.shared(), &flags, around).await);
    }
    let mut ann = member(&servers[0], "ann", "r").await;
    let mut bob = member(&servers[1], "bob", "r").await;
    let heard = in_order_without(&mut ann, &mut bob, async || ()).await;
    println!("{heard} of {} heard", SIGNALS / 2);
    assert!(heard < SIGNALS / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_keep_their_order_though_the_bus_loses_half() {
    lossy(Engine::postgres().await).await;
    lossy(Engine::redis()).await;
}

async fn disturbed(engine: Engine) {
    let flags = engine.flags(&[]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let database = engine.database().await;
    let servers = [
        Server::on(database.shared(), &flags).await,
        Server::on(database.shared(), &flags).await,
    ];
    let mut ann = member(&servers[0], "ann", "r").await;
    let mut bob = member(&servers[1], "bob", "r").await;
    let kill = async || assert!(engine.kill_listeners().await > 0);
    let heard = in_order_without(&mut ann, &mut bob, kill).await;
    println!("{heard} of {} heard", SIGNALS / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_keep_their_order_and_go_on_when_listeners_are_killed() {
    disturbed(Engine::postgres().await).await;
    disturbed(Engine::redis()).await;
}

/// Returns the number of rows with a text in any column of any table.
async fn stored(database: &Database, text: &str) -> i64 {
    let mut connection = crate::nodes::connect(database).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(tables.len() > 5, "{tables:?}");
    let mut found = 0;
    for table in tables {
        let count = format!("SELECT count(*) FROM \"{table}\" AS row WHERE row::text LIKE $1");
        found += sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(count))
            .bind(format!("%{text}%"))
            .fetch_one(&mut connection)
            .await
            .unwrap();
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn no_signal_is_stored_or_logged() {
    let database = Database::postgres().await;
    let flags = ["--rust-log=trace"];
    let processes = [
        Process::with(&database, &flags).await,
        Process::with(&database, &flags).await,
    ];
    let mut clients = vec![];
    for (process, user) in processes.iter().zip(["ann", "bob"]) {
        let mut client = RawClient::connect(process.address, user).await;
        client.call("joinRoom", json!({ "roomId": "r" })).await;
        let message = json!({ "roomId": "r", "message": "a kept word" });
        client.call("sendMessage", message).await;
        clients.push(client);
    }
    for size in [1, 15_000] {
        let data = json!({ "secretfield": "secretword", "text": "x".repeat(size) });
        let payload = json!({ "roomId": "r", "type": "secrettype", "data": data });
        all(&mut clients[0], [payload]).await;
        assert_eq!(clients[1].next("signal").await["data"], data);
        all(
            &mut clients[0],
            [json!({ "roomId": "r", "type": "secrettype", "data": "secretword" })],
        )
        .await;
    }
    assert!(stored(&database, "a kept word").await >= 2);
    assert_eq!(stored(&database, "secret").await, 0);
    for process in processes {
        process.signal(nix::sys::signal::Signal::SIGTERM);
        let (status, log) = process.ended().await;
        assert!(status.success());
        assert!(log.contains("stopped"), "{log}");
        for secret in ["secretword", "secretfield", "secrettype"] {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None);
        }
    }
}
