//! Values that contradict each other or name nothing.

use secrecy::{ExposeSecret, SecretString};

use super::Config;

impl Config {
    /// Returns true when the database is a Postgres.
    pub fn has_postgres(&self) -> bool {
        is_postgres(&self.database_url)
    }

    /// Rejects values that contradict each other or name nothing.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.dyno.is_some() && self.database_url.expose_secret().starts_with("sqlite:") {
            return Err(
                "DATABASE_URL: must name a Postgres, as a Heroku dyno loses its disk at every restart".into()
            );
        }
        self.check_notify()?;
        self.check_bus()?;
        self.webhooks()?;
        self.moderation()?;
        self.ice_servers()?;
        self.livekit()?;
        if self.command.is_none() {
            self.host
                .resolve()
                .map_err(|reason| format!("HOST: {reason}"))?;
        }
        self.verifier().map(drop)
    }
}

/// Returns true for the URL of a Postgres.
pub(super) fn is_postgres(url: &SecretString) -> bool {
    let scheme = url.expose_secret().split(':').next();
    matches!(scheme, Some("postgres" | "postgresql"))
}
