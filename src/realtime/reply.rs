//! Answers to clients: an ack or, for an event without one, an event.

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

/// The reply channel of one request. An event is answered once.
#[derive(Debug, Clone)]
pub struct Reply {
    socket: Arc<Socket>,
    request: Request,
    /// A graceful shutdown waits for it.
    _unanswered: TaskTrackerToken,
}

/// A request, as its answer refers to it.
#[derive(Debug, Clone)]
enum Request {
    /// An event with an ack, by the ack's id.
    Acked(i64),
    /// An event without an ack, by its name.
    Unacked(Arc<str>),
    /// A room of the handshake.
    Handshake(RoomId),
}

impl Reply {
    /// A reply channel for an event.
    pub fn to_event(
        socket: &Arc<Socket>,
        client: &Client,
        ack_id: Option<i64>,
        event: &str,
    ) -> Self {
        let unacked = || Request::Unacked((*echoed(event)).into());
        Self::new(socket, client, ack_id.map_or_else(unacked, Request::Acked))
    }

    /// A reply channel for a room of the handshake.
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

    /// Answers with a result. A success without an ack gets no answer.
    pub fn result<T: Serialize>(&self, result: Result<T, Error>) {
        match (result, &self.request) {
            (Ok(body), Request::Acked(id)) => self.ack(*id, &Ack::Ok(body)),
            (Ok(_), _) => {}
            (Err(error), _) => self.error(&error),
        }
    }

    /// Answers a successful join.
    pub fn joined<T: Serialize>(&self, body: T) {
        match self.request {
            Request::Acked(id) => self.ack(id, &Ack::Ok(body)),
            Request::Unacked(_) | Request::Handshake(_) => self.emit(event::HISTORY, &body),
        }
    }

    /// Answers a failure.
    pub fn error(&self, error: &Error) {
        Client::from_socket(&self.socket)
            .metrics
            .note_refusal(error);
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

    /// Handles the failure of an answer. An ended socket loses it, like everything in flight.
    fn check(&self, sent: Result<(), SendError>) {
        match sent {
            Ok(()) | Err(SendError::Socket(SocketError::Closed)) => {}
            Err(SendError::Socket(SocketError::InternalChannelFull)) => overflow::cut(&self.socket),
            Err(error) => tracing::warn!(%error, "answer not sent"),
        }
    }

    /// Returns the client's socket.
    pub fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }
}
