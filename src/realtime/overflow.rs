//! Clients that do not read as fast as packets come.
//!
//! One whose queue is full has lost a packet. It loses its connection, too: then it comes back by
//! itself, which it would not after a Socket.IO disconnect packet, joins again, and gets what it
//! missed.

use std::sync::atomic::Ordering;

use serde::{Serialize, Serializer, ser::Error};
use socketioxide::{SendError, SocketError, socket::Socket};

use super::{Client, session};

/// Breaks the connection of a client that has lost a packet.
pub(super) fn cut(socket: &Socket) {
    let client = Client::of(socket);
    let Some(session) = session(socket) else {
        return;
    };
    if client.cut.swap(true, Ordering::Relaxed) {
        return;
    }
    client
        .span()
        .in_scope(|| tracing::warn!("a client that does not read in time loses its connection"));
    session.close();
}

/// Whether a client has been cut already, or its queue is full.
pub(super) fn has_overflowed(socket: &Socket) -> bool {
    Client::of(socket).cut.load(Ordering::Relaxed)
        || matches!(
            socket.emit("", &Probe),
            Err(SendError::Socket(SocketError::InternalChannelFull))
        )
}

/// What cannot be encoded. As the library takes a place in the queue before it encodes, this tells
/// whether there is one, and nothing is sent.
struct Probe;

impl Serialize for Probe {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("a probe"))
    }
}
