//! A server for the official protocol test suites: Parlor's listener, layers and limits, with the
//! suites' expected behaviour in place of a chat.
//!
//! `cargo run --package parlor-conformance` listens on port 3000 (`PORT`, `HOST`), as the suites
//! expect. Their newest form is in <https://github.com/socketio/socket.io>:
//! `docs/engine.io-protocol/v4-test-suite`, `docs/engine.io-protocol/v3-test-suite` for old
//! clients, and `docs/socket.io-protocol/v5-test-suite`. Of their 25, 23 and 32 tests, about 15, 23
//! and 28 pass; Node's server passes all. `docs/upstream.md` names each failure with its reason,
//! nearly always the same: the library sends its first ping at once.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::any};
use bytes::Bytes;
use engineioxide::{
    DisconnectReason, Str, config::EngineIoConfig, handler::EngineIoHandler,
    service::EngineIoService, socket::Socket,
};
use parlor::testing::{
    engine::{self, Engine},
    http::{self, AllowedOrigins},
    net::{Admission, AdmissionSettings, Timeouts},
    rates::Rate,
    realtime::{self, Settings},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
    ser::SerializeTuple,
};
use serde_json::Value;
use socketioxide::extract::{AckSender, Data, SocketRef};

/// The suites' heartbeat, and a chat's limits; the maximum payload that results is the suites', too.
pub const SETTINGS: Settings = Settings {
    ping_interval: Duration::from_millis(300),
    ping_timeout: Duration::from_millis(200),
    max_message_bytes: 8192,
    send_queue_packets: 8192,
    handshake_timeout: Duration::from_secs(1),
};

/// The path of bare Engine.IO.
pub const ENGINE_PATH: &str = "/engine.io";

/// The server's defaults.
pub const TIMEOUTS: Timeouts = Timeouts {
    tcp_user_timeout: Duration::from_secs(25),
    handshake_timeout: Duration::from_secs(15),
};

/// The time limit for a client's payload.
const PAYLOAD_TIMEOUT: Duration = Duration::from_secs(40);

/// Routes to Socket.IO, and to bare Engine.IO.
pub fn router(settings: Settings) -> Router {
    let (socket_io, io) =
        realtime::builder(settings).build_with_inner_svc(any(StatusCode::NOT_FOUND));
    io.ns("/", connected);
    io.ns("/custom", connected);
    let limits = io.config().engine_config.clone();
    let engine_io = EngineIoConfig {
        req_path: ENGINE_PATH.into(),
        ..limits
    };
    let engine_io = EngineIoService::with_config(Arc::new(Echo), engine_io);
    let admission = Admission::from(AdmissionSettings::default());
    let sessions = engine::Settings {
        sessions: Rate::UNLIMITED,
        handshake_timeout: settings.handshake_timeout,
        payload_timeout: PAYLOAD_TIMEOUT,
        max_payload: settings.max_payload(),
        packets: Rate::UNLIMITED,
        guarded: false,
    };
    let socket_io = Engine::new(socket_io, &admission, sessions, Default::default());
    let engine_io = Engine::new(engine_io, &admission, sessions, Default::default());
    Router::new()
        .merge(http::endpoint(
            realtime::PATH,
            socket_io,
            AllowedOrigins::default(),
        ))
        .merge(http::endpoint(
            ENGINE_PATH,
            engine_io,
            AllowedOrigins::default(),
        ))
}

/// An Engine.IO handler that echoes every message.
#[derive(Debug)]
struct Echo;

impl EngineIoHandler for Echo {
    type Data = ();

    fn on_connect(self: Arc<Self>, _: Arc<Socket<()>>) {}

    fn on_disconnect(&self, _: Arc<Socket<()>>, _: DisconnectReason) {}

    fn on_message(self: &Arc<Self>, text: Str, socket: Arc<Socket<()>>) {
        socket.emit(text).ok();
    }

    fn on_binary(self: &Arc<Self>, bytes: Bytes, socket: Arc<Socket<()>>) {
        socket.emit_binary(bytes).ok();
    }
}

async fn connected(socket: SocketRef, Data(auth): Data<Value>) {
    socket.on(
        "message",
        async |socket: SocketRef, Data::<Arguments>(arguments)| {
            socket.emit("message-back", &arguments).ok();
        },
    );
    socket.on(
        "message-with-ack",
        async |Data::<Arguments>(arguments), ack: AckSender| {
            ack.send(&arguments).ok();
        },
    );
    socket.emit("auth", &auth).ok();
}

/// An event's arguments, of any number: the library expects a tuple.
struct Arguments(Vec<Argument>);

/// JSON with attachments.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Argument {
    Json(Value),
    Attachment(Bytes),
    List(Vec<Argument>),
    Object(BTreeMap<String, Argument>),
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for argument in &self.0 {
            tuple.serialize_element(argument)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(0, Elements)
    }
}

/// Reads any number of elements.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Arguments;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Arguments, A::Error> {
        let mut arguments = Vec::new();
        while let Some(argument) = elements.next_element()? {
            arguments.push(argument);
        }
        Ok(Arguments(arguments))
    }
}
