//! The official clients, in Node, each against a server of its own. The scripts are in `tests/clients`.

use futures_util::future::join;
use serde_json::{Value, json};

use crate::support::{Database, RawClient, Server, free_port, log::append, node, raw::Packet};

/// Makes a test of each function that takes a transport, for each transport.
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
    the_official_client_comes_back_by_itself_and_gets_exactly_what_it_missed,
);

async fn the_official_client_finds_the_contract_kept(transport: &str) {
    let server = Server::start().await;
    node::run("chat.mjs", &[&server.url(), transport]).await;
}

async fn the_official_client_comes_back_by_itself_and_gets_exactly_what_it_missed(transport: &str) {
    let port = free_port();
    let server = Server::at(port, Database::sqlite()).await;
    let url = server.url();
    let bob = Witness::join(&server).await;
    join(node::run("reconnect.mjs", &[&url, transport]), replace(server, bob, port)).await;
}

/// Stops the server when that is asked for in the room, and starts another in its place, which has more messages.
async fn replace(server: Server, mut bob: Witness, port: u16) -> Server {
    bob.until_said("stop").await;
    let (database, ended) = server.stop().await;
    ended.unwrap();
    append(&database, "room", "bob", &["missed 1", "missed 2", "missed 3"]).await;
    let server = Server::at(port, database).await;
    let mut bob = Witness::join(&server).await;
    bob.until_said("back").await;
    bob.client.call("sendMessage", json!({ "roomId": "room", "message": "live" })).await;
    server
}

/// A member that hears what is said, and has heard what was said.
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
        let mut said = self.history.as_array().unwrap().iter().any(|message| message["message"] == text);
        while !said {
            said = match self.client.packet().await {
                Packet::Event(event, message) => event == "newMessage" && message["message"] == text,
                Packet::Ack(..) => false,
                Packet::Other(frame) => panic!("waiting for {text:?}: {frame}"),
            };
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_of_2020_chats_with_todays() {
    let server = Server::start().await;
    node::run("old_client.mjs", &[&server.url(), "upgrade"]).await;
}
