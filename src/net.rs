//! The listener, and the connections that it accepts.

use std::{
    collections::HashMap,
    io::{self, IoSlice},
    net::{Shutdown, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    extract::connect_info::{ConnectInfo, Connected, IntoMakeServiceWithConnectInfo},
    middleware::AddExtension,
    serve::{IncomingStream, Listener, Serve},
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
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

/// An accepted connection, which others may close.
#[derive(Debug)]
pub struct Connection {
    reading: OwnedReadHalf,
    writing: Arc<OwnedWriteHalf>,
}

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        let (reading, writing) = stream.into_split();
        Self { reading, writing: Arc::new(writing) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reading).poll_read(cx, buffer)
    }
}

impl Connection {
    /// Tries `write` whenever there is room to write.
    fn poll_writing(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let stream: &TcpStream = (*self.writing).as_ref();
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match write(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shut_down(&self.writing, Shutdown::Write))
    }
}

fn shut_down(writing: &OwnedWriteHalf, how: Shutdown) -> io::Result<()> {
    let stream: &TcpStream = writing.as_ref();
    SockRef::from(stream).shutdown(how)
}

/// A way to close a connection from elsewhere; it does not keep the connection open.
#[derive(Debug, Clone)]
pub struct ConnectionHandle(Weak<OwnedWriteHalf>);

impl ConnectionHandle {
    /// Ends the connection in both directions, also for a writer that waits for a peer that does not read.
    pub fn close(&self) {
        if let Some(writing) = self.0.upgrade() {
            // It fails when the peer has ended the connection already.
            shut_down(&writing, Shutdown::Both).ok();
        }
    }

    /// Whether the connection is still there.
    pub fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Connected<IncomingStream<'_, Incoming>> for ConnectionHandle {
    fn connect_info(stream: IncomingStream<'_, Incoming>) -> Self {
        Self(Arc::downgrade(&stream.io().writing))
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

/// How many entries [`Sessions`] has at least before it is swept.
const MIN_SWEPT: usize = 64;

/// Sessions that do not live and die with the connection that they began by, by their ids.
#[derive(Debug, Clone, Default)]
pub struct Sessions(Arc<Mutex<Moves>>);

#[derive(Debug, Default)]
struct Moves {
    moves: HashMap<String, Move>,
    sweep_at: usize,
}

#[derive(Debug)]
enum Move {
    /// The session goes on by this connection.
    To(ConnectionHandle),
    /// The session goes on by no connection at all.
    Nowhere,
}

impl Sessions {
    /// Notes that a session goes on by a connection.
    pub fn moved(&self, id: String, connection: ConnectionHandle) {
        let mut state = self.state();
        if state.moves.len() >= state.sweep_at {
            state.moves.retain(|_, moved| !matches!(moved, Move::To(connection) if !connection.is_open()));
            state.sweep_at = MIN_SWEPT.max(2 * state.moves.len());
        }
        state.moves.insert(id, Move::To(connection));
    }

    /// Whether requests of a session are to be refused.
    pub fn is_refused(&self, id: &str) -> bool {
        matches!(self.state().moves.get(id), Some(Move::Nowhere))
    }

    fn state(&self) -> MutexGuard<'_, Moves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What carries one session, be it one connection or many requests.
#[derive(Debug, Clone)]
pub struct Transport {
    /// The connection that the session began by.
    pub connection: ConnectionHandle,
    /// Where it may have gone from there.
    pub sessions: Sessions,
}

impl Transport {
    /// Closes the connection that the session is on.
    pub fn close(&self, id: &str) {
        match self.sessions.state().moves.get(id) {
            Some(Move::To(connection)) => connection.close(),
            Some(Move::Nowhere) => {}
            None => self.connection.close(),
        }
    }

    /// Refuses the session's requests from now on, until it is forgotten.
    pub fn refuse(&self, id: &str) {
        self.sessions.state().moves.insert(id.to_owned(), Move::Nowhere);
    }

    /// Forgets a session that has ended.
    pub fn forget(&self, id: &str) {
        self.sessions.state().moves.remove(id);
    }
}
