//! Rosters: the members of each room on each server, kept where all servers read them.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::model::{RoomId, UserId};

/// A server of the chat, from its start to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServerId(pub Uuid);

/// The members of a room on one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Roster {
    /// The members' names.
    Named(Vec<UserId>),
    /// The number of the members of a large room.
    Counted(usize),
}

impl Roster {
    /// Returns the number of members.
    pub fn count(&self) -> usize {
        match self {
            Self::Named(names) => names.len(),
            Self::Counted(count) => *count,
        }
    }

    /// Returns the roster as JSON.
    pub fn encode(&self) -> String {
        json!(self).to_string()
    }

    /// Reads the JSON of a roster; returns none for another JSON.
    pub fn decode(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Returns true when the room has no member on the server.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

/// A listed server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// The server.
    pub id: ServerId,
    /// The number of the server's latest write.
    pub revision: u64,
    /// True while the server shows a sign of life.
    pub is_alive: bool,
}

/// The rosters of some rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rosters {
    /// The listed servers, as of the same moment. One without a roster of a room has no members there.
    pub servers: Vec<ServerId>,
    /// The rosters that are not empty, those of the reader included.
    pub rosters: Vec<(RoomId, ServerId, Roster)>,
}

/// A failure of the engine that keeps the rosters.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RosterError(pub String);

/// The rosters of all servers.
///
/// A server lists itself with all its rosters at once, and then updates them. The engine may forget
/// everything at a restart, and other servers remove one that has shown no sign of life; in both
/// cases the server lists itself again.
#[async_trait]
pub trait RosterStore: Send + Sync {
    /// Returns this server.
    fn server_id(&self) -> ServerId;

    /// Lists this server anew, with these rosters as all of its own.
    ///
    /// # Errors
    ///
    /// The engine's.
    async fn list(&self, revision: u64, rosters: &[(RoomId, Roster)]) -> Result<(), RosterError>;

    /// Writes this server's rosters of some rooms, each room once; an empty one is removed. Returns
    /// false, and writes nothing, when this server is not listed.
    ///
    /// # Errors
    ///
    /// The engine's.
    async fn update(
        &self,
        revision: u64,
        rosters: &[(RoomId, Roster)],
    ) -> Result<bool, RosterError>;

    /// Reads the rosters of some rooms.
    ///
    /// # Errors
    ///
    /// The engine's.
    async fn read(&self, rooms: &[RoomId]) -> Result<Rosters, RosterError>;

    /// Returns the listed servers, this one included, and shows a sign of this server's life where
    /// that takes a write.
    ///
    /// # Errors
    ///
    /// The engine's.
    async fn servers(&self) -> Result<Vec<Server>, RosterError>;

    /// Removes servers and their rosters.
    ///
    /// # Errors
    ///
    /// The engine's.
    async fn remove(&self, servers: &[ServerId]) -> Result<(), RosterError>;

    /// Ends the sign of this server's life where it would outlive the server, and the connection.
    async fn close(&self);
}
