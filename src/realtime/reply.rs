//! Answers to clients: by an ack, or, where none was asked for, by an event.

use std::sync::Arc;

use serde::Serialize;
use socketioxide::{
    SendError, SocketError,
    extract::AckSender,
    handler::{FromMessageParts, Value},
    socket::Socket,
};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    client::Client,
    overflow,
    protocol::{Ack, Failure, JoinRoom, echoed, event},
};
use crate::{error::Error, model::RoomId};

/// The way of an answer to its client; an event is answered once.
#[derive(Debug, Clone)]
pub struct Reply {
    socket: Arc<Socket>,
    request: Request,
    /// The server does not stop before every event that it took has been answered.
    _unanswered: TaskTrackerToken,
}

/// The mark by which a client tells its answers apart.
#[derive(Debug, Clone)]
enum Request {
    /// An event that asked for an ack, by the ack's id.
    Acked(i64),
    /// An event that asked for none, by its name.
    Unacked(Arc<str>),
    /// A room that the handshake named.
    Handshake(RoomId),
}

impl Reply {
    /// Answers an event, called `event`.
    pub fn to_event(
        socket: &Arc<Socket>,
        client: &Client,
        ack_id: Option<i64>,
        event: &str,
    ) -> Self {
        let unacked = || Request::Unacked((*echoed(event)).into());
        Self::new(socket, client, ack_id.map_or_else(unacked, Request::Acked))
    }

    /// Answers the handshake's request to join a room.
    pub fn to_handshake(socket: &Arc<Socket>, client: &Client, room: RoomId) -> Self {
        Self::new(socket, client, Request::Handshake(room))
    }

    fn new(socket: &Arc<Socket>, client: &Client, request: Request) -> Self {
        Self {
            socket: socket.clone(),
            request,
            _unanswered: client.unanswered.token(),
        }
    }

    /// Answers with a result. A success that asked for no ack gets no answer.
    pub fn result<T: Serialize>(&self, result: Result<T, Error>) {
        match (result, &self.request) {
            (Ok(body), Request::Acked(id)) => self.ack(*id, &Ack::Ok(body)),
            (Ok(_), _) => {}
            (Err(error), _) => self.error(&error),
        }
    }

    /// Answers a join that succeeded.
    pub fn joined<T: Serialize>(&self, body: T) {
        match self.request {
            Request::Acked(id) => self.ack(id, &Ack::Ok(body)),
            Request::Unacked(_) | Request::Handshake(_) => self.emit(event::HISTORY, &body),
        }
    }

    /// Answers a failure.
    pub fn error(&self, error: &Error) {
        let error = error.into();
        let (event, room_id) = match &self.request {
            Request::Acked(id) => return self.ack(*id, &Ack::Error::<()> { error }),
            Request::Unacked(event) => (&**event, None),
            Request::Handshake(room) => (JoinRoom::EVENT, Some(room)),
        };
        let failure = Failure {
            event,
            room_id,
            error,
        };
        self.emit(event::ERROR, &failure);
    }

    fn ack<T: Serialize>(&self, id: i64, ack: &Ack<'_, T>) {
        let mut no_value = Value::Str("".into(), None);
        let sender = AckSender::from_message_parts(&self.socket, &mut no_value, &Some(id));
        match sender {
            Ok(sender) => self.check(sender.send(ack)),
            Err(never) => match never {},
        }
    }

    fn emit<T: Serialize>(&self, event: &str, body: &T) {
        self.check(self.socket.emit(event, body));
    }

    /// Handles an answer that was not sent. On a connection that has ended, it is lost like
    /// everything on a connection that breaks.
    fn check(&self, sent: Result<(), SendError>) {
        match sent {
            Ok(()) | Err(SendError::Socket(SocketError::Closed)) => {}
            Err(SendError::Socket(SocketError::InternalChannelFull)) => overflow::cut(&self.socket),
            Err(error) => tracing::warn!(%error, "answer not sent"),
        }
    }

    /// Returns the socket that the answer goes to.
    pub fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }
}
