//! A connection, and a handle that closes it from elsewhere.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::admission::Place;

/// An accepted connection, which others may close. It counts as long as it is open.
#[derive(Debug)]
pub struct Connection {
    stream: Arc<TcpStream>,
    _place: Place,
}

impl Connection {
    /// A connection that takes a place.
    pub(super) fn new(stream: TcpStream, place: Place) -> Self {
        Self { stream: Arc::new(stream), _place: place }
    }

    /// A handle to it.
    pub(super) fn handle(&self) -> ConnectionHandle {
        ConnectionHandle(Arc::downgrade(&self.stream))
    }

    /// Tries `write` whenever there is room to write.
    fn poll_writing(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
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
        Poll::Ready(SockRef::from(&*self.stream).shutdown(Shutdown::Write))
    }
}

/// A way to close a connection from elsewhere; it does not keep the connection open.
#[derive(Debug, Clone)]
pub struct ConnectionHandle(Weak<TcpStream>);

impl ConnectionHandle {
    /// Ends the connection in both directions, also for a writer that waits for a peer that does not read.
    pub fn close(&self) {
        if let Some(stream) = self.0.upgrade() {
            // It fails when the peer has ended the connection already.
            SockRef::from(&*stream).shutdown(Shutdown::Both).ok();
        }
    }

    /// Whether the connection is still there.
    pub fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }
}
