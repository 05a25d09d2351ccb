//! The index of a migration, built beforehand and beside running sends.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::schema::Schema;

/// Returns whether the table has the index of the version before; and whether it has the new one,
/// valid or not: an interrupted build leaves an invalid one.
const STATE: &str = "
SELECT to_regclass($1) IS NOT NULL AS is_old, (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($2)) AS is_valid";

/// Builds the index of the ids in a room, unless it is there, or there is no table yet. Another
/// process may build it at the same time: then each waits for the other.
///
/// # Errors
///
/// The database's.
pub(super) async fn build(
    connection: &mut PgConnection,
    schema: Option<&Schema>,
) -> Result<(), sqlx::Error> {
    let name = |name: &str| match schema {
        Some(schema) => format!("{}.{name}", schema.quoted()),
        None => name.to_owned(),
    };
    let (old, new) = (name("messages_id"), name("messages_id_in_room"));
    // A pooler needs a transaction for a statement with parameters.
    let mut transaction = connection.begin().await?;
    let looking = sqlx::query(STATE).bind(old).bind(&new).persistent(false);
    let state = looking.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    let is_valid: Option<bool> = state.try_get("is_valid")?;
    if !state.try_get("is_old")? || is_valid == Some(true) {
        return Ok(());
    }
    tracing::info!("building an index; servers of the version before go on meanwhile");
    if is_valid == Some(false) {
        run(
            connection,
            format!("DROP INDEX CONCURRENTLY IF EXISTS {new}"),
        )
        .await?;
    }
    let table = name("messages");
    run(
        connection,
        format!(
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS messages_id_in_room ON {table} (room_id, id) \
             WHERE client_message_id IS NULL"
        ),
    )
    .await
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    let running = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection);
    running.await.map(drop)
}
