//! Settings: for each a flag, an environment variable of the same name, and a default.

mod command;
mod host;
mod layers;
mod refusal;
mod value;

use std::{
    env,
    num::{NonZeroU32, NonZeroUsize},
    thread,
    time::Duration,
};

use clap::{
    Arg, CommandFactory, FromArgMatches, Parser,
    builder::{ArgPredicate, NonEmptyStringValueParser, Resettable},
    error::ErrorKind,
};
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::filter::Targets;

use self::value::{count, events_per_second, millis, positive_millis, seconds, targets};
pub use self::{
    command::{Command, Role, TokenRequest},
    host::Host,
};
use crate::{
    chat::MAX_HISTORY, http::AllowedOrigins, net::TrustedProxies, store::Schema,
    telemetry::LogFormat,
};

/// The default of `SHUTDOWN_TIMEOUT_MS` on a Heroku dyno, where stopping is to take less than ten
/// seconds.
const DYNO_SHUTDOWN_TIMEOUT_MS: &str = "8000";

/// A Socket.IO-compatible real-time chat server: rooms, history, acknowledgements; one binary, one
/// database.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100)]
pub struct Config {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// TCP port to listen on; 0 takes a free one.
    #[arg(long, env, default_value_t = 3000)]
    pub port: u16,

    /// Address to listen on, or a name that has one. `::` stands for all addresses of this machine,
    /// of IPv6 and IPv4.
    #[arg(long, env, default_value_t)]
    pub host: Host,

    /// Where messages are kept: `sqlite://FILE` (created when missing) or
    /// `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(
        long,
        env,
        global = true,
        hide_env_values = true,
        default_value = "sqlite://data/parlor.db"
    )]
    pub database_url: SecretString,

    /// Schema of a Postgres database for the tables, made when missing, so that programs can share
    /// a database. Unset: the first one of the database's `search_path`.
    #[arg(long, env, global = true)]
    pub database_schema: Option<Schema>,

    /// Most connections to the database.
    #[arg(long, env, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_max_connections: u32,

    /// Time that the start waits for a database that is away or lets nobody in, in seconds; then
    /// the program ends with exit code 1, and says why. 0 waits for ever.
    #[arg(long, env, default_value = "60", value_parser = seconds)]
    pub database_start_timeout: Duration,

    /// Web origins whose pages may connect besides those of the server's own host and port,
    /// separated by commas: `https://example.com`, `https://*.example.com`, `null`, `file://`; `*`
    /// for all.
    #[arg(long, env, default_value = "")]
    pub allowed_origins: AllowedOrigins,

    /// Secret that clients' tokens (JWT) are signed with by HS256, at least 32 bytes. Neither this
    /// nor `JWT_PUBLIC_KEY`: clients are guests, who are who they say they are.
    #[arg(long, env, global = true, hide_env_values = true)]
    pub jwt_secret: Option<SecretString>,

    /// Public key, in PEM, of whoever signs clients' tokens: RSA (RS256), P-256 (ES256) or Ed25519
    /// (EdDSA). Its line ends may be written as `\n`.
    #[arg(long, env, hide_env_values = true)]
    pub jwt_public_key: Option<SecretString>,

    /// What a token's `iss` must be.
    #[arg(long, env, global = true, value_parser = NonEmptyStringValueParser::new())]
    pub jwt_issuer: Option<String>,

    /// What a token's `aud` must be, or have among others.
    #[arg(long, env, global = true, value_parser = NonEmptyStringValueParser::new())]
    pub jwt_audience: Option<String>,

    /// Most bytes of UTF-8 in a message.
    #[arg(long, env, default_value_t = 8192, value_parser = count(1, 1_048_576))]
    pub max_message_bytes: usize,

    /// How many messages a join or a history read answers with when the client does not say.
    #[arg(long, env, default_value_t = 50, value_parser = count(1, MAX_HISTORY))]
    pub history_limit: usize,

    /// Most rooms that one connection may be in.
    #[arg(long, env, default_value_t = 256, value_parser = count(1, 100_000))]
    pub max_rooms_per_socket: usize,

    /// How many messages a second a user may send in the long run, by all connections and in all
    /// rooms; 0 sets no limit. As often, it may tell that it is typing.
    #[arg(long, env, default_value_t = 50)]
    pub messages_per_second: u32,

    /// How many messages a user may send at once after a pause.
    #[arg(long, env, default_value = "1000")]
    pub message_burst: NonZeroU32,

    /// How many joins, history reads and new tokens a second a user may ask for in the long run; 0
    /// sets no limit. At once, after a pause: eight times `MAX_ROOMS_PER_SOCKET`, as somebody who
    /// comes back joins all rooms again, in every tab.
    #[arg(long, env, default_value_t = 100)]
    pub requests_per_second: u32,

    /// How many events a second are taken from one connection in the long run, whatever they are,
    /// at least 50; those that come faster wait with the client, or are refused when they come by
    /// long-polling. 0 sets no limit.
    #[arg(long, env, default_value = "1000", value_parser = events_per_second)]
    pub events_per_second: u32,

    /// How long a user whose connection broke still counts as present, in milliseconds.
    #[arg(long, env, default_value = "5000", value_parser = millis)]
    pub presence_grace_ms: Duration,

    /// Members over which a room is told only how many they are, not who came and went.
    #[arg(long, env, default_value_t = 200)]
    pub presence_names_limit: usize,

    /// Time between two pings to a client, in milliseconds.
    #[arg(long, env, default_value = "20000", value_parser = positive_millis)]
    pub ping_interval_ms: Duration,

    /// How long a client may take to answer a ping, in milliseconds.
    #[arg(long, env, default_value = "20000", value_parser = positive_millis)]
    pub ping_timeout_ms: Duration,

    /// How long a message may wait to be stored, in milliseconds.
    #[arg(long, env, default_value = "15000", value_parser = positive_millis)]
    pub send_timeout_ms: Duration,

    /// How long stopping may take, in milliseconds.
    #[arg(long, env, default_value = "20000", value_parser = positive_millis,
        default_value_if("dyno", ArgPredicate::IsPresent, DYNO_SHUTDOWN_TIMEOUT_MS))]
    pub shutdown_timeout_ms: Duration,

    /// How long a client may take no bytes that wait for it before its connection is closed, in
    /// milliseconds; 0 leaves it to the operating system. Linux only.
    #[arg(long, env, default_value = "25000", value_parser = millis)]
    pub tcp_user_timeout_ms: Duration,

    /// How long a client may take until its first request has come, and then to enter the chat, in
    /// milliseconds.
    #[arg(long, env, default_value = "15000", value_parser = positive_millis)]
    pub handshake_timeout_ms: Duration,

    /// Most connections at once; further ones are closed. Unset: as many as the process may open
    /// files, but 128.
    #[arg(long, env, value_parser = count(1, u32::MAX as usize))]
    pub max_connections: Option<usize>,

    /// Most connections at once from one address, or, of IPv6, from one network of 64 bits; 0 is no
    /// limit. Behind a proxy, set it only together with `TRUSTED_PROXIES`.
    #[arg(long, env, default_value_t = 0)]
    pub max_connections_per_address: usize,

    /// How many sessions a second one address may begin in the long run; 0 is no limit. Behind a
    /// proxy, set it only together with `TRUSTED_PROXIES`.
    #[arg(long, env, default_value_t = 0)]
    pub connects_per_second: u32,

    /// How many sessions one address may begin at once after a pause.
    #[arg(long, env, default_value = "100")]
    pub connect_burst: NonZeroU32,

    /// Proxies that are believed when they say whom they speak for (`X-Forwarded-For`) and which
    /// host they were asked for (`X-Forwarded-Host`): addresses and networks such as `10.0.0.0/8`,
    /// separated by commas.
    #[arg(long, env, default_value = "")]
    pub trusted_proxies: TrustedProxies,

    /// How many packets may wait for a client; one that has more waiting loses its connection, and
    /// comes back for them.
    #[arg(long, env, default_value_t = 8192, value_parser = count(16, 1_048_576))]
    pub send_queue_packets: usize,

    /// What to log, such as `info` or `parlor=debug`.
    #[arg(long, env, global = true, default_value = "info,sqlx=warn", value_parser = targets)]
    pub rust_log: Targets,

    /// How log lines look.
    #[arg(long, env, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Threads that the work is spread over. Unset: as many as there are processors.
    #[arg(long, env, value_parser = count(1, 1024))]
    pub tokio_worker_threads: Option<usize>,

    /// Name of the Heroku dyno that this is, set by Heroku. On a dyno, whose disk is lost at every
    /// restart, `DATABASE_URL` must name a Postgres; that is reached with `sslmode=require` unless
    /// the URL names another mode; and `SHUTDOWN_TIMEOUT_MS` is 8000 unless set.
    #[arg(long, env)]
    pub dyno: Option<String>,
}

impl Config {
    /// Reads the command line and the environment, where an empty variable counts as unset;
    /// `--help` and `--version` are answered and end the process.
    ///
    /// # Errors
    ///
    /// One line that names the variable whose value is bad.
    pub fn from_args() -> Result<Self, String> {
        let command = Self::command().mut_args(without_empty_variable);
        let matches = command.try_get_matches().map_err(|error| {
            match (refusal::of(&error), error.kind()) {
                (Some(line), _) => line,
                // The help names every variable, also those that are empty.
                (None, ErrorKind::DisplayHelp) => match Self::command().try_get_matches() {
                    Err(help) => help.exit(),
                    Ok(_) => error.exit(),
                },
                (None, _) => error.exit(),
            }
        })?;
        let config = Self::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// Returns the number of threads that the work is spread over.
    pub fn worker_threads(&self) -> usize {
        let processors = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.tokio_worker_threads.unwrap_or_else(processors)
    }

    /// The variable that has the key of clients' tokens; none: guests come without.
    pub fn key_variable(&self) -> Option<&'static str> {
        let secret = self.jwt_secret.as_ref().map(|_| "JWT_SECRET");
        secret.or(self.jwt_public_key.as_ref().map(|_| "JWT_PUBLIC_KEY"))
    }

    /// What no single value shows.
    fn check(&self) -> Result<(), String> {
        if self.dyno.is_some() && self.database_url.expose_secret().starts_with("sqlite:") {
            return Err(
                "DATABASE_URL: must name a Postgres on a Heroku dyno, whose disk is lost at every restart".into()
            );
        }
        if self.command.is_none() {
            self.host
                .resolve()
                .map_err(|reason| format!("HOST: {reason}"))?;
        }
        self.verifier().map(drop)
    }
}

/// Leaves the environment out where the variable is empty: that is how files and consoles for
/// settings leave one out.
fn without_empty_variable(argument: Arg) -> Arg {
    let is_empty = argument
        .get_env()
        .and_then(env::var_os)
        .is_some_and(|value| value.is_empty());
    if is_empty {
        argument.env(Resettable::Reset)
    } else {
        argument
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, clap::Error> {
        Config::try_parse_from([&["parlor"], arguments].concat())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Config::command().debug_assert();
    }

    #[test]
    fn a_bad_value_names_its_variable() {
        for (flag, value, variable) in [
            ("--port", "70000", "PORT"),
            ("--port", "x", "PORT"),
            ("--host", "no where", "HOST"),
            ("--history-limit", "201", "HISTORY_LIMIT"),
            ("--history-limit", "0", "HISTORY_LIMIT"),
            ("--max-message-bytes", "0", "MAX_MESSAGE_BYTES"),
            ("--messages-per-second", "-1", "MESSAGES_PER_SECOND"),
            ("--message-burst", "0", "MESSAGE_BURST"),
            ("--events-per-second", "49", "EVENTS_PER_SECOND"),
            ("--send-timeout-ms", "0", "SEND_TIMEOUT_MS"),
            ("--send-timeout-ms", "-1", "SEND_TIMEOUT_MS"),
            ("--allowed-origins", "example.com", "ALLOWED_ORIGINS"),
            ("--log-format", "xml", "LOG_FORMAT"),
        ] {
            let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
            let line = refusal::of(&error).unwrap();
            assert!(line.starts_with(&format!("{variable}: ")), "{line}");
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn a_dyno_is_left_within_ten_seconds_unless_told_otherwise() {
        let timeout =
            |arguments: &[&str]| parse(arguments).unwrap().shutdown_timeout_ms.as_millis();
        assert_eq!(timeout(&["--dyno=web.1"]), 8_000);
        assert_eq!(
            timeout(&["--dyno=web.1", "--shutdown-timeout-ms=25000"]),
            25_000
        );
        assert_eq!(timeout(&[]), 20_000);
    }

    #[test]
    fn a_small_database_plan_has_connections_for_two_servers() {
        // While a new release starts the old one still runs; Heroku's smallest plans give 20
        // connections.
        let config = parse(&["--dyno=web.1"]).unwrap();
        assert!(config.database_max_connections <= 8);
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = parse(&[
            "--database-url=postgres://ann:pass@host/db",
            "--jwt-secret=pass-word",
            "--jwt-public-key=pass-key",
        ]);
        let config = config.unwrap();
        assert!(!format!("{config:?}").contains("pass"));
        assert_eq!(
            config.database_url.expose_secret(),
            "postgres://ann:pass@host/db"
        );
    }
}
