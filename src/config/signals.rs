//! Clients' own events.

use std::num::NonZeroU32;

use clap::Args;

/// The settings of clients' own events.
#[derive(Debug, Clone, Args)]
pub struct Signals {
    /// Sustained rate of `signal` events per connection; 0 lifts the limit.
    #[arg(long, env, default_value_t = 50)]
    pub signals_per_second: u32,

    /// Burst of `signal` events per connection, after a pause.
    #[arg(long, env, default_value = "200")]
    pub signal_burst: NonZeroU32,
}
