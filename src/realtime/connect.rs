//! Connecting and disconnecting.

use std::{
    convert::Infallible,
    mem,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use futures_util::{StreamExt, stream};
use serde_json::value::RawValue;
use socketioxide::{
    SocketIo,
    adapter::LocalAdapter,
    extract::{SocketRef, TryData},
    handler::{FromConnectParts, Value},
    socket::{DisconnectReason, Sid, Socket},
};
use tokio_util::task::TaskTracker;

use super::{
    backlog::{Backlog, Backlogs},
    client::{Client, session},
    credentials,
    early::{EarlyBytes, EarlySends},
    handlers, panics,
    protocol::{Auth, JoinRoom},
    reply::Reply,
    turn::Turns,
    users::Users,
};
use crate::{
    auth::Verifier,
    chat::Chat,
    contract, engine,
    error::Error,
    metrics::{self, Tally},
    room::Departure,
};

/// The concurrent joins of one handshake: each may wait for the database.
const JOINS_AT_ONCE: usize = 8;

/// The node's entrance, for clients with tokens or for guests.
pub struct Entrance {
    /// The use cases.
    pub chat: Arc<Chat>,
    /// The verifier of tokens; None lets guests in.
    pub verifier: Option<Arc<Verifier>>,
    /// Tracks the unanswered events.
    pub unanswered: TaskTracker,
    /// The bytes in flight to all clients.
    pub backlogs: Arc<Backlogs>,
    /// The clients of each user.
    pub users: Arc<Users>,
    /// The figures of all clients.
    pub metrics: Arc<metrics::Realtime>,
    /// The memory left for early sends.
    pub early: EarlyBytes,
}

impl Entrance {
    /// Authenticates a client, and sets its handlers.
    ///
    /// # Errors
    ///
    /// The message for the refused client; it begins with the error's code.
    pub fn connect(&self, socket: &SocketRef, auth: TryData<Box<RawValue>>) -> Result<(), String> {
        let client = self.client(socket, auth);
        self.metrics.note_connect(client.as_ref());
        let client = client.map_err(|error| {
            if let Some(session) = session(socket) {
                session.leave();
            }
            format!("{}: {error}", error.code())
        })?;
        client
            .span(socket)
            .in_scope(|| tracing::debug!(transport = ?socket.transport_type(), "connected"));
        socket.extensions.insert(Arc::new(client));
        socket.on_fallback(handlers::answer);
        socket.on_disconnect(disconnected);
        Ok(())
    }

    fn client(&self, socket: &Socket, auth: TryData<Box<RawValue>>) -> Result<Client, Error> {
        let mut auth = parse(auth)?;
        let rooms = rooms(&mut auth, self.chat.max_rooms())?;
        let (identity, lease) = credentials::authenticate(self.verifier.clone(), auth, socket)?;
        Ok(Client {
            chat: self.chat.clone(),
            participant: Arc::new(self.chat.connect(identity)),
            lease: lease.map(Box::new),
            turns: Turns::while_connecting(),
            unanswered: self.unanswered.clone(),
            is_cut: AtomicBool::new(false),
            is_listed: AtomicBool::new(false),
            hears_own: AtomicBool::new(false),
            backlog: Backlog::default(),
            backlogs: self.backlogs.clone(),
            users: self.users.clone(),
            metrics: self.metrics.clone(),
            _tally: Tally::of_one(self.metrics.clients.clone()),
            early: EarlySends::new(self.early.clone()),
            rooms: Mutex::new(rooms),
        })
    }
}

/// Parses a client's handshake.
fn parse(auth: TryData<Box<RawValue>>) -> Result<Auth, Error> {
    let auth = auth
        .0
        .map_err(|error| Error::InvalidPayload(format!("auth: {error}")))?;
    contract::parse(auth.get())
}

/// Takes the rooms out of a handshake.
fn rooms(auth: &mut Auth, max_rooms: usize) -> Result<Vec<JoinRoom>, Error> {
    let rooms = auth.rooms.take().unwrap_or_default();
    if rooms.len() > max_rooms {
        return Err(Error::InvalidPayload(format!(
            "rooms: must be at most {max_rooms}"
        )));
    }
    Ok(rooms)
}

/// A newly connected socket.
pub struct Connected(Arc<Socket>);

impl FromConnectParts<LocalAdapter> for Connected {
    type Error = Infallible;

    fn from_connect_parts(socket: &Arc<Socket>, _: &Option<Value>) -> Result<Self, Infallible> {
        Ok(Self(socket.clone()))
    }
}

/// Joins the rooms of the handshake, then starts the client's turns.
pub async fn connected(Connected(socket): Connected) {
    let client = Client::from_socket(&socket);
    if let Some(lease) = &client.lease {
        credentials::watch(&socket, lease);
    }
    if let Some(session) = session(&socket) {
        session.enter();
    }
    client.list(&socket);
    panics::survived(join_rooms(&socket, &client)).await;
    client.turns.end_connecting();
}

async fn join_rooms(socket: &Arc<Socket>, client: &Arc<Client>) {
    let rooms = mem::take(&mut *client.rooms.lock().unwrap_or_else(PoisonError::into_inner));
    let joins = stream::iter(rooms).map(async |join| {
        let reply = Reply::to_handshake(socket, client, join.room_id.clone());
        if let Err(error) = handlers::enter(client, reply.clone(), join).await {
            reply.error(&error);
        }
    });
    joins
        .buffer_unordered(JOINS_AT_ONCE)
        .for_each(async |()| {})
        .await;
}

async fn disconnected(socket: SocketRef, io: SocketIo, reason: DisconnectReason) {
    let how = match reason {
        DisconnectReason::ClientNSDisconnect | DisconnectReason::ServerNSDisconnect => {
            Departure::Left
        }
        _ => Departure::Broken,
    };
    let client = Client::from_socket(&socket);
    client
        .span(&socket)
        .in_scope(|| tracing::debug!(?reason, "disconnected"));
    client.early.clear();
    client.unlist(&socket);
    panics::survived(client.chat.disconnect(&client.participant, how)).await;
    if let Some(session) = session(&socket)
        && how == Departure::Left
    {
        tokio::spawn(leave_when_gone(session.clone(), socket.id, io));
    }
}

/// Tells a session that its client has left the chat, once the library has removed the socket. It
/// does so right after the disconnect handler, without a notification.
async fn leave_when_gone(session: engine::Session, socket: Sid, io: SocketIo) {
    while io
        .of("/")
        .is_some_and(|namespace| namespace.get_socket(socket).is_some())
    {
        tokio::task::yield_now().await;
    }
    session.leave();
}
