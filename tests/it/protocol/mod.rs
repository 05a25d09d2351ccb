//! The protocols beneath the chat, rule by rule and from outside, to show that Parlor's layers do
//! not bend them: <https://socket.io/docs/v4/engine-io-protocol/>,
//! <https://socket.io/docs/v4/socket-io-protocol/>.
//!
//! The server is the one of `examples/conformance`; rules without a need for its behaviour are
//! tested on the chat, too. Each difference between the library and the documents is stated in a
//! test.

mod connecting;
mod handshake;
mod heartbeat;
mod packets;
mod polling;
mod upgrade;
mod version3;
mod websocket;

use std::{net::Ipv4Addr, time::Duration};

use parlor::testing::{
    net::{self, AdmissionSettings},
    realtime::{self, Settings},
};
use parlor_conformance as conformance;
use reqwest::Client;
use tokio_util::sync::CancellationToken;

use crate::support::{
    Database, Server,
    engine::{Endpoint, WebSocket},
};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

/// Settings without time pressure on clients.
const PATIENT: Settings = Settings {
    ping_interval: NEVER,
    ping_timeout: NEVER,
    handshake_timeout: NEVER,
    ..conformance::SETTINGS
};

/// Parlor's stack with the behaviour that the protocols' suites expect: one endpoint of Engine.IO
/// by itself, and one of Socket.IO.
struct Stack {
    engine: Endpoint,
    socket_io: Endpoint,
}

impl Stack {
    async fn start() -> Self {
        Self::with(PATIENT).await
    }

    /// Starts a stack for the life of the test's runtime.
    async fn with(settings: Settings) -> Self {
        let admission = AdmissionSettings::default().into();
        let listener = net::listen(
            (Ipv4Addr::LOCALHOST, 0).into(),
            conformance::TIMEOUTS,
            admission,
        )
        .unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(net::serve(
            listener,
            conformance::router(settings),
            CancellationToken::new(),
        ));
        let engine = Endpoint {
            address,
            path: conformance::ENGINE_PATH,
            version: 4,
            http: Client::new(),
        };
        let socket_io = Endpoint {
            path: realtime::PATH,
            ..engine.clone()
        };
        Self { engine, socket_io }
    }
}

/// Returns all endpoints of Engine.IO: by itself, under Socket.IO, and under the chat.
async fn everywhere() -> ([Endpoint; 3], Server) {
    let stack = Stack::start().await;
    let chat = Server::on(
        Database::sqlite(),
        &["--ping-interval-ms=3600000", "--ping-timeout-ms=3600000"],
    )
    .await;
    let under_chat = Endpoint {
        address: chat.address(),
        ..stack.socket_io.clone()
    };
    ([stack.engine, stack.socket_io, under_chat], chat)
}

/// Returns the endpoint for old clients' version of the protocol.
fn old(endpoint: &Endpoint) -> Endpoint {
    Endpoint {
        version: 3,
        ..endpoint.clone()
    }
}

/// A client in the stack's main namespace.
async fn connected(socket_io: &Endpoint) -> WebSocket {
    let mut socket = WebSocket::open(socket_io).await;
    socket.send("40").await;
    assert!(socket.text().await.starts_with("40{"));
    assert_eq!(socket.text().await, r#"42["auth",{}]"#);
    socket
}
