//! Chat over Socket.IO: limits, connecting, and thin handlers that parse, call [`Chat`] and reply.

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
mod reply;
mod turn;

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
};
pub use self::{
    backlog::{ALL_WAITING_BYTES, MAX_UNREAD_BYTES, MAX_WAITING_BYTES, MIN_WAITING_BYTES},
    early::{JOIN_WAIT, MAX_EARLY_BYTES, MAX_EARLY_SENDS},
    fanout::SocketIoFanout,
    protocol::MAX_ECHOED_CHARS,
    turn::{EVENT_BURST, MAX_PAYLOADS_BYTES, MAX_WAITING},
};
use crate::{auth::Verifier, chat::Chat};

/// Where Socket.IO is served, as stock clients expect it.
pub const PATH: &str = "/socket.io";

/// How much is read at once from a WebSocket: about as much as an event with a line of text, and
/// kept as long as the connection. With 512 bytes each idle socket had 17.1 kB instead of 16.9, and
/// acks took as long (`bench/`, workloads `idle` and `persist`).
const READ_BUFFER_BYTES: usize = 256;

/// The least bytes that a request or a frame may have: the `maxHttpBufferSize` of Node's server.
pub const MIN_PAYLOAD_BYTES: usize = 1_000_000;

/// How many binary attachments a packet may have. The contract knows none; a few are read so that
/// the packet can be refused with an answer.
const MAX_ATTACHMENTS: usize = 10;
/// How many bytes these may have together: a connection holds them until the last has come.
const MAX_ATTACHMENTS_BYTES: usize = 64 * 1024;

/// JSON may take six bytes, `\u00XX`, for one.
const MAX_ESCAPED_BYTES: usize = 6;
/// Room for a packet's names and identifiers beside the message.
const PACKET_OVERHEAD_BYTES: usize = 4 * 1024;

/// What a deployment may set.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The time between two pings to a client.
    pub ping_interval: Duration,
    /// How long a client may take to answer one.
    pub ping_timeout: Duration,
    /// The most bytes of UTF-8 in a message.
    pub max_message_bytes: usize,
    /// How many packets may wait for one client; one who has more loses its connection. Memory is
    /// used only as it fills.
    pub send_queue_packets: usize,
    /// How long a client may take to enter the chat once it has a connection.
    pub handshake_timeout: Duration,
}

impl Settings {
    /// The most bytes of a payload by polling, or of a packet by WebSocket.
    pub fn max_payload(&self) -> usize {
        let packet = self.max_message_bytes * MAX_ESCAPED_BYTES + PACKET_OVERHEAD_BYTES;
        packet.max(MIN_PAYLOAD_BYTES)
    }
}

/// The handle by which Socket.IO is driven.
pub struct Realtime {
    io: SocketIo,
    backlogs: Arc<Backlogs>,
}

/// Prepares Socket.IO: the service that answers at [`PATH`], and its handle; other requests go to
/// `inner`.
pub fn prepare<S: Clone>(settings: Settings, inner: S) -> (SocketIoService<S>, Realtime) {
    let (service, io) = builder(settings).build_with_inner_svc(inner);
    (
        service,
        Realtime {
            backlogs: Arc::new(Backlogs::new(io.clone())),
            io,
        },
    )
}

/// Socket.IO at [`PATH`] with all the limits that this server sets, and no behaviour yet.
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
    /// A room's way to its members.
    pub fn fanout(&self) -> SocketIoFanout {
        SocketIoFanout::new(self.io.clone(), self.backlogs.clone())
    }

    /// Lets clients in: by the tokens that `verifier` accepts, or, without one, as guests. Every
    /// event taken counts as unanswered, in `unanswered`, until it has its answer.
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
            early: EarlyBytes::default(),
        });
        // A socket's handlers are set in a middleware, which runs before the client is told that it
        // is connected: a handler set later can miss the client's first events.
        let connect = move |socket: SocketRef, auth: TryData<Box<RawValue>>| {
            let entrance = entrance.clone();
            async move { entrance.connect(&socket, auth) }
        };
        self.io.ns("/", connected.with(connect));
    }

    /// Sends what is queued for each client, and closes its connection.
    ///
    /// Clients see their transport close, and so connect again by themselves; after a Socket.IO
    /// disconnect packet from the server they would not:
    /// <https://socket.io/docs/v4/client-socket-instance/#disconnect>.
    pub async fn close(&self) {
        self.io.close().await;
    }
}
