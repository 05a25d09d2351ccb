//! The interface of calls besides their changes, common to all databases.

use std::time::Duration;

use async_trait::async_trait;

use super::error::StoreError;
use crate::model::{DueCall, PartyId, RoomId};

/// The calls, as the rest of the program sees them.
#[async_trait]
pub trait CallStore: Send + Sync {
    /// Notes that parties have clients now. Returns those of them that are in a call.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn see(
        &self,
        parties: &[(RoomId, PartyId)],
    ) -> Result<Vec<(RoomId, PartyId)>, StoreError>;

    /// Returns the calls that go on, at most `limit`, by the time at which they have to be settled: when
    /// their time is over, or a party was not seen for some time.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn due(&self, lost_after: Duration, limit: usize) -> Result<Vec<DueCall>, StoreError>;
}
