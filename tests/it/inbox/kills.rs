//! `kill -9` of the server and of Postgres under a load of read marks: an acked position is stored.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::{sync::RwLock, task::JoinHandle};

use super::device::Device;
use crate::support::{Database, Process, RawClient, eventually, free_port, postgres::Postgres};

const USERS: usize = 6;
/// The messages of the room, and the marks of each user.
const MARKS: usize = 15;
const KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_on_sqlite_loses_no_acked_position() {
    kill_server(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_on_postgres_loses_no_acked_position() {
    kill_server(Database::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_loses_no_acked_position() {
    let mut postgres = Postgres::start(&[]);
    let database = Database::on(&postgres);
    let server = Process::start(&database).await;
    let load = Load::start(server.address).await;
    for kill in 1..=KILLS {
        load.until_acked(kill).await;
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

async fn kill_server(database: Database) {
    let port = free_port();
    let mut server = Process::at(port, &database).await;
    let load = Load::start(server.address).await;
    for kill in 1..=KILLS {
        load.until_acked(kill).await;
        let _down = load.up.write().await;
        server.signal(Signal::SIGKILL);
        server.ended().await;
        server = Process::at(port, &database).await;
    }
    load.check(&database).await;
}

/// Readers who mark until each mark is acked.
struct Load {
    acks: Arc<AtomicUsize>,
    /// Held while a reader connects.
    up: Arc<RwLock<()>>,
    readers: Vec<JoinHandle<()>>,
}

impl Load {
    async fn start(address: SocketAddr) -> Self {
        let mut ann = RawClient::connect(address, "ann").await;
        ann.call("joinRoom", json!({ "roomId": "r" })).await;
        for number in 0..MARKS {
            let send = json!({ "roomId": "r", "message": number.to_string() });
            assert_eq!(ann.call("sendMessage", send).await["status"], "ok");
        }
        let (acks, up) = (Arc::new(AtomicUsize::new(0)), Arc::new(RwLock::new(())));
        let readers = (0..USERS).map(|user| {
            let (acks, up) = (acks.clone(), up.clone());
            tokio::spawn(read_on(address, user.to_string(), acks, up))
        });
        let readers = readers.collect();
        Self { acks, up, readers }
    }

    /// Waits for the part of the acks that comes before a kill.
    async fn until_acked(&self, kill: usize) {
        let enough = USERS * MARKS * kill / (KILLS + 1);
        eventually("acks", async || self.acks.load(Ordering::Relaxed) >= enough).await;
    }

    /// Waits for the end of all marks, and compares them with the database.
    async fn check(self, database: &Database) {
        for reader in self.readers {
            reader.await.unwrap();
        }
        let store = database.store().await;
        let room = "r".try_into().unwrap();
        let read = store.memberships().readers(&room, 100).await.unwrap();
        let readers = read.iter().filter(|read| read.user_id.as_str() != "ann");
        let positions: Vec<_> = readers.map(|read| read.seq.get()).collect();
        assert_eq!(positions, [MARKS as i64; USERS]);
    }
}

/// Marks one message after another as read, each until it is acked: a position that was lost shows
/// at the next ack, as the mark is the one before it again.
async fn read_on(address: SocketAddr, user: String, acks: Arc<AtomicUsize>, up: Arc<RwLock<()>>) {
    let mut device = Device::connect(address, &user).await;
    for seq in 1..=MARKS {
        let acked = seq - 1;
        let again = json!({ "roomId": "r", "seq": acked.saturating_sub(1) });
        let mark = json!({ "roomId": "r", "seq": seq });
        loop {
            if let Some(read) = marked(device.try_call("markRead", &again).await) {
                assert!(read >= acked as u64, "{user}: {read}, acked {acked}");
                if marked(device.try_call("markRead", &mark).await).is_some() {
                    break;
                }
            }
            let _up = up.read().await;
            device.come_back(address).await;
        }
        acks.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the position in an ack.
fn marked(answer: Option<Value>) -> Option<u64> {
    let answer = answer?;
    let code = answer["error"]["code"].as_str();
    assert!(matches!(code, None | Some("UNAVAILABLE")), "{answer}");
    answer["readSeq"].as_u64()
}
