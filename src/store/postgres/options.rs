//! Options of a connection, and the name of its database.

use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// The encryption of connections to Postgres, unless the URL (`sslmode`) or `PGSSLMODE` sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Encrypted when the server can, as with `sslmode=prefer`.
    Optional,
    /// Encrypted or refused, as with `sslmode=require`: the server's certificate is not verified.
    Required,
}

/// Reads a `postgres://` URL.
///
/// # Errors
///
/// When the URL is malformed.
pub fn connect_options(url: &str, encryption: Encryption) -> Result<PgConnectOptions, sqlx::Error> {
    // Poolers refuse the setting that is left out here. It concerns floating-point numbers, and
    // there are none.
    let options = encrypted(url.parse()?, encryption);
    Ok(options.application_name("parlor").extra_float_digits(None))
}

/// Applies `encryption` to a URL without a mode: its default, `prefer`, would fall back to clear
/// text as soon as the server claims to have no TLS.
fn encrypted(options: PgConnectOptions, encryption: Encryption) -> PgConnectOptions {
    match (encryption, options.get_ssl_mode()) {
        (Encryption::Required, PgSslMode::Prefer) => options.ssl_mode(PgSslMode::Require),
        _ => options,
    }
}

/// Returns the host and the database, without user and password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options
        .get_database()
        .unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(folder) => format!("database {database:?} at {}", folder.display()),
        None => format!(
            "database {database:?} at {}:{}",
            options.get_host(),
            options.get_port()
        ),
    }
}
