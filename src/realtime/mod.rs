//! Chat over Socket.IO: limits, connecting, and a thin handler per event, which parses the request,
//! calls [`Chat`] and replies.

mod backlog;
mod call;
mod client;
mod connect;
mod credentials;
mod early;
mod fanout;
mod handlers;
mod lease;
mod overflow;
mod panics;
pub mod protocol;
mod relay;
mod reply;
mod turn;
mod users;

use std::{sync::Arc, time::Duration};

use serde_json::value::RawValue;
use socketioxide::{
    ParserConfig, SocketIo, SocketIoBuilder,
    extract::{SocketRef, TryData},
    handler::ConnectHandler,
    service::SocketIoService,
};
use tokio_util::task::TaskTracker;

use self::{
    backlog::Backlogs,
    connect::{Entrance, connected},
    early::EarlyBytes,
    users::Users,
};
pub use self::{
    early::{JOIN_WAIT, MAX_EARLY_SENDS},
    fanout::SocketIoFanout,
    protocol::MAX_ECHOED_CHARS,
    turn::{EVENT_BURST, MAX_WAITING},
};
use crate::{auth::Verifier, chat::Chat, metrics, model::MAX_METADATA_BYTES};

/// The path of Socket.IO, as stock clients expect it.
pub const PATH: &str = "/socket.io";

/// The read buffer of a WebSocket, kept as long as the connection: room for an event with a line of
/// text. With 512 bytes, an idle socket took 17.1 kB instead of 16.9, and acks were no faster
/// (`bench/`, workloads `idle` and `persist`).
const READ_BUFFER_BYTES: usize = 256;

/// The lowest limit for a request or a frame, in bytes: the `maxHttpBufferSize` of Node's server.
pub const MIN_PAYLOAD_BYTES: usize = 1_000_000;

/// The most binary attachments of a packet. The contract has none; a few are read, so the packet can
/// be refused with an answer.
const MAX_ATTACHMENTS: usize = 10;
/// The most bytes of a packet's attachments: they are held until the last one has come.
const MAX_ATTACHMENTS_BYTES: usize = 64 * 1024;

/// The most bytes of JSON for one byte of text: `\u00XX`.
const MAX_ESCAPED_BYTES: usize = 6;
/// The bytes of a packet for names and identifiers, beside the message.
const PACKET_OVERHEAD_BYTES: usize = 4 * 1024;

/// The settings of a deployment.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The time between two pings to a client.
    pub ping_interval: Duration,
    /// The time for a client to answer a ping.
    pub ping_timeout: Duration,
    /// The most bytes of UTF-8 in a message.
    pub max_message_bytes: usize,
    /// The capacity of a client's send queue, in packets; a client whose queue is full loses its
    /// connection. The queue takes memory only as it fills.
    pub send_queue_packets: usize,
    /// The time for a client to enter the chat on a new connection.
    pub handshake_timeout: Duration,
}

impl Settings {
    /// Returns the most bytes of a polling payload or of a WebSocket packet.
    pub fn max_payload(&self) -> usize {
        let content = self.max_message_bytes * MAX_ESCAPED_BYTES + MAX_METADATA_BYTES;
        let packet = content + PACKET_OVERHEAD_BYTES;
        packet.max(MIN_PAYLOAD_BYTES)
    }
}

/// The Socket.IO server.
pub struct Realtime {
    io: SocketIo,
    metrics: Arc<metrics::Realtime>,
    backlogs: Arc<Backlogs>,
    users: Arc<Users>,
}

/// Returns a service for Socket.IO at [`PATH`], which hands other requests to `inner`, and the server
/// behind it.
pub fn prepare<S: Clone>(
    settings: Settings,
    inner: S,
    metrics: metrics::Realtime,
) -> (SocketIoService<S>, Realtime) {
    let (service, io) = builder(settings).build_with_inner_svc(inner);
    let metrics = Arc::new(metrics);
    let realtime = Realtime {
        backlogs: Arc::new(Backlogs::new(io.clone(), metrics.clone())),
        metrics,
        users: Arc::default(),
        io,
    };
    (service, realtime)
}

/// Returns a builder of Socket.IO at [`PATH`], with this server's limits and no handlers.
pub fn builder(settings: Settings) -> SocketIoBuilder {
    let max_payload = settings.max_payload();
    SocketIo::builder()
        .req_path(PATH)
        .ping_interval(settings.ping_interval)
        .ping_timeout(settings.ping_timeout)
        .connect_timeout(settings.handshake_timeout)
        .max_buffer_size(settings.send_queue_packets)
        .ws_read_buffer_size(READ_BUFFER_BYTES)
        .max_payload(max_payload as u64)
        .ws_max_message_size(max_payload)
        .ws_max_frame_size(max_payload)
        .with_parser(
            ParserConfig::common()
                .max_incoming_binaries(MAX_ATTACHMENTS)
                .max_incoming_binary_buf_size(MAX_ATTACHMENTS_BYTES),
        )
}

impl Realtime {
    /// Returns the fan-out for rooms.
    pub fn fanout(&self) -> SocketIoFanout {
        SocketIoFanout::new(self.io.clone(), self.backlogs.clone(), self.users.clone())
    }

    /// Registers the handlers. From now on clients connect, with tokens for `verifier` or, without a
    /// verifier, as guests. `unanswered` tracks every event until it is answered.
    pub fn register(
        &self,
        chat: Arc<Chat>,
        verifier: Option<Arc<Verifier>>,
        unanswered: TaskTracker,
    ) {
        let entrance = Arc::new(Entrance {
            chat,
            verifier,
            unanswered,
            backlogs: self.backlogs.clone(),
            users: self.users.clone(),
            metrics: self.metrics.clone(),
            early: EarlyBytes::default(),
        });
        // The middleware sets a socket's handlers before the client learns of its connection: a
        // handler set later can miss the client's first events.
        let connect = move |socket: SocketRef, auth: TryData<Box<RawValue>>| {
            let entrance = entrance.clone();
            async move { entrance.connect(&socket, auth) }
        };
        self.io.ns("/", connected.with(connect));
    }

    /// Flushes each client's queue, and closes its connection.
    ///
    /// Clients see their transport close, so they reconnect by themselves. After a Socket.IO
    /// disconnect packet from the server they would not:
    /// <https://socket.io/docs/v4/client-socket-instance/#disconnect>.
    pub async fn close(&self) {
        self.io.close().await;
    }
}
