//! The state of a server in figures, as servers tell each other.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::{RoomId, Seq};

/// The most rooms in a report.
pub const MAX_BUSIEST: usize = 50;

/// The most bytes of a report's rooms, as JSON, on its way to another server: it has to fit a signal.
const MAX_TOLD_BYTES: usize = 5_000;

/// An active room of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomLoad {
    /// The room.
    pub room_id: RoomId,
    /// The number of members, on all servers.
    pub members: usize,
    /// The newest message delivered; 0 before the first one.
    pub last_seq: Seq,
}

/// A pool of connections to the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolLoad {
    /// The open connections.
    pub open: usize,
    /// Those in use.
    pub in_use: usize,
    /// The most there can be.
    pub max: usize,
}

/// The figures of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// The version of the program.
    pub version: String,
    /// The time of the start.
    pub started_at: DateTime<Utc>,
    /// The Socket.IO clients in the chat.
    pub connections: usize,
    /// The open streams of server-sent events.
    pub streams: usize,
    /// The users present in rooms, once for each room.
    pub members: usize,
    /// The number of active rooms.
    pub rooms: usize,
    /// The messages stored since the start.
    pub messages: u64,
    /// The messages and changes that wait to be stored.
    pub queue_entries: usize,
    /// The memory of those that wait or are being stored.
    pub queue_bytes: usize,
    /// True while messages are stored.
    pub is_storing: bool,
    /// False while reports of other servers may get lost.
    pub is_bus_well: bool,
    /// The connections to the database.
    pub pool: PoolLoad,
    /// The active rooms with the most members, at most [`MAX_BUSIEST`], the largest first.
    pub busiest: Vec<RoomLoad>,
}

impl NodeReport {
    /// Leaves out the smallest rooms, until the report fits a signal.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let mut bytes = 0;
        let fitting = self.busiest.iter().take_while(|room| {
            bytes += serde_json::to_string(room).map_or(MAX_TOLD_BYTES, |json| json.len() + 1);
            bytes <= MAX_TOLD_BYTES
        });
        self.busiest.truncate(fitting.count());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_on_its_way_keeps_the_largest_rooms_that_fit_a_signal() {
        let room = |number: usize| RoomLoad {
            room_id: format!("{number:02}{}", "\"\\".repeat(63))
                .as_str()
                .try_into()
                .unwrap(),
            members: 1_000 - number,
            last_seq: Seq::END,
        };
        let report = NodeReport {
            version: "0.1.0".into(),
            started_at: Utc::now(),
            connections: usize::MAX,
            streams: usize::MAX,
            members: usize::MAX,
            rooms: usize::MAX,
            messages: u64::MAX,
            queue_entries: usize::MAX,
            queue_bytes: usize::MAX,
            is_storing: false,
            is_bus_well: false,
            pool: PoolLoad::default(),
            busiest: (0..MAX_BUSIEST).map(room).collect(),
        };
        let told = report.clone().shortened();
        assert!((15..MAX_BUSIEST).contains(&told.busiest.len()));
        assert_eq!(told.busiest[..], report.busiest[..told.busiest.len()]);
        let json = serde_json::to_string(&told).unwrap();
        assert!(json.len() < 7_000, "{}", json.len());
    }
}
