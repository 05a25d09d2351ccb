//! Removals on several servers: the ack means that nobody removed hears anything, on any of them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use super::{create, member};
use crate::{
    nodes::{engine::Engine, lossy::Lossy},
    support::{Client, Database, FLOODED, RawClient, Server, eventually, raw::Packet},
};

const ROUNDS: usize = 20;

async fn on_engine(engine: &Engine) -> Vec<Server> {
    let database = engine.database().await;
    let flags = engine.flags(&[FLOODED]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let shared = database.shared();
    vec![
        Server::on(database, &flags).await,
        Server::on(shared, &flags).await,
    ]
}

async fn on_lossy_bus() -> Vec<Server> {
    let database = Database::postgres().await;
    let mut servers = vec![];
    for _ in 0..2 {
        let around = |inner| Lossy::around(inner, Some(2));
        servers.push(Server::around_bus(database.shared(), &[FLOODED], around).await);
    }
    servers
}

/// A client that joins a room again and again.
struct Stubborn {
    client: RawClient,
    entries: Arc<AtomicUsize>,
    heard: Vec<String>,
}

impl Stubborn {
    /// Joins until this is over. Returns all messages heard.
    async fn insist(mut self, is_over: Arc<AtomicBool>) -> Vec<String> {
        while !is_over.load(Ordering::Relaxed) {
            if self.join().await {
                self.entries.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.heard
    }

    async fn join(&mut self) -> bool {
        let join = json!({ "roomId": "r" });
        let id = self.client.emit("joinRoom", &join).await;
        self.client.flush().await;
        let (before, answer) = self.client.until_ack(id).await;
        for packet in before {
            if let Packet::Event(event, payload) = packet
                && event == "newMessage"
            {
                self.hear(&payload);
            }
        }
        for message in answer["messages"].as_array().into_iter().flatten() {
            self.hear(message);
        }
        answer["status"] == "ok"
    }

    fn hear(&mut self, message: &Value) {
        let text = message["message"].as_str().unwrap();
        self.heard.push(text.to_owned());
    }
}

/// Removes one user after another, each while it joins on every server. None hears what is said
/// afterwards, on whichever server.
async fn nothing_is_heard_after_a_removal(servers: &[Server], before: impl AsyncFn(usize)) {
    let ann = servers[0].client("ann").await;
    create(&ann, "r", &[]).await;
    ann.join("r").await;
    let speaker = servers[1].client("ann").await;
    speaker.join("r").await;
    ann.send("r", "to all").await;
    assert_eq!(speaker.next("newMessage").await["message"], "to all");
    for round in 0..ROUNDS {
        let (user, is_over) = (format!("user {round}"), Arc::new(AtomicBool::new(false)));
        let (mut entries, mut joining) = (vec![], vec![]);
        for server in servers {
            let stubborn = Stubborn {
                client: server.raw(&user).await,
                entries: Arc::default(),
                heard: vec![],
            };
            entries.push(stubborn.entries.clone());
            joining.push(tokio::spawn(stubborn.insist(is_over.clone())));
        }
        ann.ok("addMember", member("r", &user)).await;
        eventually("entries", async || {
            let mut entries = entries.iter();
            entries.all(|entries| entries.load(Ordering::Relaxed) > round % 3)
        })
        .await;
        before(round).await;
        remove(&ann, &user).await;
        for speaker in [&ann, &speaker] {
            speaker.send("r", &format!("not for {user}")).await;
        }
        is_over.store(true, Ordering::Relaxed);
        for joining in joining {
            let heard = joining.await.unwrap();
            assert!(!heard.is_empty());
            assert!(
                !heard.contains(&format!("not for {user}")),
                "{user}: {heard:?}"
            );
        }
    }
    quiet_members_are_put_out(&ann, servers).await;
}

/// Removes somebody, again until every server has confirmed it.
async fn remove(ann: &Client, user: &str) {
    loop {
        let answer = ann.call("removeMember", member("r", user)).await;
        if answer["status"] == "ok" {
            return;
        }
        assert_eq!(answer["error"]["code"], "UNAVAILABLE", "{answer}");
    }
}

/// Removes somebody who sits still on every server.
async fn quiet_members_are_put_out(ann: &Client, servers: &[Server]) {
    ann.ok("addMember", member("r", "cid")).await;
    let mut quiet = vec![];
    for server in servers {
        let cid = server.client("cid").await;
        cid.join("r").await;
        quiet.push(cid);
    }
    ann.ok("removeMember", member("r", "cid")).await;
    ann.send("r", "secret").await;
    for cid in quiet {
        assert_eq!(
            cid.refused("joinRoom", json!({ "roomId": "r" })).await,
            "FORBIDDEN"
        );
        let heard = cid.received().await;
        let is_secret = |(_, payload): &(String, Value)| payload["message"] == "secret";
        assert!(!heard.iter().any(is_secret), "{heard:?}");
        assert!(
            heard.iter().any(|(event, _)| event == "removed"),
            "{heard:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_heard_after_a_removal_by_postgres() {
    let engine = Engine::postgres().await;
    let servers = on_engine(&engine).await;
    nothing_is_heard_after_a_removal(&servers, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_heard_after_a_removal_by_redis() {
    let engine = Engine::redis();
    let servers = on_engine(&engine).await;
    nothing_is_heard_after_a_removal(&servers, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_heard_after_a_removal_though_the_bus_loses_half() {
    nothing_is_heard_after_a_removal(&on_lossy_bus().await, async |_| {}).await;
}

/// Without its lock, a server shows no sign of life for a moment.
const TAKE_LOCKS: &str = "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database \
     WHERE locktype = 'advisory' AND datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_heard_after_a_removal_while_servers_seem_to_be_gone() {
    let engine = Engine::postgres().await;
    let servers = on_engine(&engine).await;
    let database = &servers[0].database;
    let take_locks = async |round: usize| {
        if round.is_multiple_of(10) {
            database.execute(TAKE_LOCKS).await;
        }
    };
    nothing_is_heard_after_a_removal(&servers, take_locks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_asked_is_no_confirmation() {
    let database = Database::postgres().await;
    let mut servers = vec![];
    for _ in 0..2 {
        let around = |inner| Lossy::around(inner, None);
        servers.push(Server::around_bus(database.shared(), &[FLOODED], around).await);
    }
    let ann = servers[0].client("ann").await;
    let create = json!({ "roomId": "r", "members": ["bob"] });
    ann.ok("createRoom", create).await;
    assert_eq!(
        ann.refused("removeMember", member("r", "bob")).await,
        "UNAVAILABLE"
    );
    // It is done all the same; only the other server has not said so.
    let bob = servers[1].client("bob").await;
    assert_eq!(
        bob.refused("joinRoom", json!({ "roomId": "r" })).await,
        "FORBIDDEN"
    );
}
