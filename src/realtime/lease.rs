//! Leases: the time in the chat granted by a token.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, Utc};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    auth::{Grant, Verifier},
    error::Error,
};

/// A client's time in the chat, granted by its token; a newer token extends it.
pub struct Lease {
    verifier: Arc<Verifier>,
    /// In milliseconds since 1970.
    expires_at: AtomicI64,
    /// Ends with the lease.
    timer: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Lease {
    /// A lease until `expires_at`; `verifier` checks newer tokens.
    pub fn new(verifier: Arc<Verifier>, expires_at: DateTime<Utc>) -> Self {
        Self {
            verifier,
            expires_at: expires_at.timestamp_millis().into(),
            timer: Mutex::default(),
        }
    }

    /// Rejects an expired lease.
    ///
    /// # Errors
    ///
    /// [`Error::TokenExpired`].
    pub fn check_time(&self) -> Result<(), Error> {
        if self.expires_at() <= Utc::now().timestamp_millis() {
            Err(Error::TokenExpired)
        } else {
            Ok(())
        }
    }

    /// Checks a newer token, and returns its grant.
    ///
    /// # Errors
    ///
    /// As [`Verifier::check`].
    pub fn check(&self, token: &str) -> Result<Grant, Error> {
        self.verifier.check(token)
    }

    /// Returns the end of the lease, in milliseconds since 1970.
    pub fn expires_at(&self) -> i64 {
        self.expires_at.load(Ordering::Relaxed)
    }

    /// Moves the end of the lease.
    pub fn extend(&self, expires_at: DateTime<Utc>) {
        self.expires_at
            .store(expires_at.timestamp_millis(), Ordering::Relaxed);
    }

    /// Keeps the task for the end of the lease, and aborts the previous one.
    pub fn set_timer(&self, timer: JoinHandle<()>) {
        let mut running = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        *running = Some(AbortOnDropHandle::new(timer));
    }
}
