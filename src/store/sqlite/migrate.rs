//! The migration of the tables.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
    time::Duration,
};

use sqlx::{
    Connection, SqliteConnection,
    migrate::{MigrateError as MigrationError, Migrator},
    sqlite::SqliteConnectOptions,
};

use super::{
    super::{
        error::MigrateError,
        fault,
        tables::{PROBE, migration},
    },
    place::Place,
};

/// The pause between attempts to take the lock of another migrating process.
const LOCK_DELAY: Duration = Duration::from_millis(50);

/// Waits for the lock on a file beside the database; the lock lasts until the file is dropped.
async fn lock(database: &Path) -> io::Result<File> {
    let mut path = database.to_owned();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    path.as_mut_os_string().push("-migrate.lock");
    let file = File::create(path)?;
    // A wait in the operating system would keep the process from ending.
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_DELAY).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

pub(super) async fn migrate(
    options: &SqliteConnectOptions,
    place: &Place,
) -> Result<(), MigrateError> {
    let _lock = lock(options.get_filename())
        .await
        .map_err(|cause| MigrateError::Failed(cause.to_string()))?;
    let connecting = SqliteConnection::connect_with(options).await;
    let mut connection = connecting.map_err(|cause| fault::classify_migration(cause.into()))?;
    let result = migrate_on(&mut connection).await;
    let noted = place.note();
    connection.close().await.ok();
    result.map_err(fault::classify_migration)?;
    noted.map_err(|error| MigrateError::Unavailable(error.to_string()))
}

async fn migrate_on(connection: &mut SqliteConnection) -> Result<(), MigrationError> {
    migrator().run_direct(None, connection, false).await?;
    sqlx::query(PROBE).execute(connection).await?;
    Ok(())
}

fn migrator() -> Migrator {
    Migrator::with_migrations(vec![
        migration(
            1,
            "messages",
            include_str!("../../../migrations/sqlite/0001_messages.sql"),
        ),
        migration(
            2,
            "one index for a repeat",
            include_str!("../../../migrations/sqlite/0002_one_index_for_a_repeat.sql"),
        ),
        migration(
            3,
            "changes",
            include_str!("../../../migrations/sqlite/0003_changes.sql"),
        ),
        migration(
            4,
            "memberships",
            include_str!("../../../migrations/sqlite/0004_memberships.sql"),
        ),
        migration(
            5,
            "search",
            include_str!("../../../migrations/sqlite/0005_search.sql"),
        ),
        migration(
            6,
            "rooms",
            include_str!("../../../migrations/sqlite/0006_rooms.sql"),
        ),
        migration(
            7,
            "webhooks",
            include_str!("../../../migrations/sqlite/0007_webhooks.sql"),
        ),
        migration(
            8,
            "conversations",
            include_str!("../../../migrations/sqlite/0008_conversations.sql"),
        ),
        migration(
            9,
            "calls",
            include_str!("../../../migrations/sqlite/0009_calls.sql"),
        ),
    ])
}
