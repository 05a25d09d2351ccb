//! The surroundings that all rooms of a node share.

use std::sync::Arc;

use super::{Fanout, PresenceSettings};
use crate::store::MessageStore;

/// The surroundings of a node's rooms.
pub struct RoomContext {
    /// The log.
    pub store: Arc<dyn MessageStore>,
    /// The way to the members.
    pub fanout: Arc<dyn Fanout>,
    /// The number of messages that members get of a log that was read anew.
    pub history_limit: usize,
    /// The settings of presence.
    pub presence: PresenceSettings,
}
