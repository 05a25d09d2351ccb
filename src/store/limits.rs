//! Limits of time for all stores.

use std::time::Duration;

/// The time that one statement may take before its connection is given up and the outcome counts as
/// unknown. Postgres ends the statement earlier: it never commits later, whatever becomes of the
/// connection.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest wait for a connection to the database.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
