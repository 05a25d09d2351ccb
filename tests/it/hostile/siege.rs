//! A server under attack, with two users chatting on it, and measurements of its memory.

use std::process::Command;

use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::json;

use crate::support::{
    Database, Process, RawClient,
    engine::{Endpoint, Frame, WebSocket},
    eventually,
};

/// More memory than the server takes for some hundred connections, but far less than it would take
/// for an attack without bounds.
pub const BOUND_MIB: u64 = 64;

/// The bound while there is a backlog for a crowd.
pub const CROWD_BOUND_MIB: u64 = 128;

/// The most bytes of a client's payload.
pub const MAX_PAYLOAD: usize = 1_000_000;

/// The size of a crowd, for attacks that would not be felt from a single client.
pub const CROWD: usize = 50;

/// A server under attack, with two users on it.
pub struct Siege {
    pub process: Process,
    _database: Database,
    pub ann: RawClient,
    pub bob: RawClient,
    pub said: i64,
    pub memory_before: u64,
}

impl Siege {
    pub async fn begin(flags: &[&str]) -> Self {
        let database = Database::sqlite();
        Self::of(Process::with(&database, flags).await, database).await
    }

    /// Begins a siege of a server that requires tokens; both users have the same one.
    pub async fn begin_with_token(secret: &str, token: &str) -> Self {
        let database = Database::sqlite();
        let process = Process::with(&database, &[&format!("--jwt-secret={secret}")]).await;
        let auth = json!({ "token": token }).to_string();
        let connect = async || RawClient::attempt(process.address, &auth).await.unwrap();
        let pair = [connect().await, connect().await];
        Self::between(pair, process, database).await
    }

    pub async fn of(process: Process, database: Database) -> Self {
        let pair = [
            RawClient::connect(process.address, "ann").await,
            RawClient::connect(process.address, "bob").await,
        ];
        Self::between(pair, process, database).await
    }

    pub async fn between(
        [mut ann, mut bob]: [RawClient; 2],
        process: Process,
        database: Database,
    ) -> Self {
        for client in [&mut ann, &mut bob] {
            assert_eq!(
                client.call("joinRoom", json!({ "roomId": "r" })).await["status"],
                "ok"
            );
        }
        let memory_before = memory(&process);
        let mut siege = Self {
            process,
            _database: database,
            ann,
            bob,
            said: 0,
            memory_before,
        };
        siege.chat().await;
        siege
    }

    /// Sends a message from Ann; the next message to Bob must be the same.
    pub async fn chat(&mut self) {
        self.said += 1;
        let sent = self
            .ann
            .call("sendMessage", json!({ "roomId": "r", "message": "hi" }))
            .await;
        assert_eq!(
            (&sent["status"], &sent["message"]["seq"]),
            (&json!("ok"), &json!(self.said))
        );
        assert_eq!(self.bob.next("newMessage").await["seq"], self.said);
    }

    pub fn endpoint(&self, version: u8) -> Endpoint {
        Endpoint {
            address: self.process.address,
            path: "/socket.io",
            version,
            http: Client::new(),
        }
    }

    /// A WebSocket in the namespace.
    pub async fn socket(&self) -> WebSocket {
        let mut socket = WebSocket::open(&self.endpoint(4)).await;
        socket.send(r#"40{"userId":"eve"}"#).await;
        assert!(socket.text().await.starts_with("40{"));
        socket
    }

    /// A member of a room.
    pub async fn member(&self, user: &str, room: &str) -> RawClient {
        let mut client = RawClient::connect(self.process.address, user).await;
        assert_eq!(
            client.call("joinRoom", json!({ "roomId": room })).await["status"],
            "ok"
        );
        client
    }

    /// A crowd of members; they send nothing more, and read nothing.
    pub async fn silent_crowd(&self, room: &str) -> Vec<RawClient> {
        let mut crowd = vec![];
        for number in 0..CROWD {
            crowd.push(self.member(&format!("silent-{number}"), room).await);
        }
        crowd
    }

    /// Waits until the server has no more than `count` files open, connections among them; the
    /// users chat meanwhile.
    #[cfg(target_os = "linux")]
    pub async fn wait_for_files(&mut self, count: usize) {
        eventually("the connections to be closed", async || {
            self.chat().await;
            files(&self.process) <= count
        })
        .await;
    }

    pub fn assert_memory(&self, bound_mib: u64) {
        let grown = memory(&self.process).saturating_sub(self.memory_before);
        assert!(grown < bound_mib, "the memory grew by {grown} MiB");
    }

    pub async fn end(self) {
        self.end_within(BOUND_MIB).await;
    }

    /// Asserts that the users have missed nothing, the memory is within its bound, and the server
    /// shuts down gracefully.
    pub async fn end_within(mut self, bound_mib: u64) {
        self.chat().await;
        self.assert_memory(bound_mib);
        self.process.signal(Signal::SIGTERM);
        let (status, log) = self.process.ended().await;
        assert!(
            status.success() && !log.contains("panicked") && !log.contains("ERROR"),
            "{status}: {log}"
        );
    }
}

/// Returns the memory in use, in MiB.
pub fn memory(process: &Process) -> u64 {
    let output = Command::new("ps")
        .args(["-o", "rss=", "-p", &process.id().to_string()])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse::<u64>()
        .unwrap()
        / 1024
}

/// Returns the number of open files.
#[cfg(target_os = "linux")]
pub fn files(process: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", process.id()))
        .unwrap()
        .count()
}

/// Returns the peak of the memory in use, in MiB.
#[cfg(target_os = "linux")]
pub fn peak(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Returns the number of members of a room, by joining it.
#[cfg(target_os = "linux")]
pub async fn members(client: &mut RawClient, room: &str) -> serde_json::Value {
    client
        .call("joinRoom", json!({ "roomId": room, "limit": 0 }))
        .await["memberCount"]
        .take()
}

/// Waits until the connection has closed, or has answered everything, this event last.
pub async fn wait_until_settled(socket: &mut WebSocket) {
    if socket.try_send(r#"4299["barrier",{}]"#).await.is_err() {
        return;
    }
    loop {
        match socket.frame().await {
            Frame::Closed => return,
            Frame::Text(text) if text.starts_with("4399[") => return,
            _ => {}
        }
    }
}
