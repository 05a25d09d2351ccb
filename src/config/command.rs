//! The program's commands, besides serving.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};

use crate::model::{RoomId, UserId};

/// A command to run instead of serving.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Brings the database's tables up to date, and exits.
    Migrate,
    /// Prints a token for experiments, signed with `JWT_SECRET`.
    Token(TokenRequest),
    /// Prints what a room or a user has left in the database, a JSON object a line.
    Export(ExportRequest),
    /// Erases what a user has said, and the user's reactions and memberships. Running servers show
    /// it within seconds; with SQLite, stop the server first.
    Erase(EraseRequest),
    /// Prints the state of webhooks: the receivers, with events still to deliver and the latest
    /// results. Also sends past events again, and enables a receiver again.
    Webhooks(WebhooksRequest),
}

/// The subject of an export.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
pub struct ExportRequest {
    /// Id of the room: its messages and memberships.
    #[arg(long, value_parser = |text: &str| RoomId::try_from(text))]
    pub room: Option<RoomId>,

    /// Id of the user: messages, reactions and memberships. Reads the whole database.
    #[arg(long, value_parser = |text: &str| UserId::try_from(text))]
    pub user: Option<UserId>,
}

/// The user to be erased.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct EraseRequest {
    /// Id of the user. Reads the whole database.
    #[arg(long, value_parser = |text: &str| UserId::try_from(text))]
    pub user: UserId,
}

/// A question or a request about webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WebhooksRequest {
    /// Sends all events from a time on again, such as `2026-01-31T12:00:00Z`, and enables disabled
    /// receivers. The servers begin within seconds.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub replay_from: Option<DateTime<Utc>>,

    /// URL of the receiver to send to again. Unset: all receivers.
    #[arg(long, value_name = "URL", requires = "replay_from")]
    pub endpoint: Option<String>,

    /// URL of a disabled receiver to be enabled again. It gets all events that it has missed.
    #[arg(long, value_name = "URL", conflicts_with = "replay_from")]
    pub enable: Option<String>,
}

fn time(text: &str) -> Result<DateTime<Utc>, chrono::ParseError> {
    DateTime::parse_from_rfc3339(text).map(|time| time.to_utc())
}

/// The claims of a token for experiments.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TokenRequest {
    /// Id of the user.
    #[arg(long, value_parser = |text: &str| UserId::try_from(text))]
    pub sub: UserId,

    /// Room open to the user, or a prefix of rooms' ids as in `team-*`; may be repeated. None: all
    /// rooms.
    #[arg(long = "room", value_name = "ROOM")]
    pub rooms: Vec<String>,

    /// Lifetime of the token, such as `90s`, `1h` or `30days`.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    pub ttl: Duration,

    /// Role of the user.
    #[arg(long, value_enum)]
    pub role: Option<Role>,
}

/// A user's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Marks the user's messages as an operator's.
    Operator,
    /// Leads operators: takes and hands on any conversation.
    Supervisor,
    /// Opens the REST API to a backend.
    Service,
}
