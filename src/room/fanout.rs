//! Delivery from a room to its members, and the content of the packets.

use std::collections::HashMap;

use serde::Serialize;

use crate::model::{
    EncodedMessage, Exclusion, Read, Relayed, Revision, Role, RoomId, RoomSettings, Seq, UserId,
};

/// The most members listed in a join's answer.
pub const MAX_LISTED: usize = 200;

/// Delivers a room's packets to its members' clients.
pub trait Fanout: Send + Sync + 'static {
    /// Sends a message to every client in its room.
    fn message(&self, message: &EncodedMessage);
    /// Tells every client in the room of a changed message.
    fn changed(&self, changed: &MessageChanged);
    /// Tells every client in the room of its changed settings.
    fn settings(&self, changed: &SettingsChanged);
    /// Puts the clients of some users out of the room, and tells them.
    fn removed(&self, room: &RoomId, users: &HashMap<UserId, Exclusion>);
    /// Tells every client in the room of members who came and left.
    fn presence(&self, presence: &Presence);
    /// Replaces every client's copy of the room's log.
    fn reset(&self, reset: &Reset);
    /// Tells every client in the room how far some users have read. Delivery is best effort.
    fn reads(&self, reads: &Reads);
    /// Tells the other users' clients in the room that a user started or stopped typing. Delivery is
    /// best effort.
    fn typing(&self, room: &RoomId, user: &UserId, is_typing: bool);

    /// Relays a client's own event to its receivers in the room; the sender is none of them.
    fn relayed(&self, room: &RoomId, signal: &Relayed);

    /// Returns true while somebody follows the room who is no member.
    fn is_followed(&self, _: &RoomId) -> bool {
        false
    }

    /// Returns the users who follow the room without being members: they must be allowed to.
    fn followers(&self, _: &RoomId) -> Vec<UserId> {
        vec![]
    }
}

/// New positions of readers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reads {
    /// The room.
    pub room_id: RoomId,
    /// The readers.
    pub reads: Vec<Read>,
}

/// A change of a message, with its present state.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageChanged {
    /// The room.
    pub room_id: RoomId,
    /// The change's number.
    pub revision: Revision,
    /// The number of the change told before it: a client that has that one has missed none.
    pub previous: Revision,
    /// The message.
    pub message: EncodedMessage,
}

/// A change of a room's settings.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsChanged {
    /// The room.
    pub room_id: RoomId,
    /// The change's number.
    pub revision: Revision,
    /// The number of the change told before it.
    pub previous: Revision,
    /// The settings.
    pub room: RoomSettings,
}

/// A change of a room's members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// The room.
    pub room_id: RoomId,
    /// The users who came; empty in a large room.
    pub joined: Vec<UserId>,
    /// The users who left; empty in a large room.
    pub left: Vec<UserId>,
    /// The number of members after the change.
    pub member_count: usize,
}

/// A new start for the members of a room whose log went back: the database was restored, or a
/// replica without the newest messages took over.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reset {
    /// The room.
    pub room_id: RoomId,
    /// The newest messages, oldest first.
    pub messages: Vec<EncodedMessage>,
    /// The room's newest `seq`; every live message after this packet has a larger one.
    pub last_seq: Seq,
    /// True when older messages were left out.
    pub has_more: bool,
    /// The members, at most [`MAX_LISTED`].
    pub members: Vec<UserId>,
    /// The number of members.
    pub member_count: usize,
    /// The room's newest change.
    pub last_revision: Revision,
    /// The settings; none when nobody created the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomSettings>,
}

/// Answers a joiner, then subscribes it to the room. Returns false when the client is gone.
pub type Welcome = Box<dyn FnOnce(Joined) -> bool + Send>;

/// The answer to a joiner.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// The room.
    pub room_id: RoomId,
    /// The joiner's user.
    pub user_id: UserId,
    /// The newest messages after the joiner's last one, oldest first.
    pub messages: Vec<EncodedMessage>,
    /// The room's newest `seq`; every live message after this packet has a larger one.
    pub last_seq: Seq,
    /// True when older messages were left out.
    pub has_more: bool,
    /// The members including the joiner, at most [`MAX_LISTED`].
    pub members: Vec<UserId>,
    /// The number of members.
    pub member_count: usize,
    /// The newest change that the joiner has with this answer.
    pub last_revision: Revision,
    /// The settings; none when nobody created the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomSettings>,
    /// The role of the joiner's user, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The newest message read by the joiner's user, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_seq: Option<Seq>,
    /// The changed messages that the joiner has, in their present state, by revision; only when it
    /// asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<EncodedMessage>>,
    /// True when further changes are left out; only when the joiner asked for changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_changes: Option<bool>,
    /// True when the joiner has missed too many changes to be told: it is to read anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub changes_reset: bool,
}
