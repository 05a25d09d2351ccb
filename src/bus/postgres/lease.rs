//! The sign of a server's life: an advisory lock on the listening connection.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{Executor, postgres::PgListener};
use uuid::Uuid;

use super::in_time;

/// Lets the database notice within 11 s that the other end of the connection is gone.
const KEEPALIVE: &str =
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3";

/// The lock of a server's life.
#[derive(Debug)]
pub(super) struct Lease {
    key: i64,
    is_held: AtomicBool,
}

impl Lease {
    pub(super) fn new(node: Uuid) -> Self {
        Self {
            key: node.as_u64_pair().1.cast_signed(),
            is_held: AtomicBool::new(false),
        }
    }

    /// Returns the lock's key.
    pub(super) fn key(&self) -> i64 {
        self.key
    }

    /// Returns true while a connection holds the lock.
    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    /// Takes the lock. The database soon notices when this machine is gone.
    ///
    /// # Errors
    ///
    /// The connection's.
    pub(super) async fn take(&self, connection: &mut PgListener) -> Result<Held<'_>, sqlx::Error> {
        in_time(connection.execute(KEEPALIVE)).await?;
        let lock = sqlx::query("SELECT pg_advisory_lock_shared($1)").bind(self.key);
        in_time(connection.execute(lock)).await?;
        self.is_held.store(true, Ordering::Relaxed);
        Ok(Held(self))
    }
}

/// A lock held; given up when dropped, with its connection.
pub(super) struct Held<'a>(&'a Lease);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.is_held.store(false, Ordering::Relaxed);
    }
}
