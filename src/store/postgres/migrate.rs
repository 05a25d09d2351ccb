//! The migration of the tables, in one transaction: a pooler may run each transaction on another
//! connection. Only a large table's index is built before it.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, migrate::Migration};

use super::{
    super::{
        error::{MigrateError, reason},
        fault,
        tables::{PROBE, migration},
    },
    index,
    pools::Pools,
    schema::Schema,
};

/// Takes the lock by which processes starting together migrate one after another.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('parlor migrate ' || coalesce(current_schema(), ''), 0))";

/// Creates the table of finished migrations, in the form of `sqlx`.
const HISTORY: &str = "
CREATE TABLE IF NOT EXISTS _sqlx_migrations (
    version bigint PRIMARY KEY,
    description text NOT NULL,
    installed_on timestamptz NOT NULL DEFAULT now(),
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
)";

const NOTE: &str = "
INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES ($1, $2, true, $3, -1)";

/// The only encoding with room for every message.
const ENCODING: &str = "UTF8";

fn steps() -> [Migration; 11] {
    [
        migration(
            1,
            "messages",
            include_str!("../../../migrations/postgres/0001_messages.sql"),
        ),
        migration(
            2,
            "one index for a repeat",
            include_str!("../../../migrations/postgres/0002_one_index_for_a_repeat.sql"),
        ),
        migration(
            3,
            "rosters",
            include_str!("../../../migrations/postgres/0003_rosters.sql"),
        ),
        migration(
            4,
            "ids by room",
            include_str!("../../../migrations/postgres/0004_ids_by_room.sql"),
        ),
        migration(
            5,
            "changes",
            include_str!("../../../migrations/postgres/0005_changes.sql"),
        ),
        migration(
            6,
            "memberships",
            include_str!("../../../migrations/postgres/0006_memberships.sql"),
        ),
        migration(
            7,
            "search",
            include_str!("../../../migrations/postgres/0007_search.sql"),
        ),
        migration(
            8,
            "rooms",
            include_str!("../../../migrations/postgres/0008_rooms.sql"),
        ),
        migration(
            9,
            "webhooks",
            include_str!("../../../migrations/postgres/0009_webhooks.sql"),
        ),
        migration(
            10,
            "conversations",
            include_str!("../../../migrations/postgres/0010_conversations.sql"),
        ),
        migration(
            11,
            "calls",
            include_str!("../../../migrations/postgres/0011_calls.sql"),
        ),
    ]
}

/// Brings the tables up to date.
///
/// # Errors
///
/// See [`MigrateError`].
pub(super) async fn migrate(pools: &Pools) -> Result<(), MigrateError> {
    let connecting = pools.connect().await;
    let mut connection =
        connecting.map_err(|cause| MigrateError::Unavailable(reason(&cause).into_owned()))?;
    let result = migrate_on(&mut connection, pools.schema()).await;
    connection.close().await.ok();
    result
}

async fn migrate_on(
    connection: &mut PgConnection,
    schema: Option<&Schema>,
) -> Result<(), MigrateError> {
    check_encoding(connection).await?;
    index::build(connection, schema)
        .await
        .map_err(fault::classify_start)?;
    let mut transaction = connection.begin().await.map_err(fault::classify_start)?;
    sqlx::raw_sql(LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(fault::classify_start)?;
    if let Some(schema) = schema {
        enter(&mut transaction, schema)
            .await
            .map_err(fault::classify_start)?;
    }
    bring_up_to_date(&mut transaction).await?;
    transaction.commit().await.map_err(fault::classify_start)
}

async fn check_encoding(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let asking = sqlx::raw_sql("SHOW server_encoding")
        .fetch_one(connection)
        .await;
    let encoding: String = asking
        .and_then(|row| row.try_get(0))
        .map_err(fault::classify_start)?;
    if encoding == ENCODING {
        return Ok(());
    }
    let advice = "create another database, with ENCODING 'UTF8' TEMPLATE template0";
    Err(MigrateError::Failed(format!(
        "its encoding is {encoding}, not {ENCODING}: {advice}"
    )))
}

/// Lets the rest of the transaction find its tables in the schema. Creates a missing schema.
async fn enter(connection: &mut PgConnection, schema: &Schema) -> Result<(), sqlx::Error> {
    // `CREATE SCHEMA IF NOT EXISTS` needs a right even when the schema exists.
    let looking = sqlx::query("SELECT 1 FROM pg_namespace WHERE nspname = $1")
        .bind(schema.as_str())
        .persistent(false);
    if looking.fetch_optional(&mut *connection).await?.is_none() {
        run(
            connection,
            format!("CREATE SCHEMA IF NOT EXISTS {}", schema.quoted()),
        )
        .await?;
    }
    run(
        connection,
        format!("SET LOCAL search_path = {}", schema.quoted()),
    )
    .await
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map(drop)
}

async fn bring_up_to_date(connection: &mut PgConnection) -> Result<(), MigrateError> {
    sqlx::raw_sql(HISTORY)
        .execute(&mut *connection)
        .await
        .map_err(fault::classify_start)?;
    let done = done(connection).await.map_err(fault::classify_start)?;
    let steps = steps();
    check(&done, &steps)?;
    for step in &steps[done.len()..] {
        apply(connection, step)
            .await
            .map_err(fault::classify_start)?;
    }
    sqlx::raw_sql(PROBE)
        .execute(connection)
        .await
        .map(drop)
        .map_err(fault::classify_start)
}

/// Returns the versions and checksums of the finished steps.
async fn done(connection: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let asking = sqlx::query("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
        .persistent(false);
    let rows = asking.fetch_all(connection).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// Rejects tables of another program, or of a newer version of this one.
fn check(done: &[(i64, Vec<u8>)], steps: &[Migration]) -> Result<(), MigrateError> {
    for (place, (version, checksum)) in done.iter().enumerate() {
        let known = steps.get(place).filter(|step| step.version == *version);
        let Some(step) = known else {
            let newer = format!(
                "its tables belong to another, probably newer, version of Parlor (migration {version})"
            );
            return Err(MigrateError::Failed(newer));
        };
        if *step.checksum != **checksum {
            return Err(MigrateError::Failed(format!(
                "migration {version} differs from this version's"
            )));
        }
    }
    Ok(())
}

async fn apply(connection: &mut PgConnection, step: &Migration) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(step.sql.clone())
        .execute(&mut *connection)
        .await?;
    let noting = sqlx::query(NOTE)
        .bind(step.version)
        .bind(&*step.description)
        .bind(&*step.checksum);
    noting.persistent(false).execute(connection).await.map(drop)
}
