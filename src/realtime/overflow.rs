//! Clients that read slower than packets come.
//!
//! A client whose queue is full has lost a packet, so its connection is broken, too. Then it comes
//! back by itself, which it would not after a Socket.IO disconnect packet, joins again, and gets
//! what it missed. The same happens to a client whose backlog grows too large.

use std::sync::{Arc, atomic::Ordering};

use serde::{Serialize, Serializer, ser::Error as _};
use socketioxide::{SendError, SocketError, extract::SocketRef, socket::Socket};

use super::{
    backlog::{Backlogs, MAX_UNREAD_BYTES, MAX_WAITING_BYTES, RETRY_AFTER, Slow},
    client::{Client, session},
};
use crate::{
    error::Error,
    model::{EncodedMessage, RoomId},
};

/// Breaks the connection of a client that has lost a packet.
pub fn cut(socket: &Socket) {
    let client = Client::from_socket(socket);
    let Some(session) = session(socket) else {
        return;
    };
    if client.is_cut.swap(true, Ordering::Relaxed) {
        return;
    }
    client
        .span()
        .in_scope(|| tracing::warn!("a client that does not read in time loses its connection"));
    session.close();
}

/// Returns true when a client has been cut already, or its queue is full.
pub fn has_overflowed(socket: &Socket) -> bool {
    Client::from_socket(socket).is_cut.load(Ordering::Relaxed)
        || matches!(
            socket.emit("", &Probe),
            Err(SendError::Socket(SocketError::InternalChannelFull))
        )
}

/// A value that cannot be encoded. The library takes a place in the queue before it encodes, so
/// emitting a probe shows if there is one, and sends nothing.
struct Probe;

impl Serialize for Probe {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("a probe"))
    }
}

/// Counts a packet to all clients in a room.
pub fn count_packet(backlogs: &Backlogs, room: &RoomId, bytes: usize) {
    if backlogs.count_packet(room, bytes as u64) {
        sweep(backlogs);
    }
}

/// Counts an answer with messages, and cuts its client when the backlog is too large.
pub fn count_answer(client: &Client, socket: &Socket, messages: &[EncodedMessage]) {
    let Some(session) = session(socket) else {
        return;
    };
    let bytes = messages.iter().map(|message| message.json().len() as u64);
    let bytes = bytes.sum();
    if client.backlog.add(bytes, session.bytes_taken()) > MAX_WAITING_BYTES {
        cut(socket);
    }
    if client.backlogs.count(bytes) {
        sweep(&client.backlogs);
    }
}

/// Checks that a client may be given an answer with messages.
///
/// # Errors
/// [`Error::RateLimited`] when its backlog is too large, or that of all clients together.
pub fn check(client: &Client, socket: &Socket) -> Result<(), Error> {
    let Some(session) = session(socket) else {
        return Ok(());
    };
    let backlogs = &client.backlogs;
    if backlogs.is_full() && backlogs.may_sweep() {
        sweep(backlogs);
    }
    if client.backlog.add(0, session.bytes_taken()) > MAX_UNREAD_BYTES || backlogs.is_full() {
        return Err(Error::RateLimited {
            retry_after: RETRY_AFTER,
        });
    }
    Ok(())
}

/// Cuts the clients with the largest backlogs.
fn sweep(backlogs: &Backlogs) {
    let sockets = backlogs.begin_sweep();
    let slow: Vec<_> = sockets.into_iter().filter_map(slow).collect();
    let bound = backlogs.bound(&slow);
    slow.iter()
        .filter(|client| client.total > bound)
        .for_each(|client| cut(&client.socket));
}

/// Returns a client with a backlog that is not always allowed.
fn slow(socket: SocketRef) -> Option<Slow<SocketRef>> {
    // A socket is listed before it has its client.
    let client = socket.extensions.get::<Arc<Client>>()?;
    let taken = session(&socket)?.bytes_taken();
    client.backlog.slow(taken, socket)
}
