//! The wait for the database at the start.

use std::time::Duration;

use backon::ExponentialBuilder;
use tokio::time::Instant;

use crate::store::MigrateError;

/// The shortest pause between two attempts to reach the database.
const MIN_DATABASE_DELAY: Duration = Duration::from_millis(250);
/// The longest pause between two attempts to reach the database.
const MAX_DATABASE_DELAY: Duration = Duration::from_secs(5);

/// Exponential backoff with jitter: nodes wait for one database, but do not all come back to it at
/// the same moment. Jitter at most doubles a pause, so the pause before it stops at half the
/// longest.
pub(super) const DATABASE_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(MIN_DATABASE_DELAY)
    .with_max_delay(Duration::from_millis(
        MAX_DATABASE_DELAY.as_millis() as u64 / 2,
    ))
    .without_max_times()
    .with_jitter();

/// Logs that the database is not there yet.
pub(super) fn warn_unavailable(error: &MigrateError) {
    if let MigrateError::Unavailable(cause) = error {
        tracing::warn!(%cause, "waiting for the database");
    }
}

/// Returns the delay, cut short by a deadline, or none if the deadline has passed.
pub(super) fn before(deadline: Option<Instant>, delay: Duration) -> Option<Duration> {
    match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
        None => Some(delay),
        Some(Duration::ZERO) => None,
        Some(left) => Some(delay.min(left)),
    }
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder;

    use super::*;

    #[test]
    fn pauses_before_the_database_is_tried_again_keep_their_bounds_and_never_end() {
        let pauses: Vec<_> = DATABASE_BACKOFF.build().take(100).collect();
        let bounds = MIN_DATABASE_DELAY..=MAX_DATABASE_DELAY;
        assert_eq!(pauses.len(), 100);
        assert!(
            pauses.iter().all(|pause| bounds.contains(pause)),
            "{pauses:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_outlasts_the_deadline_and_none_follows_it() {
        let second = Duration::from_secs(1);
        let deadline = Instant::now() + second;
        assert_eq!(before(None, 2 * second), Some(2 * second));
        assert_eq!(before(Some(deadline), 2 * second), Some(second));
        assert_eq!(before(Some(deadline), second / 2), Some(second / 2));
        tokio::time::advance(second).await;
        assert_eq!(before(Some(deadline), second), None);
    }
}
