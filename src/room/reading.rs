//! Reads of a room's log.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use crate::{
    error::Error,
    model::{Message, RoomId},
    store::{MessageStore, Page, StoreError},
};

/// The longest wait for a page of the log.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between a failed read and the next attempt.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The failure of a read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The database did not answer in time.
    TimedOut,
    /// The database failed.
    Failed(StoreError),
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TimedOut => Self::Unavailable,
            Unread::Failed(cause) => cause.into(),
        }
    }
}

/// Reads a page of a room's log.
///
/// # Errors
///
/// [`Unread`], at the deadline at the latest.
pub(super) async fn read(
    store: Arc<dyn MessageStore>,
    room: RoomId,
    page: Page,
    deadline: Instant,
) -> Result<Vec<Message>, Unread> {
    match timeout_at(deadline, store.read(&room, page)).await {
        Ok(read) => read.map_err(Unread::Failed),
        Err(_) => Err(Unread::TimedOut),
    }
}

/// A read in flight beside the room's task; dropping it aborts the read.
pub(super) struct Reading<P> {
    purpose: P,
    page: BoxFuture<'static, Result<Vec<Message>, Unread>>,
}

impl<P: Copy> Reading<P> {
    pub(super) fn begin(
        purpose: P,
        store: Arc<dyn MessageStore>,
        room: RoomId,
        page: Page,
    ) -> Self {
        let deadline = Instant::now() + READ_TIMEOUT;
        Self {
            purpose,
            page: Box::pin(read(store, room, page, deadline)),
        }
    }

    pub(super) fn purpose(&self) -> P {
        self.purpose
    }

    /// Waits for the page; not to be called again once it has returned. Cancel safe.
    pub(super) async fn page(&mut self) -> Result<Vec<Message>, Unread> {
        (&mut self.page).await
    }
}
