//! The mark of a direct connection: a pooler refuses the setting, or drops it without an error.

use sqlx::{PgConnection, Row, postgres::PgConnectOptions};

use super::super::fault;

/// The setting.
const MARK: &str = "parlor.direct";

const IS_MARKED: &str = "SELECT coalesce(current_setting('parlor.direct', true), '') = 'on'";

/// Adds the mark.
pub fn marked(options: PgConnectOptions) -> PgConnectOptions {
    options.options([(MARK, "on")])
}

/// Returns true when a connection opened with the mark has it: no pooler is in between.
///
/// # Errors
///
/// The connection's.
pub async fn is_direct(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let asking = sqlx::raw_sql(IS_MARKED).fetch_one(connection);
    asking.await?.try_get(0)
}

/// Returns true when a connection with the mark was refused because of it, by a pooler.
pub fn is_refusal(error: &sqlx::Error) -> bool {
    fault::is_pooler_refusal(error)
}
