//! The payloads of the server's events. Messages, [`room::Joined`] and [`room::Presence`] go over the
//! wire as they are.

use serde::Serialize;

use crate::{
    error::ErrorBody,
    model::{Exclusion, RoomId, UserId},
    room,
};

/// `error`, the answer to a failed request without an ack.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure<'a> {
    /// The failed event.
    pub event: &'a str,
    /// The room, for a room of the handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_id: Option<&'a RoomId>,
    /// The reason.
    pub error: ErrorBody<'a>,
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

/// `typing`, to the other users in the room.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserTyping<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The user.
    pub user_id: &'a UserId,
    /// False when the user has stopped.
    pub is_typing: bool,
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
