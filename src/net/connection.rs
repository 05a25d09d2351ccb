//! TCP connections, and handles to close them from elsewhere.

use std::{
    io::{self, IoSlice},
    net::{IpAddr, Shutdown},
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::slots::Slot;

/// An accepted connection. It holds its slot while it is open, and a [`ConnectionHandle`] can close
/// it.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    is_broken: bool,
    _slot: Slot,
}

/// The part of a connection that its handles reach.
#[derive(Debug)]
struct Shared {
    stream: TcpStream,
    bytes_written: AtomicU64,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, slot: Slot) -> Self {
        let shared = Shared {
            stream,
            bytes_written: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            is_broken: false,
            _slot: slot,
        }
    }

    /// Returns a handle to close the connection from elsewhere.
    pub(super) fn handle(&self) -> ConnectionHandle {
        ConnectionHandle(Arc::downgrade(&self.shared))
    }

    /// Ends the connection after the bytes already written. Discards unread bytes: the system would
    /// answer them with a reset, and a reset may cost the peer the bytes already written.
    pub(crate) fn end(&self) {
        let mut unread = [0; 4096];
        while self
            .shared
            .stream
            .try_read(&mut unread)
            .is_ok_and(|bytes| bytes > 0)
        {}
        SockRef::from(&self.shared.stream)
            .shutdown(Shutdown::Write)
            .ok();
    }

    /// Tries `write` whenever the stream is ready for it.
    ///
    /// After the connection has ended, bytes count as written; only its reader learns of the end.
    /// After an error the library would go on writing a WebSocket's queue, and keep it (450 MB for
    /// 50 clients that did not read, instead of 80); and it would keep an Engine.IO 3 session for
    /// ever if its first packet failed.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.is_broken {
            return Poll::Ready(Ok(bytes));
        }
        let stream = &self.shared.stream;
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match write(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.is_broken = true;
                    return Poll::Ready(Ok(bytes));
                }
                Ok(written) => {
                    self.shared
                        .bytes_written
                        .fetch_add(written as u64, Ordering::Relaxed);
                    return Poll::Ready(Ok(written));
                }
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = &self.shared.stream;
        loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, bytes.len(), |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        self.poll_write_with(cx, bytes, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.shared.stream).shutdown(Shutdown::Write))
    }
}

/// A handle that closes a connection from elsewhere; it does not keep the connection open.
#[derive(Debug, Clone)]
pub struct ConnectionHandle(Weak<Shared>);

impl ConnectionHandle {
    /// Ends the connection in both directions, even while its writer waits for the peer to read.
    pub fn close(&self) {
        if let Some(connection) = self.0.upgrade() {
            // Fails if the peer has ended the connection already.
            SockRef::from(&connection.stream)
                .shutdown(Shutdown::Both)
                .ok();
        }
    }

    /// Returns the bytes that the operating system has taken from the connection; 0 once it has
    /// gone.
    pub fn bytes_written(&self) -> u64 {
        self.0.upgrade().map_or(0, |connection| {
            connection.bytes_written.load(Ordering::Relaxed)
        })
    }
}

/// The peer of a request's connection; each request has it as an extension.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The connection of the request.
    pub connection: ConnectionHandle,
    /// The address of the connection's other end, a client's or a proxy's.
    pub address: IpAddr,
}
