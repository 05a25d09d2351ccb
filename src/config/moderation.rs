//! The program that is asked about messages.

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use super::Config;
use crate::{moderation::Settings, outbound::Target};

/// The program that is asked about messages.
#[derive(Debug, Clone, Args)]
pub struct Moderator {
    /// URL of a program that is asked about each message before it is stored, and may refuse or change
    /// it: `https://example.com/moderate`. Signed with `WEBHOOK_SECRET`, if set. Unset: none.
    #[arg(long, env, hide_env_values = true)]
    pub moderation_url: Option<SecretString>,

    /// Messages while that program fails: `closed` refuses them, to be sent again, and `open` lets them
    /// through.
    #[arg(long, env, value_enum, default_value_t = Failing::Closed)]
    pub moderation_fails: Failing,
}

/// The fate of messages while the moderation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Failing {
    /// They are let through.
    Open,
    /// They are refused, and their senders try again.
    Closed,
}

impl Config {
    /// Returns the settings of moderation, or none without a program.
    ///
    /// # Errors
    ///
    /// One line with the name of the bad variable, without its value.
    pub fn moderation(&self) -> Result<Option<Settings>, String> {
        let Some(url) = &self.moderator.moderation_url else {
            return Ok(None);
        };
        let target: Result<Target, _> = url.expose_secret().parse();
        Ok(Some(Settings {
            target: target.map_err(|why| format!("MODERATION_URL: {why}"))?,
            secrets: self.webhook_secrets()?,
            allow_private: self.webhook_allow_private,
            fails_open: self.moderator.moderation_fails == Failing::Open,
            max_message_bytes: self.max_message_bytes,
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn moderation(flags: &[&str]) -> Result<Option<Settings>, String> {
        Config::try_parse_from([&["parlor"], flags].concat())
            .unwrap()
            .moderation()
    }

    #[test]
    fn moderation_needs_a_good_url_and_fails_closed_without_another_wish() {
        assert!(moderation(&["--moderation-fails=open"]).unwrap().is_none());
        let url = "--moderation-url=https://a.example/hunter2";
        let settings = moderation(&[url]).unwrap().unwrap();
        assert!(!settings.fails_open && !settings.allow_private && settings.secrets.is_none());
        assert!(!format!("{settings:?}").contains("hunter2"));
        let open = moderation(&[url, "--moderation-fails=open"]);
        assert!(open.unwrap().unwrap().fails_open);
        for bad in ["hunter2", "ftp://hunter2.example"] {
            let error = moderation(&[&format!("--moderation-url={bad}")]).unwrap_err();
            assert!(
                error.starts_with("MODERATION_URL: ") && !error.contains("hunter2"),
                "{error}"
            );
        }
        let secret = moderation(&[url, "--webhook-secret=hunter2"]).unwrap_err();
        assert!(secret.starts_with("WEBHOOK_SECRET: "), "{secret}");
    }
}
