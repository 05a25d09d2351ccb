//! The interface of calls besides their changes, common to all databases.

use std::time::Duration;

use async_trait::async_trait;

use super::error::StoreError;
use crate::model::{DueCall, Part, RoomId};

/// The calls, as the rest of the program sees them.
#[async_trait]
pub trait CallStore: Send + Sync {
    /// Notes that parties have clients now. Returns those of them that are in a call.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn heartbeat(
        &self,
        parties: &[(RoomId, Part)],
    ) -> Result<Vec<(RoomId, Part)>, StoreError>;

    /// Returns the calls that end or lose a party by themselves, at most `limit`, by the time of that: when
    /// their own time is over, or `lease` after the last heartbeat for a party. Without a lease, parties do
    /// not count.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn due(&self, lease: Option<Duration>, limit: usize) -> Result<Vec<DueCall>, StoreError>;
}
