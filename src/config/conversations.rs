//! Conversations between customers and operators.

use std::time::Duration;

use clap::Args;

use super::{Config, value::seconds};
use crate::model::RoomPatterns;

/// The settings of conversations.
#[derive(Debug, Clone, Args)]
pub struct Conversations {
    /// Rooms with conversations that operators claim: ids, and prefixes with `*` at their ends, separated
    /// by commas, such as `support-*`. They need tokens. Unset: none.
    #[arg(long, env, default_value = "")]
    pub conversations: RoomPatterns,

    /// Time in seconds after which an operator without a connection to any server loses its
    /// conversations; 0 for never.
    #[arg(long, env, default_value = "120", value_parser = seconds)]
    pub operator_away_seconds: Duration,
}

impl Conversations {
    /// Returns the time after which an operator loses its conversations, if it ever does.
    pub fn away(&self) -> Option<Duration> {
        let away = self.operator_away_seconds;
        (!self.conversations.is_empty() && !away.is_zero()).then_some(away)
    }
}

impl Config {
    /// Rejects conversations where clients are guests: everybody could be an operator.
    ///
    /// # Errors
    ///
    /// One line with the name of the variable.
    pub(super) fn check_conversations(&self) -> Result<(), String> {
        if self.conversations.conversations.is_empty() {
            return Ok(());
        }
        Err(
            "CONVERSATIONS: needs JWT_SECRET or JWT_PUBLIC_KEY, as only tokens tell operators"
                .into(),
        )
    }
}
