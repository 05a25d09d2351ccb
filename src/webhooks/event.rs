//! The events and their JSON.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::{Builder, Uuid};

use crate::{
    model::{
        Call, Conversation, Message, Revision, Role, RoomId, RoomInfo, UserId, iso8601_millis,
    },
    store::{RoomEvent, RoomState},
};

/// The type of a request with several events.
const BATCH: &str = "batch";

/// An event on its way to an endpoint.
#[derive(Debug)]
pub(super) struct Event {
    /// The same for every attempt, on every server.
    pub(super) id: Uuid,
    kind: &'static str,
    timestamp: DateTime<Utc>,
    data: Box<RawValue>,
}

/// The data of a changed message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageChanged<'a> {
    room_id: &'a RoomId,
    revision: Revision,
    message: &'a Message,
}

/// The data of changed settings.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoomChanged<'a> {
    room_id: &'a RoomId,
    revision: Revision,
    room: &'a RoomInfo,
}

/// The data of a changed conversation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConversationChanged<'a> {
    room_id: &'a RoomId,
    revision: Revision,
    conversation: &'a Conversation,
}

/// The data of a changed call.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallChanged<'a> {
    room_id: &'a RoomId,
    revision: Revision,
    call: &'a Call,
}

/// The data of a changed member; a removed one has no role.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberChanged<'a> {
    room_id: &'a RoomId,
    user_id: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
}

/// The data of a user who came to a server or left it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserChanged<'a> {
    user_id: &'a UserId,
    server: Uuid,
}

impl Event {
    /// Returns the time of the event.
    pub(super) fn timestamp(&self) -> DateTime<Utc> {
        self.timestamp
    }

    /// Returns the event of a new message, in its present state.
    pub(super) fn created(message: &Message) -> Self {
        Self {
            id: message.id,
            kind: "message.created",
            timestamp: message.timestamp,
            data: json(message),
        }
    }

    /// Returns the event of a changed message, in its present state.
    pub(super) fn changed(message: &Message) -> Self {
        let (kind, revision) = ("message.changed", message.revision());
        let state = message.state.as_ref();
        let at = state.and_then(|state| state.deleted_at.max(state.edited_at));
        let place = message.seq.get().to_string();
        let data = MessageChanged {
            room_id: &message.room_id,
            revision,
            message,
        };
        Self {
            id: hashed([kind, message.room_id.as_str(), &number(revision), &place]),
            kind,
            timestamp: at.unwrap_or_else(Utc::now),
            data: json(&data),
        }
    }

    /// Returns the event of a room's changed settings, conversation, call or member.
    pub(super) fn of_room(room_id: &RoomId, event: &RoomEvent) -> Self {
        let revision = event.revision;
        let (kind, data) = match &event.state {
            RoomState::Settings(room) => {
                let data = RoomChanged {
                    room_id,
                    revision,
                    room,
                };
                ("room.changed", json(&data))
            }
            RoomState::Conversation(conversation) => {
                let data = ConversationChanged {
                    room_id,
                    revision,
                    conversation,
                };
                ("conversation.changed", json(&data))
            }
            RoomState::Call(call) => {
                let data = CallChanged {
                    room_id,
                    revision,
                    call,
                };
                ("call.changed", json(&data))
            }
            RoomState::Member(user_id, role) => {
                let data = MemberChanged {
                    room_id,
                    user_id,
                    role: *role,
                };
                let kind = role.map_or("member.removed", |_| "member.added");
                (kind, json(&data))
            }
        };
        let part = event.state.part();
        Self {
            id: hashed([kind, room_id.as_str(), &number(revision), part]),
            kind,
            timestamp: Utc::now(),
            data,
        }
    }

    /// Returns the event of a user who has clients on a server, or none any more.
    pub(super) fn of_user(user_id: &UserId, server: Uuid, is_connected: bool) -> Self {
        Self {
            id: Uuid::now_v7(),
            kind: if is_connected {
                "user.connected"
            } else {
                "user.disconnected"
            },
            timestamp: Utc::now(),
            data: json(&UserChanged { user_id, server }),
        }
    }

    /// Returns the type.
    #[cfg(test)]
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns the bytes of the data.
    pub(super) fn size(&self) -> usize {
        self.data.get().len()
    }
}

/// The body of a request.
#[derive(Serialize)]
struct Envelope<'a, D> {
    /// The event's own id, in a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(serialize_with = "iso8601_millis")]
    timestamp: &'a DateTime<Utc>,
    data: D,
}

/// The data of a request with several events.
#[derive(Serialize)]
struct Batch<'a> {
    events: Vec<Envelope<'a, &'a RawValue>>,
}

/// Returns the id and the body of a request with one event.
pub(super) fn single(event: &Event) -> (Uuid, Bytes) {
    (event.id, bytes(&envelope(event, None)))
}

/// Returns the id and the body of a request with several events. The same events have the same id.
pub(super) fn batch(events: &[&Event]) -> (Uuid, Bytes) {
    let ids = Vec::from_iter(events.iter().map(|event| event.id.to_string()));
    let names = [BATCH].into_iter().chain(ids.iter().map(String::as_str));
    let events = events.iter().map(|event| envelope(event, Some(event.id)));
    let body = Envelope {
        id: None,
        kind: BATCH,
        timestamp: &Utc::now(),
        data: Batch {
            events: events.collect(),
        },
    };
    (hashed(names), bytes(&body))
}

fn envelope(event: &Event, id: Option<Uuid>) -> Envelope<'_, &RawValue> {
    Envelope {
        id,
        kind: event.kind,
        timestamp: &event.timestamp,
        data: &*event.data,
    }
}

fn number(revision: Revision) -> String {
    revision.get().to_string()
}

/// Returns an id made of names, none of which has a NUL.
fn hashed<'a>(names: impl IntoIterator<Item = &'a str>) -> Uuid {
    let mut hash = Context::new(&SHA256);
    for name in names {
        hash.update(name.as_bytes());
        hash.update(&[0]);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

fn json(data: &impl Serialize) -> Box<RawValue> {
    to_raw_value(data).expect("texts, numbers and times are JSON")
}

fn bytes(body: &impl Serialize) -> Bytes {
    let json = serde_json::to_vec(body);
    json.expect("texts, numbers and times are JSON").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(user: &str, revision: i64) -> Event {
        let event = RoomEvent {
            revision: revision.try_into().unwrap(),
            state: RoomState::Member(user.try_into().unwrap(), Some(Role::Member)),
        };
        Event::of_room(&"r".try_into().unwrap(), &event)
    }

    #[test]
    fn an_id_is_that_of_the_event_and_has_no_dot() {
        assert_eq!(added("ann", 1).id, added("ann", 1).id);
        let different = [added("ann", 1), added("ann", 2), added("bob", 1)];
        let mut ids = different.map(|event| event.id.to_string()).to_vec();
        ids.dedup();
        assert!(ids.len() == 3 && ids.iter().all(|id| !id.contains('.')));
        let (ann, bob) = (added("ann", 1), added("bob", 1));
        assert_eq!(batch(&[&ann, &bob]).0, batch(&[&ann, &bob]).0);
        assert_ne!(batch(&[&ann, &bob]).0, batch(&[&ann]).0);
        assert_eq!(single(&ann).0, ann.id);
    }
}
