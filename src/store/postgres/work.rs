//! Kinds of work, with their settings and limits of time.

use std::time::Duration;

use super::{super::limits::STATEMENT_TIMEOUT, schema::Schema};

/// The lock timeout of a batch. All rooms wait with it, once for each lock held by another database
/// session.
pub const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// The lock timeout of a read, shorter than any caller's wait for the read, so that no connection
/// is given up for it.
const READ_LOCK_TIMEOUT: Duration = Duration::from_secs(4);

/// The timeout of a health probe in the database, shorter than any caller's wait for it.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The margin by which Postgres ends a statement before this server gives it up: an abandoned
/// statement never commits later.
const MARGIN: Duration = Duration::from_secs(2);

/// The longest time between the begin of a transaction and its commit.
pub(super) const STATEMENTS_TIMEOUT: Duration = STATEMENT_TIMEOUT.saturating_sub(MARGIN);

/// Settings of the planner: use indexes, and plan once.
///
/// Every query here has an index. On a new table, before there are statistics, the planner may
/// prefer to read all of it, and a prepared statement would keep this plan while the table grows.
///
/// By default, Postgres plans small batches anew each time, as they look cheaper than its guess for
/// a generic plan. This took a third of its time (`bench/`, workload `growth`, 1,000 rooms: 640 to
/// 710 µs a message with it, 470 to 490 without; large batches take as long as before).
const PLANNING: [(&str, &str); 2] = [
    ("enable_seqscan", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// A kind of work, with its pool and its limits of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Storing a batch.
    Write,
    /// Looking for locks in the way of a batch.
    Inspect,
    /// Reading the log.
    Read,
    /// Probing the database's readiness for messages.
    Probe,
}

impl Work {
    /// Returns the lock timeout and the statement timeout.
    fn limits(self) -> (Duration, Duration) {
        match self {
            Self::Write => (LOCK_TIMEOUT, STATEMENT_TIMEOUT - MARGIN),
            Self::Read => (READ_LOCK_TIMEOUT, STATEMENT_TIMEOUT - MARGIN),
            Self::Inspect => (LOCK_TIMEOUT, PROBE_TIMEOUT),
            Self::Probe => (PROBE_TIMEOUT, PROBE_TIMEOUT),
        }
    }

    pub(super) fn settings(self, schema: Option<&Schema>) -> Vec<(&'static str, String)> {
        let (lock, statement) = self.limits();
        let mut settings: Vec<_> = PLANNING
            .map(|(name, value)| (name, value.to_owned()))
            .into();
        settings.push(("lock_timeout", lock.as_millis().to_string()));
        settings.push(("statement_timeout", statement.as_millis().to_string()));
        settings.extend(schema.map(|schema| ("search_path", schema.quoted())));
        settings
    }

    /// Returns the statements that begin a transaction with the work's settings.
    pub(super) fn begin(self, schema: Option<&Schema>) -> String {
        let settings = self.settings(schema);
        let local = settings
            .iter()
            .map(|(name, value)| format!("; SET LOCAL {name} = {}", literal(name, value)));
        format!("BEGIN{}", local.collect::<String>())
    }
}

/// Returns a setting's value in SQL: a text, except for names, quoted already.
fn literal(name: &str, value: &str) -> String {
    if name == "search_path" {
        value.to_owned()
    } else {
        format!("'{value}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_ends_a_statement_before_it_is_given_up() {
        for work in [Work::Write, Work::Inspect, Work::Read, Work::Probe] {
            let (lock, statement) = work.limits();
            assert!(
                lock <= statement && statement < STATEMENT_TIMEOUT,
                "{work:?}"
            );
        }
    }

    #[test]
    fn a_schemas_name_is_quoted() {
        let schema: Schema = "odd \" name".parse().unwrap();
        assert!(
            Work::Read
                .begin(Some(&schema))
                .ends_with(r#"; SET LOCAL search_path = "odd "" name""#)
        );
        for bad in ["", "pg_x", "a\0b", &"x".repeat(64)] {
            assert!(bad.parse::<Schema>().is_err(), "{bad:?}");
        }
    }
}
