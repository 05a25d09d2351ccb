//! The official clients, in Node, each against a server of its own. The scripts are in
//! `tests/clients`.

use futures_util::future::join;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    Database, RawClient, Server, free_port,
    log::append,
    node::{self, Script},
    raw::Packet,
};

/// Generates a test for each transport from each function of a transport.
macro_rules! by_each_transport {
    ($($name:ident),+ $(,)?) => {
        by_each_transport!(polling: $($name),+);
        by_each_transport!(websocket: $($name),+);
        by_each_transport!(upgrade: $($name),+);
    };
    ($transport:ident: $($name:ident),+) => {
        mod $transport {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(stringify!($transport)).await;
            })+
        }
    };
}

by_each_transport!(
    the_official_client_finds_the_contract_kept,
    the_official_client_comes_back_by_itself_and_gets_exactly_the_missed_messages,
    the_official_client_comes_back_by_itself_after_it_was_cut_for_reading_too_slowly,
);

async fn the_official_client_finds_the_contract_kept(transport: &str) {
    let server = Server::start().await;
    node::run("chat.mjs", &[&server.url(), transport]).await;
}

async fn the_official_client_comes_back_by_itself_and_gets_exactly_the_missed_messages(
    transport: &str,
) {
    let port = free_port();
    let server = Server::at(port, Database::sqlite()).await;
    let url = server.url();
    let bob = Witness::join(&server).await;
    join(
        node::run("reconnect.mjs", &[&url, transport]),
        replace(server, bob, port),
    )
    .await;
}

/// Stops the server when the room asks for it, and starts another with more messages in its place.
async fn replace(server: Server, mut bob: Witness, port: u16) -> Server {
    bob.until_said("stop").await;
    let (database, ended) = server.stop().await;
    ended.unwrap();
    append(
        &database,
        "room",
        "bob",
        &["missed 1", "missed 2", "missed 3"],
    )
    .await;
    let server = Server::at(port, database).await;
    let mut bob = Witness::join(&server).await;
    bob.until_said("back").await;
    bob.client
        .call(
            "sendMessage",
            json!({ "roomId": "room", "message": "live" }),
        )
        .await;
    server
}

/// A member that knows the room's history and hears its messages.
struct Witness {
    client: RawClient,
    history: Value,
}

impl Witness {
    async fn join(server: &Server) -> Self {
        let mut client = server.raw("bob").await;
        let history = client.call("joinRoom", json!({ "roomId": "room" })).await["messages"].take();
        Self { client, history }
    }

    async fn until_said(&mut self, text: &str) {
        let mut said = self
            .history
            .as_array()
            .unwrap()
            .iter()
            .any(|message| message["message"] == text);
        while !said {
            said = match self.client.packet().await {
                Packet::Event(event, message) => {
                    event == "newMessage" && message["message"] == text
                }
                Packet::Ack(..) => false,
                Packet::Other(frame) => panic!("waiting for {text:?}: {frame}"),
            };
        }
    }
}

/// Together more than kernels buffer for a connection whose peer does not read.
const MESSAGES: i64 = 1000;
const BODY_BYTES: usize = 8000;
/// Messages sent at a time; with their acks, far fewer than a queue takes.
const TOGETHER: usize = 10;

async fn the_official_client_comes_back_by_itself_after_it_was_cut_for_reading_too_slowly(
    transport: &str,
) {
    // Queues overflow soon, and nothing else ends a connection.
    let server = Server::on(
        Database::sqlite(),
        &["--send-queue-packets=64", "--tcp-user-timeout-ms=0"],
    )
    .await;
    let mut slow = Script::start("stalled.mjs", &[&server.url(), transport]);
    assert_eq!(slow.line().await, "joined");
    slow.signal(Signal::SIGSTOP);
    let mut bob = Witness::join(&server).await.client;
    for last in (0..=MESSAGES).step_by(TOGETHER).skip(1) {
        say_up_to(&mut bob, last).await;
    }
    slow.signal(Signal::SIGCONT);

    let (mut seqs, mut is_back) = (vec![], false);
    while !is_back || seqs.last() != Some(&MESSAGES) {
        match slow.line().await.parse() {
            Ok(seq) => seqs.push(seq),
            Err(_) => is_back = true,
        }
    }
    assert!(seqs.iter().copied().eq(1..=MESSAGES), "{seqs:?}");
}

/// Sends [`TOGETHER`] messages, and reads up to the last one, so that no more wait for this client.
async fn say_up_to(client: &mut RawClient, last: i64) {
    let message = json!({ "roomId": "room", "message": "x".repeat(BODY_BYTES) });
    for _ in 0..TOGETHER {
        client.emit("sendMessage", &message).await;
    }
    client.flush().await;
    while client.next("newMessage").await["seq"] != last {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_of_2020_chats_with_todays() {
    let server = Server::start().await;
    node::run("old_client.mjs", &[&server.url(), "upgrade"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_of_the_official_client_before_its_rejoin_are_stored_once_and_in_order() {
    let server = Server::start().await;
    node::run("asleep_stock.mjs", &[&server.url(), "websocket"]).await;
}
