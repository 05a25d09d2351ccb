//! The listener, and the connections that it accepts.

mod connection;
mod sessions;

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::connect_info::{ConnectInfo, Connected, IntoMakeServiceWithConnectInfo},
    middleware::AddExtension,
    serve::{IncomingStream, Listener, Serve},
};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

pub use self::{
    connection::{Connection, ConnectionHandle},
    sessions::{Sessions, Transport},
};

/// The port that is listened on.
#[derive(Debug)]
pub struct Incoming {
    listener: TcpListener,
    user_timeout: Duration,
}

/// Listens on an address. Accepted connections send small packets without waiting for more (`TCP_NODELAY`); on Linux, they
/// end when the peer takes no bytes that wait for it for `user_timeout` (`TCP_USER_TIMEOUT`; zero: never by this), be it
/// that it has gone or that it does not read.
///
/// Errors when the address is taken or not this machine's.
pub async fn listen(address: SocketAddr, user_timeout: Duration) -> io::Result<Incoming> {
    Ok(Incoming { listener: TcpListener::bind(address).await?, user_timeout })
}

impl Incoming {
    fn set_options(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if !self.user_timeout.is_zero() {
            SockRef::from(stream).set_tcp_user_timeout(Some(self.user_timeout))?;
        }
        Ok(())
    }
}

impl Listener for Incoming {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = self.set_options(&stream) {
            tracing::debug!(%error, "socket options not set");
        }
        (Connection::from(stream), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Incoming>> for ConnectionHandle {
    fn connect_info(stream: IncomingStream<'_, Incoming>) -> Self {
        stream.io().handle()
    }
}

/// Serves what comes in; requests know their connection, as `ConnectInfo<ConnectionHandle>`.
pub fn serve(
    incoming: Incoming,
    router: Router,
) -> Serve<
    Incoming,
    IntoMakeServiceWithConnectInfo<Router, ConnectionHandle>,
    AddExtension<Router, ConnectInfo<ConnectionHandle>>,
> {
    axum::serve(incoming, router.into_make_service_with_connect_info())
}
