//! A connection, and a handle that closes it from elsewhere.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
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

use super::Place;

/// An accepted connection, which others may close. It counts as long as it is open.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    broken: bool,
    _place: Place,
}

/// What others reach of a connection.
#[derive(Debug)]
struct Shared {
    stream: TcpStream,
    /// In bytes.
    written: AtomicU64,
}

impl Connection {
    /// A connection that takes a place.
    pub(super) fn new(stream: TcpStream, place: Place) -> Self {
        let shared = Shared {
            stream,
            written: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            broken: false,
            _place: place,
        }
    }

    /// A handle to it.
    pub(super) fn handle(&self) -> ConnectionHandle {
        ConnectionHandle(Arc::downgrade(&self.shared))
    }

    /// Ends the connection behind what has been written. What has come and was not read is thrown
    /// away: the system would answer it by a reset, and with that the peer may lose what was
    /// written.
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

    /// Tries `write` whenever there is room to write.
    ///
    /// What cannot be written any more counts as written: that the connection has ended is for its
    /// reader to hear. The library goes on to write what is queued for a WebSocket, and would keep
    /// it (450 MB for 50 clients who did not read, instead of 80); and when the first packet of an
    /// Engine.IO 3 session cannot be written, it keeps that session for ever.
    fn poll_writing(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.broken {
            return Poll::Ready(Ok(bytes));
        }
        let stream = &self.shared.stream;
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match write(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.broken = true;
                    return Poll::Ready(Ok(bytes));
                }
                Ok(written) => {
                    self.shared
                        .written
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
        self.poll_writing(cx, bytes.len(), |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        self.poll_writing(cx, bytes, |stream| stream.try_write_vectored(slices))
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

/// A way to close a connection from elsewhere; it does not keep the connection open.
#[derive(Debug, Clone)]
pub struct ConnectionHandle(Weak<Shared>);

impl ConnectionHandle {
    /// Ends the connection in both directions, also for a writer that waits for a peer that does
    /// not read.
    pub fn close(&self) {
        if let Some(connection) = self.0.upgrade() {
            // It fails when the peer has ended the connection already.
            SockRef::from(&connection.stream)
                .shutdown(Shutdown::Both)
                .ok();
        }
    }

    /// How many bytes the connection has taken; 0 once it has gone.
    pub fn written(&self) -> u64 {
        self.0
            .upgrade()
            .map_or(0, |connection| connection.written.load(Ordering::Relaxed))
    }
}
