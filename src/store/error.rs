//! The errors of a store.

use std::{borrow::Cow, fmt};

use sqlx::postgres::PgDatabaseError;

use crate::{error::Error, model::RoomId};

/// A database's error, shown in a form fit for the log.
#[derive(Debug)]
pub struct Cause(sqlx::Error);

impl Cause {
    pub(super) fn error(&self) -> &sqlx::Error {
        &self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&reason(&self.0))
    }
}

impl std::error::Error for Cause {}

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Self(error.into())
    }
}

/// Returns an error's text for the log, without the driver's additions of places in source files.
pub(super) fn reason(error: &sqlx::Error) -> Cow<'static, str> {
    match error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
    {
        Some(error) => format!("{} ({})", error.message(), error.code()).into(),
        None => error.to_string().into(),
    }
}

/// A failure to read or write the log.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, busy, full, read-only or broken; whether a write went through is
    /// unknown.
    #[error("database unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// Another writer was faster; nothing was written, and the same batch again finds the other
    /// writer's messages.
    #[error("concurrent write: {0}")]
    Conflict(#[source] Cause),
    /// Another database session has locked some of the batch's rooms for longer than
    /// [`LOCK_TIMEOUT`](super::LOCK_TIMEOUT); nothing was written.
    #[error("rooms are locked: {cause}")]
    Locked {
        /// The rooms known to be locked; none when the database does not show them.
        rooms: Vec<RoomId>,
        /// The database's error.
        #[source]
        cause: Cause,
    },
    /// The database refuses the data; nothing was written, and never will be.
    #[error("refused by the database: {0}")]
    Rejected(#[source] Cause),
    /// The database holds a row not written by this program.
    #[error("unreadable row: {0}")]
    Unreadable(String),
}

/// Returns the error for the caller of a failed read, and logs the cause.
impl From<StoreError> for Error {
    fn from(cause: StoreError) -> Self {
        match cause {
            StoreError::Unavailable(cause)
            | StoreError::Conflict(cause)
            | StoreError::Locked { cause, .. } => {
                tracing::warn!(%cause, "log not read");
                Self::Unavailable
            }
            cause @ (StoreError::Rejected(_) | StoreError::Unreadable(_)) => Self::internal(cause),
        }
    }
}

/// A failure to bring the tables up to date. The texts name the database, and no password.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database is away, busy, full, takes no writes (yet), or lets nobody in; the text says
    /// which.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// A retry will not help; the text says why.
    #[error("the database cannot be used: {0}")]
    Failed(String),
}

impl MigrateError {
    /// Puts the database's name before the reason.
    pub(super) fn at(self, place: &str) -> Self {
        match self {
            Self::Unavailable(why) => Self::Unavailable(format!("{place}: {why}")),
            Self::Failed(why) => Self::Failed(format!("{place}: {why}")),
        }
    }
}
