//! Ways to the server: a connection of one's own, or one that a pooler lends for a transaction at a
//! time.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::super::{ACQUIRE_TIMEOUT, IDLE_BEFORE_PING, STATEMENT_TIMEOUT, fault};

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

/// A setting that only a session of one's own has. A pooler may drop settings without a word; then
/// it is missing.
const MARK: &str = "parlor.direct";

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

/// The most bytes of a name in Postgres.
const MAX_NAME_BYTES: usize = 63;

/// The name of a schema that has the tables, in place of the first one of the database's
/// `search_path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema(String);

impl Schema {
    /// The name, quoted for SQL.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Schema {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
            return Err(format!(
                "must be the name of a schema: 1 to {MAX_NAME_BYTES} bytes without control characters"
            ));
        }
        if text.starts_with("pg_") {
            return Err("Postgres keeps names that begin with pg_ to itself".into());
        }
        Ok(Self(text.to_owned()))
    }
}

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

    fn settings(self, schema: Option<&Schema>) -> Vec<(&'static str, String)> {
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

/// The connections, a pool for writing and one for reading.
pub(super) struct Sessions {
    writers: PgPool,
    readers: PgPool,
    /// What a connection is opened with where a pooler stands between.
    plain: PgConnectOptions,
    /// Whether a pooler stands between. Then no session is one's own for longer than a transaction:
    /// it has no settings and no prepared statements.
    pooled: Arc<AtomicBool>,
}

impl Sessions {
    /// Connects when first used, with at most `max_connections`.
    pub(super) fn new(
        options: PgConnectOptions,
        max_connections: u32,
        schema: Option<&Schema>,
    ) -> Self {
        // Poolers refuse this setting, which concerns numbers that the log has none of.
        let plain = options.application_name("parlor").extra_float_digits(None);
        let pooled = Arc::new(AtomicBool::new(false));
        // What is stored again beside the rest needs a connection of its own.
        let writing = if max_connections < 4 { 1 } else { 2 };
        let direct = |work: Work| {
            plain
                .clone()
                .options(work.settings(schema))
                .options([(MARK, "on")])
        };
        let writers = pool(writing, pooled.clone()).connect_lazy_with(direct(Work::Write));
        let readers = match max_connections - writing {
            0 => writers.clone(),
            reading => pool(reading, pooled.clone()).connect_lazy_with(direct(Work::Read)),
        };
        Self {
            writers,
            readers,
            plain,
            pooled,
        }
    }

    pub(super) fn pool(&self, work: Work) -> &PgPool {
        match work {
            Work::Write | Work::Inspect => &self.writers,
            Work::Read | Work::Probe => &self.readers,
        }
    }

    pub(super) fn plain(&self) -> &PgConnectOptions {
        &self.plain
    }

    pub(super) fn are_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }

    /// Tells by an error that a pooler stands between, and goes by that from here on; whether it is
    /// so.
    pub(super) fn learn_from(&self, error: &sqlx::Error) -> bool {
        if !fault::is_pooler_refusal(error) {
            return false;
        }
        if !self.pooled.swap(true, Ordering::Relaxed) {
            tracing::info!(reason = %fault::reason(error), "{POOLED}");
        }
        for pool in [&self.writers, &self.readers] {
            pool.set_connect_options(self.plain.clone());
        }
        true
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("pooled", &self.are_pooled())
            .finish_non_exhaustive()
    }
}

const POOLED: &str = "the database is behind a pooler: each statement goes in a transaction of its own, not prepared";

fn pool(max_connections: u32, pooled: Arc<AtomicBool>) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, rest| {
            Box::pin(async move { test(connection, rest.idle_for).await })
        })
        .after_connect(move |connection, _| {
            let pooled = pooled.clone();
            Box::pin(async move { check_mark(connection, &pooled).await })
        })
}

/// Whether a connection that has rested so long serves.
async fn test(connection: &mut PgConnection, rest: Duration) -> Result<bool, sqlx::Error> {
    if rest >= IDLE_BEFORE_PING {
        sqlx::Connection::ping(connection).await?;
    }
    Ok(true)
}

/// Notes a pooler that drops settings instead of refusing them.
async fn check_mark(connection: &mut PgConnection, pooled: &AtomicBool) -> Result<(), sqlx::Error> {
    if pooled.load(Ordering::Relaxed) {
        return Ok(());
    }
    let asking =
        sqlx::raw_sql("SELECT coalesce(current_setting('parlor.direct', true), '') = 'on'");
    let direct = sqlx::Row::try_get::<bool, _>(&asking.fetch_one(connection).await?, 0)?;
    if !direct && !pooled.swap(true, Ordering::Relaxed) {
        tracing::info!("{POOLED}");
    }
    Ok(())
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
