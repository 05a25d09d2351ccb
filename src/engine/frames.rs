//! A WebSocket's bytes on their way to the library and back, inspected frame by frame:
//! <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.
//!
//! On the way in, frames are counted, and the next packet is held back while one must be handled
//! alone. On the way out, the library's close packet ends the connection instead: several clients
//! take the packet for final, and never come back.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};

use super::{
    inbound::InboundBudget,
    reader::{FrameReader, Hold},
    session::Session,
    writer::FrameWriter,
};
use crate::net::Connection;

/// The wait before the next read. It yields the permit for a large packet, if it waited for one.
type Wait = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// A WebSocket's connection, as the library reads and writes it.
pub struct Frames {
    connection: Connection,
    session: Session,
    inbound: InboundBudget,
    /// Bytes from the client, not yet read by the library.
    held: BytesMut,
    reader: FrameReader,
    writer: FrameWriter,
    wait: Option<Wait>,
    large: Option<Box<Large>>,
}

/// A large packet on its way in.
struct Large {
    _permit: OwnedSemaphorePermit,
    /// The time limit for its end.
    deadline: Pin<Box<Sleep>>,
}

impl Frames {
    /// Creates the frames of a session's connection; `read` holds the bytes already read from it.
    pub(super) fn new(
        connection: Connection,
        session: Session,
        inbound: InboundBudget,
        read: Bytes,
    ) -> Self {
        let (reader, writer) = (FrameReader::default(), FrameWriter::default());
        Self {
            connection,
            session,
            inbound,
            held: read.into(),
            reader,
            writer,
            wait: None,
            large: None,
        }
    }

    /// Withholds the library's first frame from the client.
    pub(super) fn without_first_answer(mut self) -> Self {
        self.writer = FrameWriter::without_first_frame();
        self
    }

    /// Polls the wait before more is read.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(wait) = &mut self.wait {
            let permit = ready!(wait.as_mut().poll(cx));
            self.wait = None;
            if let Some(permit) = permit {
                let deadline = Box::pin(sleep(self.session.payload_timeout()));
                self.large = Some(Box::new(Large {
                    _permit: permit,
                    deadline,
                }));
            }
        }
        let is_late = self
            .large
            .as_mut()
            .is_some_and(|large| large.deadline.as_mut().poll(cx).is_ready());
        Poll::Ready(if is_late {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(())
        })
    }

    /// Inspects incoming bytes; returns the number of bytes ready for the library.
    fn scan(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let scan = self.reader.scan(bytes, &self.session)?;
        if self.reader.is_between_messages() {
            self.large = None;
        }
        self.wait = scan.hold.map(|hold| self.wait(hold));
        Ok(scan.passed)
    }

    /// Returns the wait until a hold ends.
    fn wait(&self, hold: Hold) -> Wait {
        match hold {
            Hold::UntilReserved(bytes) => Box::pin(self.inbound.reserve(bytes)),
            Hold::UntilSettled => {
                let settled = self.session.wait_until_settled();
                Box::pin(async move {
                    settled.await;
                    None
                })
            }
            Hold::For(time) => Box::pin(async move {
                sleep(time).await;
                None
            }),
        }
    }

    /// Moves held bytes to the buffer, up to the next hold.
    fn read_held(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let most = self.held.len().min(buffer.remaining());
        let mut bytes = self.held.split_to(most);
        let passed = self.scan(&mut bytes)?;
        buffer.put_slice(&bytes[..passed]);
        let mut rest = bytes.split_off(passed);
        rest.unsplit(std::mem::take(&mut self.held));
        self.held = rest;
        Ok(())
    }

    /// Reads from the connection; bytes behind a hold are held.
    fn poll_read_connection(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let begin = buffer.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(cx, buffer))?;
        let passed = self.scan(&mut buffer.filled_mut()[begin..])?;
        self.held = BytesMut::from(&buffer.filled()[begin + passed..]);
        buffer.set_filled(begin + passed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Frames {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let frames = self.get_mut();
        let begin = buffer.filled().len();
        loop {
            ready!(frames.poll_ready(cx))?;
            if frames.held.is_empty() {
                ready!(frames.poll_read_connection(cx, buffer))?;
                // No bytes at all: the connection has ended.
                if frames.held.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            } else {
                frames.read_held(buffer)?;
            }
            if buffer.filled().len() > begin {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Frames {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let frames = self.get_mut();
        let plan = frames.writer.plan_write(bytes);
        if plan.ends_connection {
            frames.connection.end();
        }
        let written = if plan.is_withheld {
            plan.bytes
        } else {
            ready!(Pin::new(&mut frames.connection).poll_write(cx, &bytes[..plan.bytes]))?
        };
        frames.writer.advance(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(cx)
    }
}
