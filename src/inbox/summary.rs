//! Rooms, as a user's list shows them.

use serde::Serialize;

use crate::{
    model::{EncodedMessage, ListedRoom, RoomId, Seq, Title},
    room::MAX_ANSWER_BYTES,
    store::ListPlace,
};

/// The most bytes of a room's entry besides its message.
const ENTRY_BYTES: usize = 1_024;

/// A room in a user's list.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomSummary {
    /// The room.
    pub room_id: RoomId,
    /// The room's newest `seq`.
    pub last_seq: Seq,
    /// The title, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// The newest message; null in a room without messages.
    pub last_message: Option<EncodedMessage>,
    /// The newest message read or written by the user.
    pub read_seq: Seq,
    /// The number of messages after it.
    pub unread: usize,
    /// True when the user wants no notice of new messages.
    pub muted: bool,
}

impl From<&ListedRoom> for RoomSummary {
    fn from(room: &ListedRoom) -> Self {
        Self {
            room_id: room.room_id.clone(),
            title: room.title.clone(),
            last_seq: room.last_seq,
            last_message: room.last_message.as_ref().map(EncodedMessage::from),
            read_seq: room.read_seq,
            unread: room.last_seq.since(room.read_seq),
            muted: room.muted,
        }
    }
}

/// Fits rooms into one answer, and returns the place of the next one unless it is the last.
pub(super) fn page(listed: Vec<ListedRoom>, limit: usize) -> (Vec<RoomSummary>, Option<ListPlace>) {
    let (mut rooms, mut bytes) = (vec![], 0);
    for room in &listed {
        let summary = RoomSummary::from(room);
        let message = summary.last_message.as_ref();
        bytes += ENTRY_BYTES + message.map_or(0, |message| message.json().len());
        if bytes > MAX_ANSWER_BYTES && !rooms.is_empty() {
            break;
        }
        rooms.push(summary);
    }
    let is_last = listed.len() < limit && rooms.len() == listed.len();
    let last = rooms.len().checked_sub(1).map(|last| &listed[last]);
    let next = last.filter(|_| !is_last).map(ListPlace::from);
    (rooms, next)
}
