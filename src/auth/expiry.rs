//! The end of a token.

use std::time::Duration;

use chrono::Utc;
use tokio::time::sleep;

/// The longest sleep before the clock is read again: it may be set meanwhile, and no timer reaches
/// to the end of time.
const LONGEST_SLEEP: Duration = Duration::from_secs(2);

/// Waits until a time, in milliseconds since 1970.
pub async fn expired(at: i64) {
    while let Some(left) = u64::try_from(at - Utc::now().timestamp_millis())
        .ok()
        .filter(|left| *left > 0)
    {
        sleep(Duration::from_millis(left).min(LONGEST_SLEEP)).await;
    }
}
