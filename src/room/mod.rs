//! A room: one task through which everything that happens in it on this node passes, in order.
//!
//! A joiner's history is read, answered and followed by the subscription in one step of the task,
//! so what it gets live begins just where its history ends. The task lives as long as somebody
//! holds its [`RoomHandle`].

mod answer;
mod budget;
mod context;
mod fanout;
mod joining;
mod mailbox;
mod members;
mod recent;
mod registry;
mod tail;
mod task;

pub(crate) use self::answer::fit;
pub use self::{
    answer::MAX_ANSWER_BYTES,
    budget::{ALL_ROOMS_BYTES, ROOM_BYTES},
    context::RoomContext,
    fanout::{Fanout, Joined, MAX_LISTED, Presence, Reset, Welcome},
    joining::Join,
    mailbox::{MAILBOX_BYTES, MAILBOX_CAPACITY, RoomHandle},
    members::{ClientId, Departure, INTERVAL, LARGE_INTERVAL, PresenceSettings},
    recent::CAPACITY,
    registry::Rooms,
    tail::{FIRST_LOOK, READ_TIMEOUT, RETRY_DELAY, WATCH_PERIOD},
};
