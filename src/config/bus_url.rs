//! The choice of a bus.

use secrecy::ExposeSecret;

use super::{Config, check::is_postgres};
use crate::{
    bus::{self, RedisUrl},
    store,
};

/// The value of `BUS_URL` for no bus.
const NONE: &str = "none";

impl Config {
    /// Rejects a database for notifications that this server cannot use.
    pub(super) fn check_notify(&self) -> Result<(), String> {
        let Some(notify) = &self.database_notify_url else {
            return Ok(());
        };
        if !self.has_postgres() {
            return Err("DATABASE_NOTIFY_URL: needs a Postgres in DATABASE_URL".into());
        }
        if !is_postgres(notify) {
            return Err("DATABASE_NOTIFY_URL: must start with postgres://".into());
        }
        let options = store::postgres_options(notify.expose_secret(), self.into());
        options
            .map(drop)
            .map_err(|error| format!("DATABASE_NOTIFY_URL: {error}"))
    }

    /// Rejects a bus that this server cannot use.
    pub(super) fn check_bus(&self) -> Result<(), String> {
        let url = self.bus_url.as_ref().map(ExposeSecret::expose_secret);
        let Some(url) = url.filter(|url| *url != NONE) else {
            return Ok(());
        };
        RedisUrl::parse(url).map_err(|error| format!("BUS_URL: {error}"))?;
        if self.has_postgres() {
            Ok(())
        } else {
            Err(
                "BUS_URL: needs a Postgres in DATABASE_URL, as SQLite serves one server only"
                    .into(),
            )
        }
    }
}

impl From<&Config> for bus::Settings {
    fn from(config: &Config) -> Self {
        let schema = config.database_schema.clone();
        match &config.bus_url {
            _ if !config.has_postgres() => Self::Off,
            Some(url) if url.expose_secret() == NONE => Self::Off,
            Some(url) => Self::Redis {
                url: url.clone(),
                prefix: config.bus_prefix.clone(),
                schema,
            },
            None => Self::Postgres {
                url: config
                    .database_notify_url
                    .as_ref()
                    .unwrap_or(&config.database_url)
                    .clone(),
                encryption: config.into(),
                schema,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const DATABASE: &str = "--database-url=postgres://host/db";

    fn parse(flags: &[&str]) -> Config {
        Config::try_parse_from([&["parlor"], flags].concat()).unwrap()
    }

    #[test]
    fn servers_on_a_postgres_have_a_bus_unless_it_is_turned_off() {
        let url = |flags: &[&str]| match bus::Settings::from(&parse(flags)) {
            bus::Settings::Off => None,
            bus::Settings::Postgres { url, .. } | bus::Settings::Redis { url, .. } => {
                Some(url.expose_secret().to_owned())
            }
        };
        assert_eq!(url(&[]), None);
        assert_eq!(url(&[DATABASE]).unwrap(), "postgres://host/db");
        assert_eq!(url(&[DATABASE, "--bus-url=none"]), None);
        let direct = "--database-notify-url=postgres://direct/db";
        assert_eq!(url(&[DATABASE, direct]).unwrap(), "postgres://direct/db");
        let other = "--bus-url=redis://host";
        assert_eq!(url(&[DATABASE, other]).unwrap(), "redis://host");
    }

    #[test]
    fn a_bad_bus_is_refused_without_its_password() {
        for flags in [
            &[DATABASE, "--bus-url=nats://ann:hunter2@host"][..],
            &[DATABASE, "--bus-url=redis://ann:hunter2@host:port"],
            &["--bus-url=redis://ann:hunter2@host"],
        ] {
            let line = parse(flags).check().unwrap_err();
            assert!(line.starts_with("BUS_URL: "), "{line}");
            assert!(!line.contains("hunter2"), "{line}");
        }
        for good in ["none", "redis://ann:hunter2@host", "rediss://host"] {
            parse(&[DATABASE, &format!("--bus-url={good}")])
                .check()
                .unwrap();
        }
    }
}
