//! Unattended clients reconnect after a graceful shutdown of the server, to the one in its place.

use std::process::Stdio;

use futures_util::FutureExt;
use rust_socketio::{Event, TransportType, asynchronous::ClientBuilder};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
};

use crate::support::{Database, Server, free_port, within_deadline};

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/python");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/comes_back.py");

/// Shuts a server down, and starts another one in its place.
async fn replace_server(server: Server, port: u16) -> Server {
    let (database, ended) = server.stop().await;
    ended.unwrap();
    Server::at(port, database).await
}

/// A Python client, and the lines of its output.
fn python(url: &str, transport: &str, kind: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = Command::new(PYTHON);
    command
        .args([SCRIPT, url, transport, kind])
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_python_come_back_by_themselves_by_each_transport() {
    let port = free_port();
    let server = Server::at(port, Database::sqlite()).await;
    let mut clients = vec![];
    for transport in ["polling", "websocket"] {
        for kind in ["sync", "async"] {
            clients.push((
                format!("{transport} {kind}"),
                python(&server.url(), transport, kind),
            ));
        }
    }
    for (name, (_, lines)) in &mut clients {
        let line = within_deadline(&format!("{name} to connect"), lines.next_line()).await;
        assert_eq!(line.unwrap().as_deref(), Some("connected"), "{name}");
    }
    let _server = replace_server(server, port).await;
    for (name, (_, lines)) in &mut clients {
        let line = within_deadline(&format!("{name} to come back"), lines.next_line()).await;
        assert_eq!(line.unwrap().as_deref(), Some("connected"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_rust_come_back_by_themselves_by_each_transport() {
    for transport in [
        TransportType::Polling,
        TransportType::Websocket,
        TransportType::WebsocketUpgrade,
    ] {
        let port = free_port();
        let server = Server::at(port, Database::sqlite()).await;
        let (connected, mut connections) = mpsc::unbounded_channel();
        let client = ClientBuilder::new(server.url())
            .auth(json!({ "userId": "ann" }))
            .transport_type(transport)
            .reconnect_delay(200, 500)
            .on(Event::Connect, move |_, _| {
                connected.send(()).ok();
                async {}.boxed()
            })
            .connect();
        let _client = within_deadline("the transport", client).await.unwrap();
        within_deadline("the first connection", connections.recv())
            .await
            .unwrap();
        let _server = replace_server(server, port).await;
        within_deadline("the client to come back", connections.recv())
            .await
            .unwrap();
    }
}
