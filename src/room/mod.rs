//! A room: one task per node for all events of the room, in order.
//!
//! The task answers a joiner and subscribes it in one step, so live messages begin where the answer
//! ends. It never waits for the database: its own reads go on beside it, and a joiner whose answer
//! is not in memory reads the log in its own task. The task lives as long as a [`RoomHandle`] does.

mod answer;
mod asking;
mod budget;
mod confirming;
mod context;
mod fanout;
mod following;
mod guard;
mod joining;
mod lifetime;
mod mailbox;
mod members;
mod presence;
mod reading;
mod reads;
mod recent;
mod registry;
mod rosters;
mod survey;
mod tail;
mod tailer;
mod task;
mod waiting;
mod watch;

pub(crate) use self::answer::fit;
pub use self::{
    answer::MAX_ANSWER_BYTES,
    budget::ROOM_BYTES,
    context::RoomContext,
    fanout::{
        Fanout, Joined, MAX_LISTED, MessageChanged, Presence, Reads, Reset, SettingsChanged,
        Welcome,
    },
    following::Followed,
    joining::Join,
    mailbox::{MAILBOX_BYTES, MAILBOX_CAPACITY, RoomHandle},
    members::{ClientId, Departure, INTERVAL, PresenceSettings, Present},
    reading::READ_TIMEOUT,
    reads::{MAX_TOLD, READS_INTERVAL},
    recent::CAPACITY,
    registry::Rooms,
    survey::Survey,
    tail::{Known, MAX_BEHIND},
    tailer::{NewsListener, SWEEP_INTERVAL, Tailer},
};
