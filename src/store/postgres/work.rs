//! Kinds of work, with their settings and limits of time.

use std::time::Duration;

use super::{super::limits::STATEMENT_TIMEOUT, schema::Schema};

/// How long a batch waits for a lock that another session of the database holds. All rooms wait
/// with it, once for each lock.
pub const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a read waits for a lock; less than anybody waits for the read, so that no connection is
/// given up for it.
const READ_LOCK_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a probe of health may take in the database; less than anybody waits for it.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The margin by which the server ends a statement before the client gives it up: what was given up
/// is not committed later.
const MARGIN: Duration = Duration::from_secs(2);

/// Every query here has an index to go by. On a new table, before it has statistics, the planner
/// may think that reading all of it is cheaper, and a prepared statement would keep that plan while
/// the table grows.
///
/// A plan is made once. Postgres plans small batches anew each time, as they look cheaper than
/// those that it guesses for a plan in common; that took a third of its time (`bench/`, workload
/// `growth`, 1,000 rooms: 640 to 710 µs a message with it, 470 to 490 without; large batches take
/// as long as before).
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
    /// Probing whether the database takes messages.
    Probe,
}

impl Work {
    /// How long it may wait for a lock, and how long a statement may take.
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

    /// Begins a transaction with the settings that the work needs.
    pub(super) fn begin(self, schema: Option<&Schema>) -> String {
        let settings = self.settings(schema);
        let local = settings
            .iter()
            .map(|(name, value)| format!("; SET LOCAL {name} = {}", literal(name, value)));
        format!("BEGIN{}", local.collect::<String>())
    }
}

/// A setting's value in SQL: names stand as they are quoted, whatever else is a text.
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
