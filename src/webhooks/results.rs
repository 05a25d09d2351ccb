//! The latest results of an endpoint, in the log and for administrators.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::Utc;

use super::endpoint::Endpoint;
use crate::store::Results;

/// The latest results; a change between success and failure is a log line.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    results: Results,
    is_failing: bool,
}

impl Tally {
    pub(super) fn succeeded(&self, endpoint: &Endpoint) {
        let mut state = self.state();
        state.results.succeeded = Some(Utc::now());
        if std::mem::take(&mut state.is_failing) {
            tracing::info!(%endpoint, "webhooks are taken again");
        }
    }

    pub(super) fn failed(&self, endpoint: &Endpoint, reason: &str) {
        let mut state = self.state();
        state.results.failed = Some((Utc::now(), reason.to_owned()));
        if !std::mem::replace(&mut state.is_failing, true) {
            tracing::warn!(%endpoint, reason, "a webhook failed, trying again later");
        }
    }

    /// Returns the results.
    pub(super) fn results(&self) -> Results {
        self.state().results.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
