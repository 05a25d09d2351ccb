//! Engine.IO sessions, below Socket.IO: who may begin one, what carries it, and how it ends.

mod layer;
mod session;

use std::time::Duration;

pub(crate) use self::layer::{Door, follow};
pub use self::session::{Sessions, Transport, Way};
use crate::net::Admission;

impl Door {
    /// A door that lets sessions in as `admission` says, and cuts those that nobody takes part by after `idle_timeout`.
    pub(crate) fn new(admission: Admission, idle_timeout: Duration, payload_timeout: Duration) -> Self {
        Self { admission, sessions: Sessions::new(idle_timeout), payload_timeout }
    }
}
