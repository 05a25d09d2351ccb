//! Settings: each is a flag and an environment variable of the same name, with a default.

mod bus_url;
mod calls;
mod check;
mod command;
mod conversations;
mod host;
mod layers;
mod moderation;
mod refusal;
mod signals;
#[cfg(test)]
mod tests;
mod value;
mod webhooks;

use std::{
    env,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    thread,
    time::Duration,
};

use clap::{
    Arg, ArgAction, CommandFactory, FromArgMatches, Parser,
    builder::{ArgPredicate, NonEmptyStringValueParser, Resettable},
    error::ErrorKind,
};
use secrecy::SecretString;
use tracing_subscriber::filter::Targets;

use self::value::{count, events_per_second, millis, on_or_off, positive_millis, seconds, targets};
pub use self::{
    calls::Calls,
    command::{Command, EraseRequest, ExportRequest, Role, TokenRequest, WebhooksRequest},
    conversations::Conversations,
    host::Host,
    moderation::Moderator,
    signals::Signals,
};
use crate::{
    auth::ApiKeys,
    bus::Prefix,
    chat::MAX_HISTORY,
    http::AllowedOrigins,
    net::TrustedProxies,
    store::Schema,
    telemetry::LogFormat,
    webhooks::{MAX_BATCH, Timing},
};

/// The default of `SHUTDOWN_TIMEOUT_MS` on a Heroku dyno, which has ten seconds to stop.
const DYNO_SHUTDOWN_TIMEOUT_MS: &str = "8000";

/// A Socket.IO-compatible real-time chat server: rooms, history, acknowledgements; one binary, one
/// database.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100)]
pub struct Config {
    /// Command to run instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// TCP port to listen on; 0 takes a free one.
    #[arg(long, env, default_value_t = 3000)]
    pub port: u16,

    /// Address or name to listen on; `::` means every address of the machine, IPv6 and IPv4.
    #[arg(long, env, default_value_t)]
    pub host: Host,

    /// Database of the messages: `sqlite://FILE` (created when missing) or
    /// `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(
        long,
        env,
        global = true,
        hide_env_values = true,
        default_value = "sqlite://data/parlor.db"
    )]
    pub database_url: SecretString,

    /// Postgres schema for the tables, created when missing, so that several programs can share a
    /// database. Unset: the first schema of the database's `search_path`.
    #[arg(long, env, global = true)]
    pub database_schema: Option<Schema>,

    /// Size of the database's connection pool, 1 to 1000.
    #[arg(long, env, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_max_connections: u32,

    /// Bus by which the servers of one database tell each other of new messages: `redis://HOST`,
    /// `rediss://USER:PASSWORD@HOST:PORT` (with TLS), `redis-sentinel://HOST,HOST/NAME`; `none` for
    /// a single server. Unset: notifications of the database, if it is a Postgres.
    #[arg(long, env, hide_env_values = true)]
    pub bus_url: Option<SecretString>,

    /// Beginning of all names on the Redis in `BUS_URL`, so that several chats can share it.
    #[arg(long, env, default_value_t)]
    pub bus_prefix: Prefix,

    /// URL of the same Postgres for notifications, where `DATABASE_URL` leads to a pooler. Unset:
    /// `DATABASE_URL`.
    #[arg(long, env, hide_env_values = true)]
    pub database_notify_url: Option<SecretString>,

    /// Seconds to wait at the start for a database that is unreachable or refuses the login; then
    /// the program ends with exit code 1 and the reason. 0 waits for ever.
    #[arg(long, env, default_value = "60", value_parser = seconds)]
    pub database_start_timeout: Duration,

    /// Web origins whose pages may connect, besides those of the server's own host and port,
    /// separated by commas: `https://example.com`, `https://*.example.com`, `null`, `file://`; `*`
    /// allows all.
    #[arg(long, env, default_value = "")]
    pub allowed_origins: AllowedOrigins,

    /// Shared secret of the clients' tokens (JWT, HS256), at least 32 bytes. With neither this nor
    /// `JWT_PUBLIC_KEY`, clients are guests and choose their own user ids.
    #[arg(long, env, global = true, hide_env_values = true)]
    pub jwt_secret: Option<SecretString>,

    /// Public key, in PEM, of the tokens' issuer: RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA).
    /// Its line ends may be written as `\n`.
    #[arg(long, env, hide_env_values = true)]
    pub jwt_public_key: Option<SecretString>,

    /// Required `iss` claim of tokens.
    #[arg(long, env, global = true, value_parser = NonEmptyStringValueParser::new())]
    pub jwt_issuer: Option<String>,

    /// Required `aud` claim of tokens, alone or among others.
    #[arg(long, env, global = true, value_parser = NonEmptyStringValueParser::new())]
    pub jwt_audience: Option<String>,

    /// Keys of the backends that use the REST API at `/api/v1`, separated by commas, each of at least 32
    /// characters; several while one is replaced. Tokens with the role `service` open it, too.
    #[arg(
        long,
        env,
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    pub api_keys: ApiKeys,

    /// Sustained rate of each backend's requests to the REST API, a batch counting as many; 0 lifts
    /// the limit. The burst is twice as many.
    #[arg(long, env, default_value_t = 1000)]
    pub api_requests_per_second: u32,

    /// Streams of events at once.
    #[arg(long, env, default_value_t = 1000, value_parser = count(1, 1_048_576))]
    pub max_streams: usize,

    /// Streams of users at once per address, or per IPv6 network of 64 bits; 0 lifts the limit. Behind a
    /// proxy, raise it or set `TRUSTED_PROXIES`.
    #[arg(long, env, default_value_t = 16)]
    pub max_streams_per_address: usize,

    /// Size limit of a message in bytes of UTF-8, up to 1048576.
    #[arg(long, env, default_value_t = 8192, value_parser = count(1, 1_048_576))]
    pub max_message_bytes: usize,

    /// Time in seconds in which an author may edit a message; 0 for ever.
    #[arg(long, env, default_value = "0", value_parser = seconds)]
    pub edit_window_seconds: Duration,

    /// Conversations between customers and operators.
    #[command(flatten)]
    pub conversations: Conversations,

    /// Calls.
    #[command(flatten)]
    pub calls: Calls,

    /// Search of messages by their words, which a server indexes beside the sends.
    #[arg(long, env, default_value = "on", value_name = "on|off", action = ArgAction::Set, value_parser = on_or_off)]
    pub search: bool,

    /// Days after which messages are removed for ever; 0: never.
    #[arg(long, env, default_value_t = 0, value_parser = count(0, 36_500))]
    pub retention_days: usize,

    /// Messages in the answer to a join or a history read unless the client sets `limit`, 1 to 200.
    #[arg(long, env, default_value_t = 50, value_parser = count(1, MAX_HISTORY))]
    pub history_limit: usize,

    /// Rooms per connection, up to 100000.
    #[arg(long, env, default_value_t = 256, value_parser = count(1, 100_000))]
    pub max_rooms_per_socket: usize,

    /// Sustained rate of messages per user, over all connections and rooms; 0 lifts the limit.
    /// Typing events count separately, at the same rate.
    #[arg(long, env, default_value_t = 50)]
    pub messages_per_second: u32,

    /// Burst of messages per user, after a pause.
    #[arg(long, env, default_value = "1000")]
    pub message_burst: NonZeroU32,

    /// Sustained rate of joins, history reads and token refreshes per user; 0 lifts the limit. The
    /// burst is eight times `MAX_ROOMS_PER_SOCKET`: after a break, a user joins all rooms again in
    /// every tab.
    #[arg(long, env, default_value_t = 100)]
    pub requests_per_second: u32,

    /// Sustained rate of events per connection, of any kind, at least 50; 0 lifts the limit. Faster
    /// events wait on the client's side, or are refused when they come by long-polling.
    #[arg(long, env, default_value = "1000", value_parser = events_per_second)]
    pub events_per_second: u32,

    /// Clients' own events.
    #[command(flatten)]
    pub signals: Signals,

    /// Milliseconds for which a user with a broken connection still counts as present.
    #[arg(long, env, default_value = "5000", value_parser = millis)]
    pub presence_grace_ms: Duration,

    /// Largest room whose presence names the users coming and going; larger rooms hear only the
    /// member count.
    #[arg(long, env, default_value_t = 200)]
    pub presence_names_limit: usize,

    /// Milliseconds between two pings to a client.
    #[arg(long, env, default_value = "20000", value_parser = positive_millis)]
    pub ping_interval_ms: Duration,

    /// Milliseconds for a client to answer a ping.
    #[arg(long, env, default_value = "20000", value_parser = positive_millis)]
    pub ping_timeout_ms: Duration,

    /// Milliseconds for a message to be stored; after them its send is answered with `UNAVAILABLE`.
    #[arg(long, env, default_value = "15000", value_parser = positive_millis)]
    pub send_timeout_ms: Duration,

    /// Milliseconds for a graceful shutdown.
    #[arg(long, env, default_value = "20000", value_parser = positive_millis,
        default_value_if("dyno", ArgPredicate::IsPresent, DYNO_SHUTDOWN_TIMEOUT_MS))]
    pub shutdown_timeout_ms: Duration,

    /// Milliseconds after which a client is disconnected if it accepts no data (Linux only); 0
    /// leaves that to the operating system.
    #[arg(long, env, default_value = "25000", value_parser = millis)]
    pub tcp_user_timeout_ms: Duration,

    /// Milliseconds for a connection's first request, and again for its client to enter the chat.
    #[arg(long, env, default_value = "15000", value_parser = positive_millis)]
    pub handshake_timeout_ms: Duration,

    /// Concurrent connections; more are closed at once. Unset: the process's limit of open files,
    /// less 128.
    #[arg(long, env, value_parser = count(1, u32::MAX as usize))]
    pub max_connections: Option<usize>,

    /// Concurrent connections per address, or per IPv6 network of 64 bits; 0 lifts the limit.
    /// Behind a proxy, set it only together with `TRUSTED_PROXIES`.
    #[arg(long, env, default_value_t = 0)]
    pub max_connections_per_address: usize,

    /// Sustained rate of new sessions per address; 0 lifts the limit. Behind a proxy, set it only
    /// together with `TRUSTED_PROXIES`.
    #[arg(long, env, default_value_t = 0)]
    pub connects_per_second: u32,

    /// Burst of new sessions per address, after a pause.
    #[arg(long, env, default_value = "100")]
    pub connect_burst: NonZeroU32,

    /// Proxies trusted to name the client's address (`X-Forwarded-For`) and the requested host
    /// (`X-Forwarded-Host`): addresses and networks such as `10.0.0.0/8`, separated by commas.
    #[arg(long, env, default_value = "")]
    pub trusted_proxies: TrustedProxies,

    /// Packets queued for one client, 16 to 1048576; a client with more is disconnected, comes back
    /// and receives the missed messages.
    #[arg(long, env, default_value_t = 8192, value_parser = count(16, 1_048_576))]
    pub send_queue_packets: usize,

    /// Address of a listener of its own for Prometheus, such as `127.0.0.1:9464`: `GET /metrics`.
    /// Anybody who reaches it may read the figures. Unset: none.
    #[arg(long, env)]
    pub metrics_addr: Option<SocketAddr>,
    /// URLs of other programs that hear of new messages, changes and members by HTTP, separated by
    /// commas: `https://example.com/hook`. Needs `WEBHOOK_SECRET`.
    #[arg(long, env, hide_env_values = true)]
    pub webhooks: Option<SecretString>,

    /// Secret of the signatures of webhooks: `whsec_` and the base64 of 24 to 64 random bytes. Two
    /// of them, separated by a space or comma, both sign during a rotation.
    #[arg(long, env, hide_env_values = true)]
    pub webhook_secret: Option<SecretString>,

    /// Most events in a webhook, 1 to 50. With more than 1, each webhook has the form of a batch.
    #[arg(long, env, default_value_t = 1, value_parser = count(1, MAX_BATCH))]
    pub webhook_batch: usize,

    /// Webhooks to addresses of this host and of private networks, for receivers beside the server.
    #[arg(long, env, default_value = "off", value_name = "on|off", action = ArgAction::Set, value_parser = on_or_off)]
    pub webhook_allow_private: bool,

    /// The program that is asked about messages.
    #[command(flatten)]
    pub moderator: Moderator,

    /// Intervals of webhooks, for tests.
    #[doc(hidden)]
    #[arg(skip)]
    pub webhook_timing: Timing,

    /// Log filter: levels, or levels by crate, such as `info` or `parlor=debug`.
    #[arg(long, env, global = true, default_value = "info,sqlx=warn", value_parser = targets)]
    pub rust_log: Targets,

    /// Format of log lines.
    #[arg(long, env, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Worker threads, 1 to 1024. Unset: the number of processors.
    #[arg(long, env, value_parser = count(1, 1024))]
    pub tokio_worker_threads: Option<usize>,

    /// Name of the Heroku dyno, set by Heroku. A dyno loses its disk at every restart, so
    /// `DATABASE_URL` must name a Postgres. That is reached with `sslmode=require` unless the URL
    /// names another mode, and `SHUTDOWN_TIMEOUT_MS` is 8000 unless set.
    #[arg(long, env)]
    pub dyno: Option<String>,
}

impl Config {
    /// Reads the command line and the environment, where an empty variable counts as unset. Answers
    /// `--help` and `--version`, and then ends the process; so does a misused command line.
    ///
    /// # Errors
    ///
    /// One line that names the variable with a bad value.
    pub fn from_args() -> Result<Self, String> {
        let command = Self::command().mut_args(without_empty_variable);
        let matches = command
            .try_get_matches()
            .map_err(|error| refusal::line(&error).unwrap_or_else(|| exit(&error)))?;
        let config = Self::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// Returns the number of worker threads.
    pub fn worker_threads(&self) -> usize {
        let processors = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.tokio_worker_threads.unwrap_or_else(processors)
    }

    /// Returns the variable with the key of clients' tokens, or none if clients are guests.
    pub fn key_variable(&self) -> Option<&'static str> {
        let secret = self.jwt_secret.as_ref().map(|_| "JWT_SECRET");
        secret.or(self.jwt_public_key.as_ref().map(|_| "JWT_PUBLIC_KEY"))
    }
}

/// Ignores an empty variable: files of settings and hosts' consoles leave a setting out like that.
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

/// Answers `--help` and `--version`, or reports a misused command line, and ends the process.
fn exit(error: &clap::Error) -> ! {
    // The help names every variable, those with an empty value too.
    if error.kind() == ErrorKind::DisplayHelp
        && let Err(help) = Config::command().try_get_matches()
    {
        help.exit()
    }
    error.exit()
}
