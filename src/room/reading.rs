//! Reads of a room's log.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use crate::{
    error::Error,
    model::{Message, Revision, RoomId},
    store::{Loaded, MessageStore, Page, StoreError},
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

/// Waits for a read of the log.
///
/// # Errors
///
/// [`Unread`], at the deadline at the latest.
pub(super) async fn read<T>(
    reading: impl Future<Output = Result<T, StoreError>>,
    deadline: Instant,
) -> Result<T, Unread> {
    match timeout_at(deadline, reading).await {
        Ok(read) => read.map_err(Unread::Failed),
        Err(_) => Err(Unread::TimedOut),
    }
}

/// A read in flight beside the room's task; dropping it aborts the read.
pub(super) struct Reading<P> {
    purpose: P,
    page: BoxFuture<'static, Result<Loaded, Unread>>,
}

impl<P: Copy> Reading<P> {
    /// Begins to read the newest messages. They may have later changes than the one before them,
    /// which the room then delivers once more.
    pub(super) fn load(
        purpose: P,
        store: Arc<dyn MessageStore>,
        room: RoomId,
        limit: usize,
    ) -> Self {
        Self::begin(purpose, async move { store.load(&room, limit).await })
    }

    /// Begins to read a page of the log.
    pub(super) fn page_of(
        purpose: P,
        store: Arc<dyn MessageStore>,
        room: RoomId,
        page: Page,
    ) -> Self {
        Self::begin(purpose, async move {
            store.read(&room, page).await.map(unrevised)
        })
    }

    /// Begins to read the messages with changes after a revision, then the room's settings.
    pub(super) fn changes(
        purpose: P,
        store: Arc<dyn MessageStore>,
        room: RoomId,
        after: Revision,
        limit: usize,
    ) -> Self {
        Self::begin(purpose, async move {
            let changes = store.read_changes(&room, after, limit).await?;
            Ok(Loaded {
                settings: store.rooms().settings(&room).await?,
                ..unrevised(changes)
            })
        })
    }

    fn begin(
        purpose: P,
        reading: impl Future<Output = Result<Loaded, StoreError>> + Send + 'static,
    ) -> Self {
        let deadline = Instant::now() + READ_TIMEOUT;
        Self {
            purpose,
            page: Box::pin(read(reading, deadline)),
        }
    }

    pub(super) fn purpose(&self) -> P {
        self.purpose
    }

    /// Waits for the page; not to be called again once it has returned. Cancel safe.
    pub(super) async fn page(&mut self) -> Result<Loaded, Unread> {
        (&mut self.page).await
    }
}

fn unrevised(messages: Vec<Message>) -> Loaded {
    Loaded {
        messages,
        revision: Revision::ZERO,
        settings: None,
    }
}
