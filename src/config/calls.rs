//! Calls: their size, and the servers that carry their media.

use std::{ops::RangeInclusive, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    Config,
    value::{count, seconds},
};
use crate::calling::{IceServers, IceUrls, LiveKit, Turn, stun_urls, turn_urls};

/// The fewest bytes of the secret that is shared with TURN servers.
const MIN_TURN_SECRET_BYTES: usize = 16;

/// The bounds of the life of TURN credentials, in seconds.
const TURN_TTL: RangeInclusive<u64> = 600..=86_400;

/// The schemes of a LiveKit server's URL.
const LIVEKIT_SCHEMES: [&str; 4] = ["ws", "wss", "http", "https"];

/// The settings of calls.
#[derive(Debug, Clone, Args)]
pub struct Calls {
    /// Parties of a call, 2 to 50. Each browser sends to each of the others, so more than 6 need LiveKit.
    #[arg(long, env, default_value_t = 6, value_parser = count(2, 50))]
    pub call_max_parties: usize,

    /// URLs of STUN servers for calls, separated by commas: `stun:stun.example.com:3478`.
    #[arg(long, env, default_value = "", hide_default_value = true, value_parser = stun_urls)]
    pub stun_urls: IceUrls,

    /// URLs of TURN servers for calls, separated by commas: `turn:turn.example.com:3478?transport=udp`,
    /// `turns:turn.example.com:5349?transport=tcp`. They need `TURN_SECRET`.
    #[arg(long, env, default_value = "", hide_default_value = true, value_parser = turn_urls)]
    pub turn_urls: IceUrls,

    /// Secret that those TURN servers share with this one, at least 16 bytes: coturn's
    /// `static-auth-secret`.
    #[arg(long, env, hide_env_values = true)]
    pub turn_secret: Option<SecretString>,

    /// Life of a party's TURN credentials in seconds, 600 to 86400.
    #[arg(long, env, default_value = "7200", value_parser = turn_ttl)]
    pub turn_ttl_seconds: Duration,

    /// URL of a LiveKit server that carries the media of calls, for its clients: `wss://livekit.example.com`.
    /// Needs `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET`. Unset: the parties send to each other.
    #[arg(long, env, value_parser = NonEmptyStringValueParser::new())]
    pub livekit_url: Option<String>,

    /// Key of that LiveKit's API.
    #[arg(long, env, value_parser = NonEmptyStringValueParser::new())]
    pub livekit_api_key: Option<String>,

    /// Secret of that key.
    #[arg(long, env, hide_env_values = true)]
    pub livekit_api_secret: Option<SecretString>,
}

impl Config {
    /// Returns the servers that find and relay the ways of calls.
    ///
    /// # Errors
    ///
    /// One line with the name of the bad variable, without a secret.
    pub fn ice_servers(&self) -> Result<IceServers, String> {
        let calls = &self.calls;
        let turn = match (calls.turn_urls.is_empty(), &calls.turn_secret) {
            (true, None) => None,
            (true, Some(_)) => return Err("TURN_SECRET: needs TURN_URLS".into()),
            (false, None) => {
                return Err("TURN_URLS: needs TURN_SECRET, which signs credentials".into());
            }
            (false, Some(secret)) => {
                let secret = long_enough(secret.expose_secret())?;
                Some(Turn::new(
                    calls.turn_urls.clone(),
                    secret,
                    calls.turn_ttl_seconds,
                ))
            }
        };
        Ok(IceServers::new(calls.stun_urls.clone(), turn))
    }

    /// Returns the LiveKit server, or none without one.
    ///
    /// # Errors
    ///
    /// One line with the name of the bad variable, without a secret.
    pub fn livekit(&self) -> Result<Option<LiveKit>, String> {
        let calls = &self.calls;
        let secret = calls
            .livekit_api_secret
            .as_ref()
            .map(ExposeSecret::expose_secret);
        let secret = secret.filter(|secret| !secret.is_empty());
        let (url, key) = (&calls.livekit_url, &calls.livekit_api_key);
        if let (Some(url), Some(key), Some(secret)) = (url, key, secret) {
            check_livekit_url(url).map_err(|why| format!("LIVEKIT_URL: {why}"))?;
            return Ok(Some(LiveKit::new(url.clone(), key.clone(), secret)));
        }
        let all = [
            ("LIVEKIT_URL", url.is_some()),
            ("LIVEKIT_API_KEY", key.is_some()),
            ("LIVEKIT_API_SECRET", secret.is_some()),
        ];
        let (given, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, is_set)| *is_set);
        let missing: Vec<_> = missing.into_iter().map(|(name, _)| name).collect();
        match given.first() {
            Some((given, _)) => Err(format!("{given}: needs {}", missing.join(" and "))),
            None => Ok(None),
        }
    }
}

fn turn_ttl(text: &str) -> Result<Duration, String> {
    let ttl = seconds(text).map_err(|error| error.to_string())?;
    if TURN_TTL.contains(&ttl.as_secs()) {
        return Ok(ttl);
    }
    let (least, most) = (TURN_TTL.start(), TURN_TTL.end());
    Err(format!("must be {least} to {most}"))
}

fn long_enough(secret: &str) -> Result<&str, String> {
    if secret.len() < MIN_TURN_SECRET_BYTES {
        return Err(format!(
            "TURN_SECRET: must be at least {MIN_TURN_SECRET_BYTES} bytes"
        ));
    }
    Ok(secret)
}

fn check_livekit_url(text: &str) -> Result<(), &'static str> {
    let url: Url = text.parse().map_err(|_| "is no URL")?;
    if !LIVEKIT_SCHEMES.contains(&url.scheme()) {
        return Err("must begin with wss://, ws://, https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not have a user or password");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const TURN: &str = "--turn-urls=turn:turn.example?transport=udp";
    const SECRET: &str = "--turn-secret=hunter2hunter2hunter2";
    const LIVEKIT: [&str; 3] = [
        "--livekit-url=wss://sfu.example",
        "--livekit-api-key=key",
        "--livekit-api-secret=hunter2",
    ];

    fn config(flags: &[&str]) -> Config {
        Config::try_parse_from([&["parlor"], flags].concat()).unwrap()
    }

    #[test]
    fn turn_needs_urls_and_a_secret() {
        let ice = |flags: &[&str]| config(flags).ice_servers();
        for good in [&[][..], &["--stun-urls=stun:s.example"], &[TURN, SECRET]] {
            assert!(ice(good).is_ok(), "{good:?}");
        }
        let line = |flags: &[&str]| ice(flags).unwrap_err();
        assert!(line(&[TURN]).starts_with("TURN_URLS: needs TURN_SECRET"));
        assert!(line(&[SECRET]).starts_with("TURN_SECRET: needs TURN_URLS"));
        for short in ["", "hunter2", "15 bytes, hunte"] {
            let line = line(&[TURN, &format!("--turn-secret={short}")]);
            assert!(line.starts_with("TURN_SECRET: must be"), "{line}");
            assert!(!line.contains("hunte"), "{line}");
        }
        assert!(ice(&[TURN, "--turn-secret=16 bytes, hunter"]).is_ok());
        assert!(!format!("{:?}", config(&[TURN, SECRET])).contains("hunter2"));
    }

    #[test]
    fn livekit_needs_three_settings() {
        let livekit = |flags: &[&str]| config(flags).livekit();
        assert!(livekit(&[]).unwrap().is_none());
        assert!(livekit(&LIVEKIT).unwrap().is_some());
        let [url, key, secret] = LIVEKIT;
        for (flags, expected) in [
            (
                &[url][..],
                "LIVEKIT_URL: needs LIVEKIT_API_KEY and LIVEKIT_API_SECRET",
            ),
            (&[url, key], "LIVEKIT_URL: needs LIVEKIT_API_SECRET"),
            (
                &[url, key, "--livekit-api-secret="],
                "LIVEKIT_URL: needs LIVEKIT_API_SECRET",
            ),
            (&[key, secret], "LIVEKIT_API_KEY: needs LIVEKIT_URL"),
            (
                &[secret],
                "LIVEKIT_API_SECRET: needs LIVEKIT_URL and LIVEKIT_API_KEY",
            ),
        ] {
            assert_eq!(livekit(flags).unwrap_err(), expected);
        }
        for bad in [
            "sfu.example",
            "ftp://sfu.example",
            "wss://ann:pass@sfu.example",
            "wss://",
        ] {
            let error = livekit(&[&format!("--livekit-url={bad}"), key, secret]).unwrap_err();
            assert!(error.starts_with("LIVEKIT_URL: "), "{bad}: {error}");
        }
        assert!(!format!("{:?}", config(&LIVEKIT)).contains("hunter2"));
    }
}
