//! Pauses between attempts to store entries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The shortest pause between two attempts.
pub const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The longest pause between two attempts.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Exponential backoff with jitter: nodes lose the database together, but do not come back to it
/// together.
pub(super) struct Backoff(ExponentialBackoff);

impl Backoff {
    pub(super) fn new() -> Self {
        // Jitter adds up to the pause itself.
        let delays = ExponentialBuilder::new()
            .with_min_delay(MIN_RETRY_DELAY)
            .with_max_delay(MAX_RETRY_DELAY / 2)
            .without_max_times()
            .with_jitter();
        Self(delays.build())
    }

    /// Returns the next pause.
    pub(super) fn next_delay(&mut self) -> Duration {
        self.0.next().unwrap_or(MAX_RETRY_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_jitter_and_stay_within_their_bounds() {
        let mut differs = false;
        for _ in 0..100 {
            let (mut one, mut other) = (Backoff::new(), Backoff::new());
            for attempt in 0..50 {
                let delay = one.next_delay();
                let least = (MIN_RETRY_DELAY * 2_u32.pow(attempt.min(10))).min(MAX_RETRY_DELAY / 2);
                assert!(
                    (least..=MAX_RETRY_DELAY).contains(&delay),
                    "{attempt}: {delay:?}"
                );
                differs |= delay != other.next_delay();
            }
        }
        assert!(differs, "two nodes pause for different times");
    }
}
