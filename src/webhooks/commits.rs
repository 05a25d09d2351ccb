//! The writes of places: those of all rooms ride together.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::sleep,
};

use super::database::Database;
use crate::store::{Cursor, EndpointId, WebhookStore};

/// The pause after a failed write.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// The places to be written, at most one of each room in flight.
#[derive(Default)]
pub(super) struct Commits {
    waiting: Mutex<Vec<(Cursor, oneshot::Sender<bool>)>>,
    added: Notify,
}

impl Commits {
    /// Writes a place. Returns false when the epoch is over.
    pub(super) async fn advance(&self, cursor: Cursor) -> bool {
        let (written, outcome) = oneshot::channel();
        self.waiting().push((cursor, written));
        self.added.notify_one();
        outcome.await.unwrap_or(false)
    }

    /// Writes places, until dropped. A failed write is repeated: places are states.
    pub(super) async fn run(
        &self,
        store: &dyn WebhookStore,
        database: &Database,
        endpoint: EndpointId,
        epoch: i64,
    ) {
        loop {
            self.added.notified().await;
            let _writing = database.write().await;
            let waiting = mem::take(&mut *self.waiting());
            let (cursors, written): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            if cursors.is_empty() {
                continue;
            }
            let is_held = loop {
                match store.advance(endpoint, epoch, &cursors).await {
                    Ok(is_held) => break is_held,
                    Err(cause) => {
                        tracing::debug!(%cause, "places of webhooks not written, trying again");
                        sleep(RETRY_DELAY).await;
                    }
                }
            };
            for one in written {
                one.send(is_held).ok();
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(Cursor, oneshot::Sender<bool>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
