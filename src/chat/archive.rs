//! Exports and erasure, for services.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use tokio::sync::mpsc::Sender;

use super::Chat;
use crate::{
    archive::{self, Erased, Eraser, Subject},
    error::Error,
    model::{Change, RoomChange, UserId},
};

impl Chat {
    /// Sends the lines of an export, until the reader is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the database does not answer, or the server is stopping.
    pub async fn export(&self, subject: &Subject, lines: Sender<String>) -> Result<(), Error> {
        self.until_stop(async { Ok(archive::export(&*self.store, subject, lines).await?) })
            .await
    }

    /// Erases what a user has left. Everybody sees it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the database does not answer, or the server is stopping. What was erased
    /// until then stays erased, and another run goes on.
    pub async fn erase(&self, user: &UserId) -> Result<Erased, Error> {
        self.until_stop(archive::erase(self, &*self.store, user))
            .await
    }

    /// Breaks long work off when the server stops.
    async fn until_stop<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let ended = self.stopping.run_until_cancelled(work).await;
        ended.unwrap_or(Err(Error::Unavailable))
    }
}

#[async_trait]
impl Eraser for Chat {
    type Error = Error;

    async fn change(&self, changes: Vec<Change>) -> Result<(), Error> {
        let queued = changes
            .into_iter()
            .map(|change| self.writer.enqueue_change(change));
        let queued = queued.collect::<Result<Vec<_>, _>>()?;
        try_join_all(queued.into_iter().map(|change| change.settled())).await?;
        Ok(())
    }

    async fn change_room(&self, change: RoomChange) -> Result<(), Error> {
        self.check_running()?;
        self.govern(&change).await??;
        Ok(())
    }
}
