//! `kill -9` under a load of changes.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use fastrand::Rng;
use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::{follower::Follower, model::stored};
use crate::support::{Database, Process, eventually, free_port, postgres::Postgres};

const USERS: usize = 6;
const MESSAGES: i64 = 30;
const KILLS: usize = 6;
/// Acks between two kills, at least.
const ACKS_BETWEEN: usize = 60;
const CHANGES: usize = (KILLS + 2) * ACKS_BETWEEN / USERS;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_on_sqlite_loses_no_acked_change_and_makes_none_twice() {
    kill_server(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_on_postgres_loses_no_acked_change_and_makes_none_twice() {
    kill_server(Database::postgres().await).await;
}

async fn kill_server(database: Database) {
    let port = free_port();
    let mut server = Process::at(port, &database).await;
    let load = Load::start(server.address).await;
    for kill in 1..=KILLS {
        load.until_acked(kill * ACKS_BETWEEN).await;
        let _down = load.up.write().await;
        server.signal(Signal::SIGKILL);
        server.ended().await;
        server = Process::at(port, &database).await;
    }
    load.check(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_loses_no_acked_change_and_makes_none_twice() {
    let mut postgres = Postgres::start(&[]);
    let database = Database::on(&postgres);
    let server = Process::start(&database).await;
    let load = Load::start(server.address).await;
    for kill in 1..=KILLS {
        load.until_acked(kill * ACKS_BETWEEN).await;
        postgres = tokio::task::spawn_blocking(move || {
            postgres.crash();
            postgres
        })
        .await
        .unwrap();
    }
    load.check(&database).await;
    drop(postgres);
}

/// Users who change messages until each change is acked.
struct Load {
    acks: Arc<AtomicUsize>,
    /// Held while a user connects.
    up: Arc<RwLock<()>>,
    users: Vec<tokio::task::JoinHandle<User>>,
}

/// A user, and what it knows to be stored.
struct User {
    follower: Follower,
    reactions: HashMap<(i64, &'static str), bool>,
    texts: HashMap<i64, String>,
}

impl Load {
    async fn start(address: SocketAddr) -> Self {
        let mut load = Self {
            acks: Arc::default(),
            up: Arc::default(),
            users: vec![],
        };
        let mut first = Follower::join(address, "0").await;
        for _ in 0..MESSAGES {
            let hello = json!({ "roomId": "r", "message": "hello" });
            assert_eq!(first.call("sendMessage", hello).await["status"], "ok");
        }
        for user in 0..USERS {
            let follower = Follower::join(address, &user.to_string()).await;
            let (acks, up) = (load.acks.clone(), load.up.clone());
            let work = change(user as u64, follower, address, acks, up);
            load.users.push(tokio::spawn(work));
        }
        load
    }

    async fn until_acked(&self, count: usize) {
        eventually("acks", async || self.acks.load(Ordering::Relaxed) >= count).await;
    }

    /// Waits for the end of all changes, and compares them with the database.
    async fn check(self, database: &Database) {
        let users: Vec<_> = join_all(self.users).await;
        let expected = stored(&database.store().await).await;
        assert_eq!(expected.len(), MESSAGES as usize);
        for (name, user) in (0..).map(|name: usize| name.to_string()).zip(users) {
            let mut user = user.unwrap();
            for ((seq, reaction), on) in &user.reactions {
                let reactions = expected[seq]["reactions"].as_array().into_iter().flatten();
                let mut users = reactions
                    .filter(|kind| kind["reaction"] == *reaction)
                    .flat_map(|kind| kind["userIds"].as_array().unwrap());
                let is_there = users.any(|there| there.as_str() == Some(name.as_str()));
                assert_eq!(is_there, *on, "{name} {seq} {reaction}: {}", expected[seq]);
            }
            for (seq, text) in &user.texts {
                assert_eq!(expected[seq]["message"], *text);
            }
            user.follower.until(|seen| seen.messages == expected).await;
        }
        println!("{} acked", self.acks.load(Ordering::Relaxed));
    }
}

/// Changes random messages, each change until it is acked.
async fn change(
    seed: u64,
    mut follower: Follower,
    address: SocketAddr,
    acks: Arc<AtomicUsize>,
    up: Arc<RwLock<()>>,
) -> User {
    let mut random = Rng::with_seed(seed);
    let (mut reactions, mut texts) = (HashMap::new(), HashMap::new());
    for number in 0..CHANGES {
        let seq = random.i64(1..=MESSAGES);
        let (event, payload) = if seed == 0 && random.bool() {
            let text = format!("text {number}");
            texts.insert(seq, text.clone());
            (
                "editMessage",
                json!({ "roomId": "r", "seq": seq, "message": text }),
            )
        } else {
            let (reaction, on) = (*random.choice(&["a", "b"]).unwrap(), random.bool());
            reactions.insert((seq, reaction), on);
            (
                "setReaction",
                json!({ "roomId": "r", "seq": seq, "reaction": reaction, "on": on }),
            )
        };
        while !is_acked(follower.try_call(event, &payload).await) {
            let _up = up.read().await;
            follower.come_back(address).await;
        }
        acks.fetch_add(1, Ordering::Relaxed);
    }
    User {
        follower,
        reactions,
        texts,
    }
}

fn is_acked(answer: Option<Value>) -> bool {
    let Some(answer) = answer else {
        return false;
    };
    let code = answer["error"]["code"].as_str();
    assert!(matches!(code, None | Some("UNAVAILABLE")), "{answer}");
    code.is_none()
}
