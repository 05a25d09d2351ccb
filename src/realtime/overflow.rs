//! Backpressure on clients slower than their packets.
//!
//! A client with a full queue loses a packet, and with it its connection. Then it reconnects by
//! itself, joins again, and resumes without a gap; after a Socket.IO disconnect packet it would stay
//! away. A client with too large a backlog is cut likewise.

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

/// Breaks a client's connection, so that the client comes back and resumes.
pub fn cut(socket: &Socket) {
    let client = Client::from_socket(socket);
    let Some(session) = session(socket) else {
        return;
    };
    if client.is_cut.swap(true, Ordering::Relaxed) {
        return;
    }
    client.metrics.cut.inc();
    client
        .span(socket)
        .in_scope(|| tracing::warn!("a slow client loses its connection"));
    session.close();
}

/// Returns true when a client's queue is full, or the client has been cut already.
pub fn has_overflowed(socket: &Socket) -> bool {
    Client::from_socket(socket).is_cut.load(Ordering::Relaxed)
        || matches!(
            socket.emit("", &Probe),
            Err(SendError::Socket(SocketError::InternalChannelFull))
        )
}

/// A value without an encoding. The library takes a place in the queue before it encodes, so
/// emitting a probe fails one way on a full queue, another way otherwise, and sends nothing.
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
pub fn count_answer<'a>(
    client: &Client,
    socket: &Socket,
    messages: impl IntoIterator<Item = &'a EncodedMessage>,
) {
    let messages = messages.into_iter();
    let bytes = messages.map(|message| message.json().len() as u64);
    count_bytes(client, socket, bytes.sum());
}

/// Counts bytes sent to one client, and cuts it when the backlog is too large.
pub fn count_bytes(client: &Client, socket: &Socket, bytes: u64) {
    let Some(session) = session(socket) else {
        return;
    };
    if client.backlog.add(bytes, session.bytes_taken()) > MAX_WAITING_BYTES {
        cut(socket);
    }
    if client.backlogs.count(bytes) {
        sweep(&client.backlogs);
    }
}

/// Checks the backlogs before an answer with messages.
///
/// # Errors
///
/// [`Error::RateLimited`] when the client's backlog is too large, or the sum of all.
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

/// Returns a client with a backlog over [`MIN_WAITING_BYTES`](super::backlog::MIN_WAITING_BYTES).
fn slow(socket: SocketRef) -> Option<Slow<SocketRef>> {
    // The library lists a socket before it has its client.
    let client = socket.extensions.get::<Arc<Client>>()?;
    let taken = session(&socket)?.bytes_taken();
    client.backlog.slow(taken, socket)
}
