//! Requests about read marks and followed rooms, and their answers.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::{IntoParams, ToSchema};

use super::saturating;
use crate::{
    inbox::{ListPlace, RoomSummary},
    model::{Read, RoomId, Seq, WholeNumber},
};

/// `markRead`: says that the user has read a room up to a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarkRead {
    /// The room.
    pub room_id: RoomId,
    /// The newest message read.
    pub seq: Seq,
}

impl MarkRead {
    /// The event's name.
    pub const EVENT: &str = "markRead";
}

/// The answer to `markRead`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// The newest message read by the user.
    pub read_seq: Seq,
}

/// `getReads`: asks how far the room's readers have read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct GetReads {
    /// The room.
    pub room_id: RoomId,
}

impl GetReads {
    /// The event's name.
    pub const EVENT: &str = "getReads";
}

/// The answer to `getReads`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadsPage {
    /// The readers, by their names.
    pub reads: Vec<Read>,
    /// True when the room has further readers.
    pub has_more: bool,
}

/// `followRoom`: puts a room into the user's list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowRoom {
    /// The room.
    pub room_id: RoomId,
    /// True when the user wants no notice of new messages; none to keep the present choice.
    pub muted: Option<bool>,
}

impl FollowRoom {
    /// The event's name.
    pub const EVENT: &str = "followRoom";
}

/// `unfollowRoom`: takes a room out of the user's list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct UnfollowRoom {
    /// The room.
    pub room_id: RoomId,
}

impl UnfollowRoom {
    /// The event's name.
    pub const EVENT: &str = "unfollowRoom";
}

/// The answer to `followRoom` and `unfollowRoom`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// The room.
    pub room_id: RoomId,
}

/// `listRooms`: reads a page of the user's list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListRooms {
    limit: Option<WholeNumber>,
    /// The end of the page before.
    pub cursor: Option<Cursor>,
}

impl ListRooms {
    /// The event's name.
    pub const EVENT: &str = "listRooms";

    /// Returns the number of rooms asked for.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(saturating)
    }
}

/// The answer to `listRooms`.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomsPage {
    /// The rooms, the latest activity first.
    pub rooms: Vec<RoomSummary>,
    /// The place of the next page; null after the last one.
    pub cursor: Option<Cursor>,
}

/// `watchRooms`: begins or ends the news of the followed rooms.
#[derive(Debug, Deserialize)]
pub struct WatchRooms {
    /// True to begin.
    pub on: bool,
}

impl WatchRooms {
    /// The event's name.
    pub const EVENT: &str = "watchRooms";
}

/// The times of cursors, in microseconds since 1970: until the year 9999. Databases know others than we do.
const TIMES: std::ops::Range<i64> = 0..253_402_300_800_000_000;

/// A place in a list of rooms: a text without a meaning for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub ListPlace);

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ListPlace { active_at, room_id } = &self.0;
        serializer.collect_str(&format_args!("{}:{room_id}", active_at.timestamp_micros()))
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let place = text.split_once(':').and_then(|(micros, room)| {
            let micros = micros
                .parse()
                .ok()
                .filter(|micros| TIMES.contains(micros))?;
            Some(ListPlace {
                active_at: chrono::DateTime::from_timestamp_micros(micros)?,
                room_id: room.try_into().ok()?,
            })
        });
        let place = place.ok_or_else(|| D::Error::custom("must be one from an answer"))?;
        Ok(Self(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        let cursor = Cursor(ListPlace {
            active_at: chrono::DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            room_id: "a:b é".try_into().unwrap(),
        });
        let json = serde_json::to_string(&cursor).unwrap();
        assert_eq!(json, r#""1700000000123456:a:b é""#);
        assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), cursor);
        for json in [
            r#""""#,
            r#""1""#,
            r#""1:""#,
            r#"":r""#,
            r#""x:r""#,
            r#""99999999999999999999:r""#,
            r#""9223372036854775807:r""#,
            r#""253402300800000000:r""#,
            r#""-1:r""#,
            r#""-210866803200000001:r""#,
            "1",
            "null",
        ] {
            assert!(serde_json::from_str::<Cursor>(json).is_err(), "{json}");
        }
    }
}
