//! The receivers of webhooks.

use secrecy::ExposeSecret;

use super::Config;
use crate::{
    outbound::Secrets,
    webhooks::{Endpoints, Settings},
};

impl Config {
    /// Returns the settings of webhooks, or none without receivers.
    ///
    /// # Errors
    ///
    /// One line with the name of the bad variable, without its value.
    pub fn webhooks(&self) -> Result<Option<Settings>, String> {
        let secrets = self.webhook_secrets()?;
        let Some(urls) = &self.webhooks else {
            return Ok(None);
        };
        let Endpoints(endpoints) = urls
            .expose_secret()
            .parse()
            .map_err(|reason| format!("WEBHOOKS: {reason}"))?;
        let secrets = secrets.ok_or("WEBHOOKS: needs WEBHOOK_SECRET, which signs them")?;
        Ok(Some(Settings {
            endpoints,
            secrets,
            batch: self.webhook_batch,
            allow_private: self.webhook_allow_private,
            grace: self.presence_grace_ms,
            timing: self.webhook_timing.clone(),
        }))
    }

    /// Returns the keys of the signatures, if there is a secret.
    pub(super) fn webhook_secrets(&self) -> Result<Option<Secrets>, String> {
        let secrets = self.webhook_secret.as_ref().map(|secret| {
            let parsed = secret.expose_secret().parse();
            parsed.map_err(|reason| format!("WEBHOOK_SECRET: {reason}"))
        });
        secrets.transpose()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const URL: &str = "--webhooks=https://a.example/hunter2";
    const SECRET: &str = "--webhook-secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn webhooks(flags: &[&str]) -> Result<Option<Settings>, String> {
        Config::try_parse_from([&["parlor"], flags].concat())
            .unwrap()
            .webhooks()
    }

    #[test]
    fn webhooks_need_a_good_url_and_a_good_secret() {
        let line = |flags: &[&str]| webhooks(flags).unwrap_err();
        assert!(line(&[URL]).starts_with("WEBHOOKS: needs WEBHOOK_SECRET"));
        assert!(line(&["--webhooks=hunter2", SECRET]).starts_with("WEBHOOKS: URL number 1 "));
        let secret = line(&["--webhook-secret=hunter2"]);
        assert!(secret.starts_with("WEBHOOK_SECRET: ") && !secret.contains("hunter2"));
        assert!(webhooks(&[SECRET]).unwrap().is_none());
        let settings = webhooks(&[URL, SECRET]).unwrap().unwrap();
        assert_eq!((settings.batch, settings.allow_private), (1, false));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
