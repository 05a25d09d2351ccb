//! Room for what clients have begun to send: a large packet is kept until its end has come, which
//! may be never.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most bytes that large packets on their way in may take, of all clients together. Further
/// ones wait with their clients.
pub const MAX_INBOUND_BYTES: usize = 64 * 1024 * 1024;

/// A packet of more bytes is a large one; a message of the default limit makes none.
pub const LARGE_PACKET_BYTES: usize = 64 * 1024;

/// Room for large packets.
#[derive(Debug, Clone)]
pub(super) struct Inbound(Arc<Semaphore>);

impl Default for Inbound {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_INBOUND_BYTES)))
    }
}

impl Inbound {
    /// Waits for room for a packet of so many bytes, which is taken until it is dropped; a small
    /// one needs none.
    pub(super) fn room_for(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Option<OwnedSemaphorePermit>> + Send + use<> {
        let room = self.0.clone();
        async move {
            if bytes <= LARGE_PACKET_BYTES {
                return None;
            }
            let bytes = u32::try_from(bytes.min(MAX_INBOUND_BYTES)).unwrap_or(u32::MAX);
            // It is never closed.
            room.acquire_many_owned(bytes).await.ok()
        }
    }
}
