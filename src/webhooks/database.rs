//! The senders' share of the database: they must not take the connections of the chat.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The most reads at once on a node, for all endpoints.
const READS_AT_ONCE: usize = 2;
/// The most writes of places at once on a node, for all endpoints.
const WRITES_AT_ONCE: usize = 1;

/// The permits for the database.
pub(super) struct Database {
    reads: Semaphore,
    writes: Semaphore,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            reads: Semaphore::new(READS_AT_ONCE),
            writes: Semaphore::new(WRITES_AT_ONCE),
        }
    }
}

impl Database {
    /// Waits for the permit to read; none is ever refused.
    pub(super) async fn read(&self) -> Option<SemaphorePermit<'_>> {
        self.reads.acquire().await.ok()
    }

    /// Waits for the permit to write places; none is ever refused.
    pub(super) async fn write(&self) -> Option<SemaphorePermit<'_>> {
        self.writes.acquire().await.ok()
    }
}
