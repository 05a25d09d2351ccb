//! The listener: accepts connections, sets their options, and refuses those without a slot.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};

use super::{
    admission::Admission,
    connection::{Connection, Peer},
};

/// The most connections waiting to be accepted; the kernel may allow fewer (`net.core.somaxconn`).
/// After a break thousands of clients connect at once, and a client that finds the backlog full
/// tries again only after one second, or after three. The default of 128 was too small in every
/// such storm.
pub const BACKLOG: u32 = 4096;

/// The least time between two warnings about refused connections.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Time limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// The time limit for a client to take waiting bytes, after which it counts as gone or not
    /// reading and loses its connection (`TCP_USER_TIMEOUT`, Linux only); zero: the operating
    /// system's limit.
    pub tcp_user_timeout: Duration,
    /// The time limit for the headers of a client's first request.
    pub handshake_timeout: Duration,
}

/// A listening port.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    timeouts: Timeouts,
    admission: Admission,
    warned: Option<Instant>,
}

/// Listens on an address; on `::` for IPv4 too, and for IPv4 alone where the machine has no IPv6.
/// Accepted connections send small packets at once (`TCP_NODELAY`); a connection without a slot is
/// closed immediately.
///
/// # Errors
///
/// The address is taken, or belongs to another machine.
pub fn listen(
    address: SocketAddr,
    timeouts: Timeouts,
    admission: Admission,
) -> io::Result<Listener> {
    let listener = match bind(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && !is_about_port(&error) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
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

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // A new process can listen while connections of the last one are still ending, as with
    // `TcpListener::bind`.
    socket.set_reuseaddr(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // The default differs between systems, and an administrator may change it.
        SockRef::from(&socket).set_only_v6(false)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Returns true if the error is about the port, rather than about a machine without IPv6.
fn is_about_port(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

impl Listener {
    /// Returns the listening address.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Accepts the next connection with a free slot.
    pub(super) async fn accept(&mut self) -> (Connection, Peer) {
        loop {
            // It pauses for a moment while the process has too many files open.
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            // On `::`, clients of IPv4 have addresses such as ::ffff:192.0.2.1.
            let address = address.ip().to_canonical();
            let Some(slot) = self.admission.admit(address) else {
                self.refuse(stream, address);
                continue;
            };
            if let Err(error) = self.set_options(&stream) {
                tracing::debug!(%error, "socket options not set");
            }
            let connection = Connection::new(stream, slot);
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
