//! The listener, and the connections that it accepts.

mod address;
mod admission;
mod connection;

use std::{
    future, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    time::Duration,
};

use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

pub(crate) use self::connection::Connection;
pub use self::{
    address::{TrustedProxies, hops},
    admission::{Admission, AdmissionSettings, OWN_FILES, Place},
    connection::ConnectionHandle,
};

/// The most bytes of a request's line and headers together.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;

/// The most bytes that are read ahead, or wait to be written, of one connection's requests and
/// responses.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// How many connections may wait until they are accepted; the kernel may allow fewer
/// (`net.core.somaxconn`). After a break thousands come at once, and one that finds no room comes
/// again only after a second, or after three. With the default of 128 that befell every storm.
pub const BACKLOG: u32 = 4096;

/// How long a connection may stay open between two requests, which includes reading the second
/// one's headers. Proxies keep theirs for 60 seconds, and would sometimes send a request at the
/// very end of a shorter time.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The least time between two warnings that connections are refused.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// What a deployment may set.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// How long a client may take no bytes that wait for it (`TCP_USER_TIMEOUT`, Linux only), be it
    /// that it has gone or that it does not read; zero: as long as the operating system allows.
    pub tcp_user_timeout: Duration,
    /// How long a client may take until its first request's headers have come.
    pub handshake_timeout: Duration,
}

/// The port that is listened on.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    timeouts: Timeouts,
    admission: Admission,
    warned: Option<Instant>,
}

/// Listens on an address; on `::` for IPv4 too, and for IPv4 alone where the machine has no IPv6.
/// Accepted connections send small packets without waiting for more (`TCP_NODELAY`); those for whom
/// there is no place are closed at once.
///
/// Errors when the address is taken or not this machine's.
pub fn listen(
    address: SocketAddr,
    timeouts: Timeouts,
    admission: Admission,
) -> io::Result<Listener> {
    let listener = match bound(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && !is_refusal(&error) => {
            bound((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        listener => listener,
    }?;
    Ok(Listener {
        listener,
        timeouts,
        admission,
        warned: None,
    })
}

fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // So that a new process can listen while connections of the last one are still ending, as with
    // `TcpListener::bind`.
    socket.set_reuseaddr(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Some systems, and some administrators, have it otherwise.
        SockRef::from(&socket).set_only_v6(false)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Tells whether the port is what is wrong, rather than that there is no IPv6.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

impl Listener {
    /// Where it listens.
    ///
    /// Errors as the operating system does.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection for which there is a place.
    async fn accept(&mut self) -> (Connection, Peer) {
        loop {
            // It waits a moment where the process has too many files open.
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            // On `::`, clients of IPv4 have addresses such as ::ffff:192.0.2.1.
            let address = address.ip().to_canonical();
            let Some(place) = self.admission.connection(address) else {
                self.refuse(stream, address);
                continue;
            };
            if let Err(error) = self.set_options(&stream) {
                tracing::debug!(%error, "socket options not set");
            }
            let connection = Connection::new(stream, place);
            let peer = Peer {
                connection: connection.handle(),
                address,
            };
            return (connection, peer);
        }
    }

    fn refuse(&mut self, stream: TcpStream, address: IpAddr) {
        drop(stream);
        if self
            .warned
            .is_none_or(|warned| warned.elapsed() >= WARNING_INTERVAL)
        {
            self.warned = Some(Instant::now());
            tracing::warn!(%address, "too many connections: further ones are closed at once");
        }
    }

    fn set_options(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if !self.timeouts.tcp_user_timeout.is_zero() {
            SockRef::from(stream).set_tcp_user_timeout(Some(self.timeouts.tcp_user_timeout))?;
        }
        Ok(())
    }
}

/// Whom a request comes from; each has it as an extension.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The connection that it came by.
    pub connection: ConnectionHandle,
    /// The address at the connection's other end, be it a client's or a proxy's.
    pub address: IpAddr,
}

/// Serves what comes in until `stopping`, then answers the requests that are under way. Connections
/// end with this future; those that have become WebSockets go on by themselves.
pub async fn serve(mut listener: Listener, router: Router, stopping: CancellationToken) {
    let mut connections = JoinSet::new();
    let handshake = listener.timeouts.handshake_timeout;
    loop {
        tokio::select! {
            (connection, peer) = listener.accept() => {
                connections.spawn(carry(connection, peer, router.clone(), handshake, stopping.clone()));
            }
            Some(_) = connections.join_next() => {}
            () = stopping.cancelled() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection's requests.
async fn carry(
    connection: Connection,
    peer: Peer,
    router: Router,
    handshake_timeout: Duration,
    stopping: CancellationToken,
) {
    let first_request = Notify::new();
    let service = service_fn(|mut request: Request<Incoming>| {
        first_request.notify_one();
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request)
    });
    let serving = protocol()
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let served = async {
        tokio::select! {
            _ = serving.as_mut() => return,
            () = stopping.cancelled() => serving.as_mut().graceful_shutdown(),
        }
        serving.await.ok();
    };
    tokio::select! {
        () = served => {}
        () = silence(&first_request, handshake_timeout) => {}
    }
}

fn protocol() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(KEEP_ALIVE);
    http.max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES);
    http
}

/// Ends when the first request has not come in time.
async fn silence(first_request: &Notify, limit: Duration) {
    if timeout(limit, first_request.notified()).await.is_ok() {
        future::pending().await
    }
}
