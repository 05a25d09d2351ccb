//! Commands of the program other than to serve.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::model::UserId;

/// What to do instead of serving.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Brings the database's tables up to date, and ends.
    Migrate,
    /// Prints a token for trying out, signed with `JWT_SECRET`.
    Token(TokenRequest),
}

/// What a token for trying out is to say.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TokenRequest {
    /// The user's id.
    #[arg(long, value_parser = |text: &str| UserId::try_from(text))]
    pub sub: UserId,

    /// A room that the user may enter, or what such rooms' ids begin with, as in `team-*`; may be
    /// repeated. None: all rooms.
    #[arg(long = "room", value_name = "ROOM")]
    pub rooms: Vec<String>,

    /// How long the token counts, such as `90s`, `1h` or `30days`.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    pub ttl: Duration,

    /// What else the user is.
    #[arg(long, value_enum)]
    pub role: Option<Role>,
}

/// What else a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// One whose messages are marked as an operator's.
    Operator,
}
