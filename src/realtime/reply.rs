//! Answers an event: by its ack, or, where none was asked for, by an event.

use std::{convert::Infallible, sync::Arc};

use serde::Serialize;
use socketioxide::{
    SendError, SocketError,
    adapter::LocalAdapter,
    extract::AckSender,
    handler::{FromMessageParts, Value},
    socket::Socket,
};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    Client, overflow,
    protocol::{Ack, Failure, JoinRoom, event},
};
use crate::{error::Error, model::RoomId};

/// The way back to whoever sent an event; to be used once.
#[derive(Debug, Clone)]
pub struct Reply {
    socket: Arc<Socket>,
    ack_id: Option<i64>,
    /// The server does not stop before every event it took has been answered.
    _unanswered: TaskTrackerToken,
}

impl Reply {
    /// The way to a client that has asked for nothing by an event.
    pub fn unasked(socket: &Arc<Socket>) -> Self {
        Self {
            socket: socket.clone(),
            ack_id: None,
            _unanswered: Client::of(socket).unanswered.token(),
        }
    }

    /// Answers with what came out; a success that nobody asked to hear of goes unsaid.
    pub fn with<T: Serialize>(self, event: &str, result: Result<T, Error>) {
        match result {
            Ok(body) => self.ok(None, body),
            Err(error) => self.error(event, &error),
        }
    }

    /// Answers a success; where no ack was asked for, by the event named, if any.
    pub fn ok<T: Serialize>(self, event: Option<&str>, body: T) {
        match (self.ack_id, event) {
            (Some(_), _) => self.ack(&Ack::Ok(body)),
            (None, Some(event)) => self.sent(self.socket.emit(event, &body)),
            (None, None) => {}
        }
    }

    /// Answers a failure.
    pub fn error(self, event: &str, error: &Error) {
        let error = error.into();
        if self.ack_id.is_some() {
            self.ack(&Ack::Error::<()> { error });
        } else {
            self.sent(self.socket.emit(
                event::ERROR,
                &Failure {
                    event,
                    room_id: None,
                    error,
                },
            ));
        }
    }

    /// Says that a room which the handshake named was not joined.
    pub fn not_joined(self, room_id: &RoomId, error: &Error) {
        let failure = Failure {
            event: JoinRoom::EVENT,
            room_id: Some(room_id),
            error: error.into(),
        };
        self.sent(self.socket.emit(event::ERROR, &failure));
    }

    fn ack<T: Serialize>(&self, ack: &Ack<'_, T>) {
        let mut no_value = Value::Str("".into(), None);
        let sender = AckSender::from_message_parts(&self.socket, &mut no_value, &self.ack_id);
        match sender {
            Ok(sender) => self.sent(sender.send(ack)),
            Err(never) => match never {},
        }
    }

    /// An answer to a connection that has ended reaches nobody, as with every connection that
    /// breaks.
    fn sent(&self, sent: Result<(), SendError>) {
        match sent {
            Ok(()) | Err(SendError::Socket(SocketError::Closed)) => {}
            Err(SendError::Socket(SocketError::InternalChannelFull)) => overflow::cut(&self.socket),
            Err(error) => tracing::warn!(%error, "answer not sent"),
        }
    }

    /// The socket that the answer goes to.
    pub fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }
}

impl FromMessageParts<LocalAdapter> for Reply {
    type Error = Infallible;

    fn from_message_parts(
        socket: &Arc<Socket>,
        _: &mut Value,
        ack_id: &Option<i64>,
    ) -> Result<Self, Infallible> {
        Ok(Self {
            ack_id: *ack_id,
            ..Self::unasked(socket)
        })
    }
}
