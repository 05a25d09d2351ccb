//! Delivery to a user's own clients, wherever they are.

use std::collections::HashSet;

use serde::Serialize;

use super::summary::RoomSummary;
use crate::{
    model::{Clients, Queued, RoomId, UserId},
    room::Reads,
};

/// Delivers packets to a user's clients on this node.
pub trait Delivery: Send + Sync + 'static {
    /// Tells the clients of a reader of its new position: `reads` has one.
    fn read(&self, reads: &Reads);
    /// Tells the watching clients of a user of a room's activity.
    fn activity(&self, user: &UserId, activity: &RoomActivity);
    /// Returns the operators who watch the conversations.
    fn watchers(&self) -> HashSet<UserId>;
    /// Tells the watching operators of a conversation, but for some of them.
    fn conversation(&self, room: &RoomId, queued: &Queued, except: &HashSet<UserId>);
    /// Returns the clients of a user.
    fn clients(&self, user: &UserId) -> Clients;
    /// Ends the connections of a user's clients.
    fn disconnect(&self, user: &UserId);
}

/// The news of a user's room.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum RoomActivity {
    /// The room's present state.
    Active {
        /// The room, as in the user's list.
        #[serde(flatten)]
        room: RoomSummary,
        /// Always true.
        followed: bool,
    },
    /// The user follows the room no longer.
    Unfollowed {
        /// The room.
        room_id: RoomId,
        /// Always false.
        followed: bool,
    },
}

impl RoomActivity {
    /// Returns the room.
    pub fn room_id(&self) -> &RoomId {
        match self {
            Self::Active { room, .. } => &room.room_id,
            Self::Unfollowed { room_id, .. } => room_id,
        }
    }
}
