//! A budget for incoming data: a large packet is kept until its end has come, which may be never.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most bytes that large packets may take while they come in, of all clients together. Further
/// ones are left unread meanwhile.
pub const MAX_INBOUND_BYTES: usize = 64 * 1024 * 1024;

/// A packet of more bytes is a large one; a message of the default limit never is.
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
    /// Waits until the budget has room for a packet, and reserves that until the permit is dropped;
    /// a small packet needs none.
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
