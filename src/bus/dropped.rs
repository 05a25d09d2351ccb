//! The number of dropped signals, for the log.

use std::time::Duration;

use tokio::time::Instant;

/// The least time between two lines in the log.
const INTERVAL: Duration = Duration::from_secs(60);

/// Signals dropped since the last line in the log.
#[derive(Debug, Default)]
pub struct Dropped {
    count: usize,
    logged_at: Option<Instant>,
}

impl Dropped {
    /// Notes dropped signals. Returns their number when it is time for a line in the log.
    pub fn note(&mut self, count: usize) -> Option<usize> {
        self.count += count;
        let is_quiet = |logged_at: Instant| logged_at.elapsed() < INTERVAL;
        if self.count == 0 || self.logged_at.is_some_and(is_quiet) {
            return None;
        }
        self.logged_at = Some(Instant::now());
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_loss_is_logged_at_once_and_further_ones_together() {
        let mut dropped = Dropped::default();
        assert_eq!(
            [0, 3, 0, 2].map(|count| dropped.note(count)),
            [None, Some(3), None, None]
        );
        tokio::time::advance(INTERVAL).await;
        assert_eq!([1, 0].map(|count| dropped.note(count)), [Some(3), None]);
    }
}
