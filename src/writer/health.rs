//! The health of the log, as the commits show it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The time for which a failed commit keeps the writer unhealthy, unless a later one succeeds.
pub const UNHEALTHY_FOR: Duration = Duration::from_secs(10);

/// The log's readiness for messages, judged by the last commit.
///
/// A full disk shows in no other way: the database still answers.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Option<Instant>>>);

impl Health {
    /// Returns true unless the last commit failed less than [`UNHEALTHY_FOR`] ago.
    pub fn is_good(&self) -> bool {
        let failed_at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_none_or(|failed_at| failed_at.elapsed() > UNHEALTHY_FOR)
    }

    pub(super) fn note_success(&self) {
        self.note(None);
    }

    pub(super) fn note_failure(&self) {
        self.note(Some(Instant::now()));
    }

    fn note(&self, failed_at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failed_at;
    }
}
