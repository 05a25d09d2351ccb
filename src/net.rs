//! The listener.

use std::{io, net::SocketAddr};

use axum::serve::{ListenerExt, TapIo};
use tokio::net::{TcpListener, TcpStream};

/// Accepted connections.
pub type Incoming = TapIo<TcpListener, fn(&mut TcpStream)>;

/// Listens on an address; accepted connections send small packets without waiting for more (`TCP_NODELAY`).
///
/// Errors when the address is taken or not this machine's.
pub async fn listen(address: SocketAddr) -> io::Result<Incoming> {
    let listener = TcpListener::bind(address).await?;
    Ok(listener.tap_io(set_nodelay))
}

fn set_nodelay(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
}
