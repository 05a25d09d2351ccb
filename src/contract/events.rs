//! The server's events that several transports tell of. Messages, [`room::Joined`], [`room::Presence`] and
//! the changes go over the wire as they are.

use serde::Serialize;

use crate::{
    model::{Exclusion, RoomId},
    room,
};

/// The names of the events.
pub mod event {
    /// A message in a room.
    pub const NEW_MESSAGE: &str = "newMessage";
    /// A message changed.
    pub const MESSAGE_CHANGED: &str = "messageChanged";
    /// The room's settings changed.
    pub const ROOM_CHANGED: &str = "roomChanged";
    /// The client was put out of the room.
    pub const REMOVED: &str = "removed";
    /// Something new in a room that the user follows.
    pub const ROOM_ACTIVITY: &str = "roomActivity";
    /// A conversation changed, or moved in the queue.
    pub const CONVERSATION_ACTIVITY: &str = "conversationActivity";
    /// A room's reset; to sockets also the answer to a join without an ack.
    pub const HISTORY: &str = "history";
    /// Users came or went.
    pub const PRESENCE: &str = "presence";
}

/// `history`, to all clients in a room whose log went back: like a join's answer, but without a
/// joiner.
#[derive(Debug, Serialize)]
pub struct Reset<'a> {
    /// Always true; a join's answer has no such field.
    pub reset: bool,
    /// The room's new state.
    #[serde(flatten)]
    pub room: &'a room::Reset,
}

/// `removed`, to a client that was put out of a room.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The reason.
    pub reason: Exclusion,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Revision, Seq};

    #[test]
    fn a_reset_is_a_rooms_state_with_a_mark_before_it() {
        let room = room::Reset {
            room_id: "r".try_into().unwrap(),
            messages: vec![],
            last_seq: Seq::ZERO,
            has_more: false,
            members: vec!["ann".try_into().unwrap()],
            member_count: 1,
            last_revision: Revision::ZERO,
            room: None,
        };
        let reset = Reset {
            reset: true,
            room: &room,
        };
        assert_eq!(
            serde_json::to_string(&reset).unwrap(),
            r#"{"reset":true,"roomId":"r","messages":[],"lastSeq":0,"hasMore":false,"members":["ann"],"memberCount":1,"lastRevision":0}"#
        );
    }
}
