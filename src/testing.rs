//! Internals for this repository's tests and benchmarks; no part of the API.

/// REST.
pub mod api {
    pub use crate::api::WRITES_AT_ONCE;
}

/// Identities and tokens.
pub mod auth {
    pub use crate::auth::{Grant, Identity, MAX_TOKEN_BYTES, TokenClaims, Verifier};
}

/// The server.
pub mod app {
    pub use crate::app::MAX_SCRAPERS;
}

/// The bus.
pub mod bus {
    pub use crate::bus::{
        Bus, KEEP_ALIVE, MAX_ROOMS, MAX_SIGNALS, News, Roster, RosterError, RosterStore, Rosters,
        SILENCE, Server, ServerId, Settings, Signals, Wakes, open,
    };
}

/// The servers that carry the media of calls.
pub mod calling {
    pub use crate::calling::{Grant, IceServers, LiveKit};
}

/// The use cases.
pub mod chat {
    pub use crate::chat::{Chat, Content, Limits, MAX_HISTORY, Participant, READS_AT_ONCE, Range};
}

/// Requests and answers.
pub mod contract {
    pub use crate::contract::*;
}

/// Engine.IO sessions.
pub mod engine {
    pub use crate::engine::{EVENT_BYTES, Engine, Settings};
}

/// The domain's error.
pub mod error {
    pub use crate::error::Error;
}

/// Plain HTTP.
pub mod http {
    pub use crate::http::{AllowedOrigins, endpoint, has_client};
}

/// The rooms of users.
pub mod inbox {
    pub use crate::inbox::{
        Delivery, FLUSH_INTERVAL, Inbox, InboxContext, MAX_FLUSHED, RoomActivity,
    };
}

/// Moderation.
pub mod moderation {
    pub use crate::moderation::{MAX_ASKED, MAX_IN_FLIGHT, TIME_LIMIT};
}

/// TCP.
pub mod net {
    pub use crate::net::{
        Admission, AdmissionSettings, BACKLOG, MAX_HEADER_BYTES, Timeouts, listen, serve,
    };
}

/// Rate limits.
pub mod rates {
    pub use crate::rates::{Rate, SWEEP_INTERVAL};
}

/// Socket.IO.
pub mod realtime {
    pub use crate::realtime::{
        EVENT_BURST, JOIN_WAIT, MAX_EARLY_SENDS, MAX_ECHOED_CHARS, MAX_WAITING, PATH, Settings,
        builder, protocol,
    };
}

/// Rooms.
pub mod room {
    pub use crate::room::{
        CAPACITY, Departure, Fanout, INTERVAL, Joined, Known, MAILBOX_BYTES, MAILBOX_CAPACITY,
        MAX_ANSWER_BYTES, MAX_TOLD, MessageChanged, Presence, PresenceSettings, READ_TIMEOUT,
        READS_INTERVAL, ROOM_BYTES, Reads, Reset, RoomContext, Rooms, SWEEP_INTERVAL,
        SettingsChanged,
    };
}

/// The log.
pub mod telemetry {
    pub use crate::telemetry::start;
}

/// Webhooks.
pub mod webhooks {
    pub use crate::webhooks::{AT_ONCE, Endpoint, Timing};
}

/// Group commit.
pub mod writer {
    pub use crate::writer::{
        MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, MAX_PARKED_PER_ROOM, QUEUE_BYTES, QUEUE_CAPACITY,
        Receipt, UNHEALTHY_FOR, Writer,
    };
}
