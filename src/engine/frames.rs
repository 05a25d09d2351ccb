//! A WebSocket's bytes on their way to the library and back, looked at frame by frame:
//! <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.
//!
//! On the way in, frames are counted, and a packet that must be done with before the next one holds
//! that one up. On the way out, the library's close packet ends the connection instead: several
//! clients take the packet for final, and never come back.

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
    inbound::Inbound,
    reader::{Hold, Reader},
    session::Session,
    writer::Writer,
};
use crate::net::Connection;

/// The wait for an event before more is read; the room for a large packet, if it was that.
type Wait = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// A WebSocket's connection, as the library gets it.
pub struct Frames {
    connection: Connection,
    session: Session,
    inbound: Inbound,
    /// Bytes that have come and are not handed on yet.
    held: BytesMut,
    reader: Reader,
    writer: Writer,
    wait: Option<Wait>,
    large: Option<Box<Large>>,
}

/// A large packet that has begun to come.
struct Large {
    _room: OwnedSemaphorePermit,
    /// The time by which its end is to come.
    deadline: Pin<Box<Sleep>>,
}

impl Frames {
    /// A connection of a session, of which some bytes have been read already.
    pub(super) fn new(
        connection: Connection,
        session: Session,
        inbound: Inbound,
        read: Bytes,
    ) -> Self {
        let (reader, writer) = (Reader::default(), Writer::default());
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

    /// Keeps from the client the first frame that the library writes.
    pub(super) fn without_first_answer(mut self) -> Self {
        self.writer = Writer::without_first_frame();
        self
    }

    /// Waits for what is to be done before more is read.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(wait) = &mut self.wait {
            let room = ready!(wait.as_mut().poll(cx));
            self.wait = None;
            if let Some(room) = room {
                let deadline = Box::pin(sleep(self.session.payload_timeout()));
                self.large = Some(Box::new(Large {
                    _room: room,
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

    /// Looks at bytes that have come; returns how many of them may go on now.
    fn look_at(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let scan = self.reader.scan(bytes, &self.session)?;
        if self.reader.is_between_messages() {
            self.large = None;
        }
        self.wait = scan.hold.map(|hold| self.wait_for(hold));
        Ok(scan.passed)
    }

    fn wait_for(&self, hold: Hold) -> Wait {
        match hold {
            Hold::UntilRoomFor(bytes) => Box::pin(self.inbound.room_for(bytes)),
            Hold::UntilSettled => {
                let settled = self.session.settled();
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

    /// Hands on bytes that have been held.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let most = self.held.len().min(buffer.remaining());
        let mut bytes = self.held.split_to(most);
        let passed = self.look_at(&mut bytes)?;
        buffer.put_slice(&bytes[..passed]);
        let mut rest = bytes.split_off(passed);
        rest.unsplit(std::mem::take(&mut self.held));
        self.held = rest;
        Ok(())
    }

    /// Hands on bytes as they come; the rest is held.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let begin = buffer.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(cx, buffer))?;
        let passed = self.look_at(&mut buffer.filled_mut()[begin..])?;
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
                ready!(frames.poll_receive(cx, buffer))?;
                // Nothing came: the connection has ended.
                if frames.held.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            } else {
                frames.hand_on(buffer)?;
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
        let plan = frames.writer.plan(bytes);
        if plan.ends {
            frames.connection.end();
        }
        let written = if plan.withheld {
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
