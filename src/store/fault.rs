//! The one table of the databases' error codes, and their meaning for the caller.
//!
//! Only an error caused by the data itself refuses the data. Every other fault may pass without the
//! sender's help, and until then its message must not be lost.

use sqlx::{
    Error, migrate::MigrateError as Migration, postgres::PgDatabaseError, sqlite::SqliteError,
};

use super::error::{MigrateError, StoreError, reason};

/// The meaning of a database's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Another writer was faster.
    Race,
    /// Another database session has held a lock for longer than a statement waits.
    Lock,
    /// The database is away, busy, full, or not the primary: this passes.
    Away,
    /// An administrator has to repair or allow something first.
    Unfit,
    /// The data itself: a retry would be refused again.
    Data,
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        match error {
            Error::Database(error) => match (error.try_downcast_ref(), error.try_downcast_ref()) {
                (Some(error), _) => Self::from_sqlstate(PgDatabaseError::code(error)),
                (_, Some(error)) => Self::from_result_code(code(error)),
                _ => Self::Unfit,
            },
            Error::Encode(_) => Self::Data,
            Error::Configuration(_) => Self::Unfit,
            _ => Self::Away,
        }
    }
}

impl Fault {
    /// Classifies a [SQLSTATE](https://www.postgresql.org/docs/current/errcodes-appendix.html); its
    /// first two characters are a class.
    fn from_sqlstate(state: &str) -> Self {
        match (state, state.get(..2).unwrap_or_default()) {
            // unique violation, serialization failure, deadlock
            ("23505" | "40001" | "40P01", _) => Self::Race,
            ("55P03", _) => Self::Lock,
            // cardinality; data exception; integrity constraint; check option; program limit; a
            // trigger's own error
            (_, "21" | "22" | "23" | "44" | "54" | "P0") => Self::Data,
            // connection; transaction state, such as read-only (25006); prepared statement gone, as
            // behind some poolers; rollback; resources, such as a full disk; object in use;
            // operator's intervention; system error
            (_, "08" | "25" | "26" | "40" | "53" | "55" | "57" | "58") => Self::Away,
            // credentials, missing tables, missing rights, damaged files
            _ => Self::Unfit,
        }
    }

    /// Classifies [SQLite's result code](https://www.sqlite.org/rescode.html); its lowest byte is
    /// the primary code.
    fn from_result_code(code: i32) -> Self {
        match code & 0xff {
            // TOOBIG, CONSTRAINT, MISMATCH, RANGE. No race breaks a constraint: a batch looks
            // before it writes, and nobody writes in between.
            18 | 19 | 20 | 25 => Self::Data,
            // ABORT, BUSY, LOCKED, NOMEM, INTERRUPT, IOERR, FULL, PROTOCOL, SCHEMA
            4..=7 | 9 | 10 | 13 | 15 | 17 => Self::Away,
            // ERROR (a missing table), PERM, READONLY, CORRUPT, CANTOPEN, NOTADB
            _ => Self::Unfit,
        }
    }
}

fn code(error: &SqliteError) -> i32 {
    sqlx::error::DatabaseError::code(error)
        .and_then(|code| code.parse().ok())
        .unwrap_or_default()
}

/// Classifies an error for a running server: it waits even for an administrator's repair.
pub(super) fn classify(error: Error) -> StoreError {
    match Fault::from(&error) {
        Fault::Race => StoreError::Conflict(error.into()),
        Fault::Lock | Fault::Away | Fault::Unfit => StoreError::Unavailable(error.into()),
        Fault::Data => StoreError::Rejected(error.into()),
    }
}

/// Classifies an error for a starting server: it does not wait for an administrator's repair.
pub(super) fn classify_start(error: Error) -> MigrateError {
    match Fault::from(&error) {
        Fault::Race | Fault::Lock | Fault::Away => {
            MigrateError::Unavailable(reason(&error).into_owned())
        }
        Fault::Unfit | Fault::Data => MigrateError::Failed(reason(&error).into_owned()),
    }
}

/// Classifies an error of SQLite's migrations for a starting server.
pub(super) fn classify_migration(error: Migration) -> MigrateError {
    match error {
        Migration::Execute(cause) | Migration::ExecuteMigration(cause, _) => classify_start(cause),
        other => MigrateError::Failed(other.to_string()),
    }
}

/// Returns true when another database session's lock is in the way.
pub(super) fn is_lock_timeout(error: &Error) -> bool {
    Fault::from(error) == Fault::Lock
}

/// Returns true when another connection may serve better.
pub(super) fn is_connection_fault(error: &Error) -> bool {
    matches!(Fault::from(error), Fault::Away | Fault::Unfit)
}

/// Returns true for an error caused by a pooler in between: it refuses settings, or has given a
/// prepared statement's name to another database session.
pub(super) fn is_pooler_refusal(error: &Error) -> bool {
    let Some(error) = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
    else {
        return false;
    };
    let says = |words: &str| error.message().contains(words);
    match error.code() {
        "26000" | "42P05" => true,
        "08P01" | "0A000" => {
            says("startup parameter") || says("options") || says("prepared statement")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_errors_are_known_by_their_sqlstate() {
        for (fault, states) in [
            (Fault::Race, &["23505", "40001", "40P01"][..]),
            // bad encoding, NUL, check constraint, index row too large, RAISE
            (
                Fault::Data,
                &[
                    "22P05", "22021", "23514", "23502", "44000", "54000", "P0001",
                ],
            ),
            // lost; read-only; unknown outcome; full disk, no memory, no connections; in use;
            // cancelled, stopping, starting; EIO
            (Fault::Lock, &["55P03"]),
            (
                Fault::Away,
                &[
                    "08006", "25006", "40003", "53100", "53200", "53300", "55006",
                ],
            ),
            (
                Fault::Away,
                &[
                    "57014", "57P01", "57P02", "57P03", "58000", "58030", "26000",
                ],
            ),
            // password, database, rights, table, cached plan, damage, and unknown codes
            (
                Fault::Unfit,
                &[
                    "28P01", "3D000", "42501", "42P01", "0A000", "XX000", "XX001", "XX002",
                    "F0000", "", "é",
                ],
            ),
        ] {
            for state in states {
                assert_eq!(Fault::from_sqlstate(state), fault, "{state:?}");
            }
        }
    }

    #[test]
    fn sqlite_errors_are_known_by_their_primary_code() {
        const TRIGGER: i32 = 19 | 7 << 8;
        const BUSY_SNAPSHOT: i32 = 5 | 2 << 8;
        const IOERR_WRITE: i32 = 10 | 3 << 8;
        const READONLY_DBMOVED: i32 = 8 | 4 << 8;
        const CANTOPEN_ISDIR: i32 = 14 | 2 << 8;
        const CORRUPT_INDEX: i32 = 11 | 3 << 8;
        for (fault, codes) in [
            (Fault::Data, &[18, 19, TRIGGER, 20, 25][..]),
            (
                Fault::Away,
                &[5, BUSY_SNAPSHOT, 6, 7, 10, IOERR_WRITE, 13, 15, 17],
            ),
            (
                Fault::Unfit,
                &[
                    0,
                    1,
                    3,
                    8,
                    READONLY_DBMOVED,
                    11,
                    CORRUPT_INDEX,
                    14,
                    CANTOPEN_ISDIR,
                    26,
                ],
            ),
        ] {
            for code in codes {
                assert_eq!(Fault::from_result_code(*code), fault, "{code}");
            }
        }
    }

    #[test]
    fn an_error_without_a_code_is_one_of_the_connection() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        for error in [
            Error::Io(reset),
            Error::PoolTimedOut,
            Error::PoolClosed,
            Error::WorkerCrashed,
        ] {
            assert_eq!(Fault::from(&error), Fault::Away, "{error}");
        }
        assert_eq!(Fault::from(&Error::Encode("too long".into())), Fault::Data);
        assert_eq!(
            Fault::from(&Error::Configuration("no certificate".into())),
            Fault::Unfit
        );
    }
}
