//! A room's way to its members, and the content of its packets.

use serde::Serialize;

use crate::model::{EncodedMessage, RoomId, Seq, Signal, UserId};

/// The most members that a join's answer lists.
pub const MAX_LISTED: usize = 200;

/// How a room reaches its members' connections.
pub trait Fanout: Send + Sync + 'static {
    /// Sends a message to every connection in its room.
    fn message(&self, message: &EncodedMessage);
    /// Tells every connection in the room who came and went.
    fn presence(&self, presence: &Presence);
    /// Tells every connection in the room that what it has of it is no more.
    fn reset(&self, reset: &Reset);
    /// Passes a signal to the connections that it concerns; some may not get it.
    fn signal(&self, room: &RoomId, signal: &Signal);
}

/// A change of the members, as the room is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// Where.
    pub room_id: RoomId,
    /// Users who came; empty in a large room.
    pub joined: Vec<UserId>,
    /// Users who went; empty in a large room.
    pub left: Vec<UserId>,
    /// How many users there are now.
    pub member_count: usize,
}

/// A room's log is not the one that its members know: it was restored, or another server took over
/// without its newest messages.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reset {
    /// The room.
    pub room_id: RoomId,
    /// The newest messages, oldest first.
    pub messages: Vec<EncodedMessage>,
    /// The room's newest `seq`; what comes live is larger.
    pub last_seq: Seq,
    /// Whether there are older ones that were left out.
    pub has_more: bool,
    /// Who is there, at most [`MAX_LISTED`].
    pub members: Vec<UserId>,
    /// How many are there.
    pub member_count: usize,
}

/// Answers a joiner and subscribes it to the room, in this order; false when its connection is
/// gone.
pub type Welcome = Box<dyn FnOnce(Joined) -> bool + Send>;

/// What a joiner is told.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// The room.
    pub room_id: RoomId,
    /// Whom the connection speaks for.
    pub user_id: UserId,
    /// The newest messages (after the joiner's last one, if it named one), oldest first.
    pub messages: Vec<EncodedMessage>,
    /// The room's newest `seq`; what comes live is larger.
    pub last_seq: Seq,
    /// Whether there are older ones that were left out.
    pub has_more: bool,
    /// Who is there, at most [`MAX_LISTED`], the joiner too.
    pub members: Vec<UserId>,
    /// How many are there.
    pub member_count: usize,
}
