//! Limits of time for all stores.

use std::time::Duration;

/// The longest time for one statement; after it, the connection is given up and the outcome counts
/// as unknown. Postgres ends a statement earlier, so a statement uncommitted by then never commits,
/// even on a lost connection.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest wait for a connection to the database.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
