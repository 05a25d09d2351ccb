//! A budget for incoming data: a large packet stays in memory until its end has come, which may be
//! never.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most bytes of all large packets on their way in, for all clients together. Further large
/// packets wait unread.
pub const MAX_INBOUND_BYTES: usize = 64 * 1024 * 1024;

/// The most bytes of a small packet; a message of the default limit always is one.
pub const LARGE_PACKET_BYTES: usize = 64 * 1024;

/// The budget for large packets.
#[derive(Debug, Clone)]
pub(super) struct InboundBudget(Arc<Semaphore>);

impl Default for InboundBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_INBOUND_BYTES)))
    }
}

impl InboundBudget {
    /// Reserves room for a packet once the budget has it, until the permit is dropped; a small
    /// packet needs none.
    pub(super) fn reserve(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Option<OwnedSemaphorePermit>> + Send + use<> {
        let budget = self.0.clone();
        async move {
            if bytes <= LARGE_PACKET_BYTES {
                return None;
            }
            let bytes = u32::try_from(bytes.min(MAX_INBOUND_BYTES)).unwrap_or(u32::MAX);
            // The semaphore is never closed.
            budget.acquire_many_owned(bytes).await.ok()
        }
    }
}
