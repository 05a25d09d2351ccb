//! Chat over Socket.IO: limits, connecting, and thin handlers that parse, call [`Chat`] and reply.

mod backlog;
mod caller;
mod credentials;
mod early;
mod fanout;
mod overflow;
mod panics;
pub mod protocol;
mod reply;
mod request;
mod turn;

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use serde_json::value::RawValue;
use socketioxide::{
    ParserConfig, SocketIo, SocketIoBuilder,
    extract::{SocketRef, TryData},
    handler::ConnectHandler,
    service::SocketIoService,
    socket::{DisconnectReason, Sid, Socket},
};
use tokio_util::task::TaskTracker;
use tracing::Span;

pub use self::{
    backlog::{ALL_WAITING_BYTES, MAX_UNREAD_BYTES, MAX_WAITING_BYTES, MIN_WAITING_BYTES},
    early::{JOIN_WAIT, MAX_EARLY_BYTES, MAX_EARLY_SENDS},
    fanout::SocketIoFanout,
    protocol::MAX_ECHOED_CHARS,
    turn::{EVENT_BURST, MAX_PAYLOADS_BYTES, MAX_WAITING},
};
use self::{
    backlog::{Backlog, Backlogs},
    caller::Caller,
    credentials::{Connected, Lease},
    early::{EarlyBytes, EarlySends},
    protocol::{Auth, GetHistory, JoinRoom, LeaveRoom, RefreshAuth, SendMessage, Typing},
    reply::Reply,
    request::{Payload, Request},
    turn::{Turn, Turns},
};
use crate::{
    auth::Verifier,
    chat::{Chat, Participant},
    engine,
    error::Error,
    room::Departure,
};

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

/// How many of the rooms that a handshake names are joined at once: each may wait for the database.
const JOINS_AT_ONCE: usize = 8;

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

/// What this layer keeps of one socket.
struct Client {
    chat: Arc<Chat>,
    participant: Arc<Participant>,
    /// None for a guest, of which there may be many.
    lease: Option<Box<Lease>>,
    turns: Turns,
    unanswered: TaskTracker,
    /// It has lost a packet, and so is to lose its connection.
    cut: AtomicBool,
    backlog: Backlog,
    backlogs: Arc<Backlogs>,
    early: EarlySends,
    /// The rooms of the handshake, until they are joined.
    rooms: Mutex<Vec<JoinRoom>>,
}

impl Client {
    fn of(socket: &Socket) -> Arc<Self> {
        let client = socket.extensions.get::<Arc<Self>>();
        client.expect("a socket gets its client before it gets its handlers")
    }

    /// What happens to the socket is logged in this. It is made when it is needed: kept, it would
    /// be 400 bytes of each socket.
    fn span(&self) -> Span {
        let identity = self.participant.identity();
        let user = identity
            .as_ref()
            .map(|identity| identity.user_id().as_str());
        tracing::info_span!("socket", connection = self.participant.client, user)
    }
}

/// The Engine.IO session that the socket belongs to.
fn session(socket: &Socket) -> Option<&engine::Session> {
    socket.req_parts().extensions.get()
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
    pub fn serve(&self, chat: Arc<Chat>, verifier: Option<Arc<Verifier>>, unanswered: TaskTracker) {
        let (backlogs, early) = (self.backlogs.clone(), EarlyBytes::default());
        let connect = move |socket: SocketRef, auth: TryData<Box<RawValue>>| {
            let (chat, verifier, unanswered) = (chat.clone(), verifier.clone(), unanswered.clone());
            let (backlogs, early) = (backlogs.clone(), EarlySends::new(early.clone()));
            async move { connect(&socket, auth, chat, verifier, unanswered, backlogs, early) }
        };
        // A socket's handlers are set in a middleware, which runs before the client is told that it
        // is connected: a handler set later can miss the client's first events.
        let connected = async |Connected(socket): Connected| {
            let client = Client::of(&socket);
            if let Some(lease) = &client.lease {
                lease.begin(&socket);
            }
            if let Some(session) = session(&socket) {
                session.enter();
            }
            panics::survived(join_rooms(&socket, &client)).await;
            client.turns.connected();
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

/// The message of a refused connection begins with the error's code.
fn connect(
    socket: &SocketRef,
    auth: TryData<Box<RawValue>>,
    chat: Arc<Chat>,
    verifier: Option<Arc<Verifier>>,
    unanswered: TaskTracker,
    backlogs: Arc<Backlogs>,
    early: EarlySends,
) -> Result<(), String> {
    let admitted = said(auth).and_then(|mut auth| {
        let rooms = named(&mut auth, chat.limits().max_rooms)?;
        let (identity, lease) = credentials::admit(verifier, auth, socket)?;
        Ok((identity, lease, rooms))
    });
    let (identity, lease, rooms) = admitted.map_err(|error| {
        if let Some(session) = session(socket) {
            session.leave();
        }
        format!("{}: {error}", error.code())
    })?;
    let participant = Arc::new(chat.connect(identity));
    let client = Arc::new(Client {
        chat,
        participant,
        lease: lease.map(Box::new),
        turns: Turns::while_connecting(),
        unanswered,
        cut: AtomicBool::new(false),
        backlog: Backlog::default(),
        backlogs,
        early,
        rooms: rooms.into(),
    });
    client
        .span()
        .in_scope(|| tracing::debug!(transport = ?socket.transport_type(), "connected"));
    socket.extensions.insert(client);
    socket.on_fallback(answer);
    socket.on_disconnect(disconnected);
    Ok(())
}

/// What the client says of itself when it connects.
fn said(auth: TryData<Box<RawValue>>) -> Result<Auth, Error> {
    let auth = auth
        .0
        .map_err(|error| Error::InvalidPayload(format!("auth: {error}")))?;
    protocol::parse(auth.get())
}

/// The rooms that a client is to be in from the start.
fn named(auth: &mut Auth, max_rooms: usize) -> Result<Vec<JoinRoom>, Error> {
    let rooms = auth.rooms.take().unwrap_or_default();
    if rooms.len() > max_rooms {
        return Err(Error::InvalidPayload(format!(
            "rooms: must be at most {max_rooms}"
        )));
    }
    Ok(rooms)
}

/// Joins the rooms of the handshake; the socket's events wait meanwhile.
async fn join_rooms(socket: &Arc<Socket>, client: &Arc<Client>) {
    let rooms = std::mem::take(&mut *client.rooms.lock().unwrap_or_else(PoisonError::into_inner));
    let caller = Caller(client.clone());
    let joins = stream::iter(rooms).map(|room| caller.join_at_once(Reply::unasked(socket), room));
    joins
        .buffer_unordered(JOINS_AT_ONCE)
        .for_each(async |()| {})
        .await;
}

/// One handler answers every event: the library's map of handlers would be 360 bytes of each
/// socket.
///
/// The task of an event has room for the largest of these futures, so that it is to be the one of a
/// send.
async fn answer(caller: Caller, turn: Turn, reply: Reply, request: Request) {
    let (event, unanswered) = (request.event(), reply.clone());
    panics::answered(&event, unanswered, handle(caller, turn, reply, request)).await;
}

async fn handle(caller: Caller, turn: Turn, reply: Reply, request: Request) {
    match request {
        Request::JoinRoom(join) => Box::pin(join_room(caller, turn, reply, join)).await,
        Request::LeaveRoom(leave) => Box::pin(leave_room(caller, turn, reply, leave)).await,
        Request::SendMessage(send) => send_message(caller, turn, reply, send).await,
        Request::GetHistory(query) => Box::pin(get_history(caller, turn, reply, query)).await,
        Request::Typing(typing) => Box::pin(is_typing(caller, turn, reply, typing)).await,
        Request::RefreshAuth(token) => Box::pin(refresh_auth(caller, turn, reply, token)).await,
        Request::Unknown(name) => Box::pin(unknown_event(caller, turn, reply, name)).await,
    }
}

async fn join_room(caller: Caller, turn: Turn, reply: Reply, join: Payload<JoinRoom>) {
    let answer = reply.clone();
    if let Err(error) = caller.join(turn, answer, join).await {
        reply.error(JoinRoom::EVENT, &error);
    }
}

async fn leave_room(caller: Caller, turn: Turn, reply: Reply, leave: Payload<LeaveRoom>) {
    let result = caller.leave(turn, reply.socket(), leave).await;
    reply.with(LeaveRoom::EVENT, result);
}

async fn send_message(caller: Caller, turn: Turn, reply: Reply, send: Payload<SendMessage>) {
    let stored = match caller.enqueue(turn, send).await {
        Ok(receipt) => receipt.stored().await,
        Err(error) => Err(error),
    };
    if let Ok(stored) = &stored {
        caller
            .0
            .backlogs
            .to_client(reply.socket(), stored.message.json().len());
    }
    reply.with(SendMessage::EVENT, stored);
}

async fn get_history(caller: Caller, turn: Turn, reply: Reply, query: Payload<GetHistory>) {
    let result = caller.history(turn, reply.socket(), query).await;
    reply.with(GetHistory::EVENT, result);
}

async fn is_typing(caller: Caller, turn: Turn, reply: Reply, typing: Payload<Typing>) {
    let result = caller.typing(turn, typing).await;
    reply.with(Typing::EVENT, result);
}

async fn refresh_auth(caller: Caller, turn: Turn, reply: Reply, token: Payload<RefreshAuth>) {
    let result = caller.refresh(turn, reply.socket(), token).await;
    reply.with(RefreshAuth::EVENT, result);
}

async fn unknown_event(caller: Caller, turn: Turn, reply: Reply, name: String) {
    let name = protocol::echoed(&name);
    match caller.come(turn).await {
        Ok(_turn) => reply.error(&name, &Error::UnknownEvent(name.to_string())),
        Err(error) => reply.error(&name, &error),
    }
}

async fn disconnected(socket: SocketRef, io: SocketIo, caller: Caller, reason: DisconnectReason) {
    let how = match reason {
        DisconnectReason::ClientNSDisconnect | DisconnectReason::ServerNSDisconnect => {
            Departure::Left
        }
        _ => Departure::Broken,
    };
    caller
        .0
        .span()
        .in_scope(|| tracing::debug!(?reason, "disconnected"));
    caller.0.early.clear();
    panics::survived(caller.0.chat.disconnect(&caller.0.participant, how)).await;
    if let Some(session) = session(&socket).filter(|_| how == Departure::Left) {
        tokio::spawn(leave_when_gone(session.clone(), socket.id, io));
    }
}

/// Tells a session that its client is not in the chat any more, once the library has put the socket
/// away, which it does right after the handler of its end. There is nothing to wait for but that.
async fn leave_when_gone(session: engine::Session, socket: Sid, io: SocketIo) {
    while io
        .of("/")
        .is_some_and(|namespace| namespace.get_socket(socket).is_some())
    {
        tokio::task::yield_now().await;
    }
    session.leave();
}
