//! The tables of every store.

use std::borrow::Cow;

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType},
};

/// Stores nothing, and fails as storing would without the table, without the right to write, or in
/// a read-only database.
pub(super) const PROBE: &str = "INSERT INTO messages SELECT * FROM messages WHERE false";

/// Returns one step of the tables' history, to run in a transaction.
pub(super) fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(
        version,
        Cow::Borrowed(name),
        MigrationType::Simple,
        sql.into_sql_str(),
        false,
    )
}
