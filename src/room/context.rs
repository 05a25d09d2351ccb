//! The dependencies of rooms.

use std::sync::Arc;

use super::{fanout::Fanout, members::PresenceSettings};
use crate::{bus::Bus, metrics, store::MessageStore};

/// The dependencies and settings of all rooms on a node.
pub struct RoomContext {
    /// The log.
    pub store: Arc<dyn MessageStore>,
    /// The way to the other servers; none on a single server.
    pub bus: Option<Arc<dyn Bus>>,
    /// The way to the members.
    pub fanout: Arc<dyn Fanout>,
    /// The number of messages in a [`Reset`](super::Reset).
    pub history_limit: usize,
    /// When members count as gone, and how large rooms tell of it.
    pub presence: PresenceSettings,
    /// The figures.
    pub metrics: metrics::Rooms,
}
