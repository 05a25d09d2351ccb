//! Calls: clients' events, with everything for their handlers.

use std::{mem, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use serde::{Serialize, de::DeserializeOwned};
use socketioxide::{
    adapter::LocalAdapter,
    handler::{FromMessageParts, Value},
    socket::Socket,
};

use super::{
    client::{Client, session},
    protocol,
    reply::Reply,
    turn::Turn,
};
use crate::{
    contract::{self, SendMessage},
    error::Error,
};

/// A handler of an event, by its name.
pub type Handler = fn(Call) -> BoxFuture<'static, ()>;

/// An event of a client.
///
/// The library extracts calls in wire order, before it spawns their handlers, so the extraction draws
/// the event's turn. The turn ends with the call, or with [`Call::end_turn`].
pub struct Call {
    /// The client.
    pub client: Arc<Client>,
    /// The reply channel.
    pub reply: Reply,
    turn: Option<Turn>,
    packet: Value,
}

/// The error of an event beyond a limit. It has been answered, and goes no further.
#[derive(Debug, thiserror::Error)]
#[error("refused")]
pub struct Refused;

impl Call {
    /// Returns the name of the event.
    pub fn event(&self) -> &str {
        protocol::event_name(text(&self.packet))
    }

    /// Returns the client's socket.
    pub fn socket(&self) -> &Arc<Socket> {
        self.reply.socket()
    }

    /// Waits for the event's turn, and returns its payload.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPayload`]; otherwise as [`Call::wait`].
    pub async fn request<R: DeserializeOwned>(&mut self) -> Result<R, Error> {
        // The packet may share the buffer of its connection: it is dropped before the wait.
        let request = payload(text(&self.packet));
        self.packet = empty();
        self.wait().await?;
        request
    }

    /// Waits for the event's turn.
    ///
    /// # Errors
    ///
    /// [`Error::TokenExpired`] when the client's token has expired by then.
    pub async fn wait(&mut self) -> Result<(), Error> {
        if let Some(turn) = &mut self.turn {
            turn.wait().await;
        }
        let lease = self.client.lease.as_ref();
        lease.map_or(Ok(()), |lease| lease.check_time())
    }

    /// Ends the event's turn, so that the client's later events are handled.
    pub fn end_turn(&mut self) {
        self.turn = None;
    }

    /// Handles the event, and answers with the result.
    ///
    /// As an `async fn`, it would hold the handler's future twice.
    pub fn answer<T, F>(self, handle: impl FnOnce(Self) -> F) -> impl Future<Output = ()>
    where
        T: Serialize,
        F: Future<Output = Result<T, Error>>,
    {
        let reply = self.reply.clone();
        handle(self).map(move |result| reply.result(result))
    }
}

impl FromMessageParts<LocalAdapter> for Call {
    type Error = Refused;

    /// Makes a call, or answers a refused event here: the library spawns a task only for events with
    /// a call, and one payload can bring a hundred thousand events.
    fn from_message_parts(
        socket: &Arc<Socket>,
        packet: &mut Value,
        ack_id: &Option<i64>,
    ) -> Result<Self, Refused> {
        let client = Client::from_socket(socket);
        let event = text(packet);
        let reply = Reply::to_event(socket, &client, *ack_id, protocol::event_name(event));
        match turn(&client, socket, event.len()) {
            Ok(turn) => Ok(Self {
                client,
                reply,
                turn: Some(turn),
                packet: mem::replace(packet, empty()),
            }),
            Err(error) => {
                if protocol::event_name(text(packet)) == SendMessage::EVENT {
                    client.metrics.sends.note(Err(&error));
                }
                reply.error(&error);
                Err(Refused)
            }
        }
    }
}

/// Counts an event, and draws its turn.
fn turn(client: &Client, socket: &Socket, bytes: usize) -> Result<Turn, Error> {
    if let Some(session) = session(socket) {
        session.count_event(bytes)?;
    }
    client.turns.draw(bytes)
}

/// Returns the first argument, parsed. The library's own extractor would leave a bad one unanswered.
fn payload<R: DeserializeOwned>(packet: &str) -> Result<R, Error> {
    contract::parse(protocol::first_argument(packet)?.get())
}

fn text(packet: &Value) -> &str {
    packet.as_str().map_or("", |text| text)
}

fn empty() -> Value {
    Value::Str("".into(), None)
}
