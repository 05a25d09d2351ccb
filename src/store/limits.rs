//! Limits of time for all stores.

use std::time::Duration;

/// The timeout of a statement. After it, the connection is given up and the outcome counts as
/// unknown. Postgres ends a statement earlier, so an uncommitted one never commits later, even on a
/// lost connection.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest wait for a connection to the database.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
