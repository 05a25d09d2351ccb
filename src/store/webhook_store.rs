//! The state of webhooks, common to all databases: endpoints with their leases, and their places in
//! the rooms.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{error::StoreError, page::Head};
use crate::model::{Call, Conversation, Revision, Role, RoomId, RoomInfo, Seq, UserId};

/// An endpoint's key: a hash of its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndpointId(pub Uuid);

/// An endpoint's place in a room: everything up to it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The room.
    pub room_id: RoomId,
    /// The newest message delivered.
    pub seq: Seq,
    /// The newest change delivered.
    pub revision: Revision,
    /// The last one delivered of several changes with this revision: an empty text for the
    /// settings or the conversation, else a member's name. None when all are delivered.
    pub part: Option<String>,
    /// The failed attempts to deliver the next event.
    pub attempts: u32,
    /// The time of the next attempt; none before the first failure.
    pub retry_at: Option<DateTime<Utc>>,
}

impl Cursor {
    /// Returns the place before everything in a room.
    pub fn beginning_of(room_id: RoomId) -> Self {
        Self {
            room_id,
            seq: Seq::ZERO,
            revision: Revision::ZERO,
            part: None,
            attempts: 0,
            retry_at: None,
        }
    }

    /// Returns true when all of a room's log is delivered.
    pub fn is_at(&self, head: Head) -> bool {
        self.seq >= head.seq && self.revision >= head.revision && self.part.is_none()
    }
}

/// A change of a room's settings, members or conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomEvent {
    /// The room's revision with it.
    pub revision: Revision,
    /// The present state of what has changed.
    pub state: RoomState,
}

/// The present state of a part of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomState {
    /// The settings.
    Settings(RoomInfo),
    /// The conversation.
    Conversation(Conversation),
    /// The call.
    Call(Box<Call>),
    /// A user's role; none for one who is no member any more.
    Member(UserId, Option<Role>),
}

impl RoomState {
    /// Returns the name of the part, see [`Cursor::part`].
    pub fn part(&self) -> &str {
        match self {
            Self::Settings(_) | Self::Conversation(_) | Self::Call(_) => "",
            Self::Member(user, _) => user.as_str(),
        }
    }
}

/// The answer to an attempt to take a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// It is taken, and a new epoch has begun.
    Taken(i64),
    /// Another server has it.
    Elsewhere,
    /// The endpoint gets no events.
    Disabled,
}

/// The latest results of deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    /// The time of the latest success.
    pub succeeded: Option<DateTime<Utc>>,
    /// The time and the text of the latest failure.
    pub failed: Option<(DateTime<Utc>, String)>,
}

/// The state of an endpoint, for an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStatus {
    /// The URL.
    pub url: String,
    /// The time and the reason of its end; none while it is on.
    pub disabled: Option<(DateTime<Utc>, String)>,
    /// The latest results.
    pub results: Results,
    /// The number of rooms with events to deliver.
    pub rooms: i64,
    /// The number of messages and changes to deliver in them; several changes of one message count
    /// one by one, and may be one event.
    pub events: i64,
    /// The time of the oldest message to deliver.
    pub oldest: Option<DateTime<Utc>>,
}

/// The state of webhooks. A sender holds an endpoint's lease, and works under its *epoch*: cursors
/// moved under an older epoch are refused.
#[async_trait]
pub trait WebhookStore: Send + Sync {
    /// Makes an endpoint known. Returns false until [`WebhookStore::start_at_end`] is done.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn register(&self, endpoint: EndpointId, url: &str) -> Result<bool, StoreError>;

    /// Puts a new endpoint's places at the present ends of the rooms after one, at most `limit`.
    /// Returns the last of these rooms; none when the endpoint has a place in every room.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn start_at_end(
        &self,
        endpoint: EndpointId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Option<RoomId>, StoreError>;

    /// Takes the lease of an endpoint for some time, unless it is disabled or another server has
    /// it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn lease(&self, endpoint: EndpointId, time: Duration) -> Result<Lease, StoreError>;

    /// Keeps a lease for some more time, and notes results. Returns false when it is lost.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn renew(
        &self,
        endpoint: EndpointId,
        epoch: i64,
        time: Duration,
        results: &Results,
    ) -> Result<bool, StoreError>;

    /// Gives a lease up.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn release(&self, endpoint: EndpointId, epoch: i64) -> Result<(), StoreError>;

    /// Ends deliveries to an endpoint, by the holder of its lease.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn disable(
        &self,
        endpoint: EndpointId,
        epoch: i64,
        reason: &str,
    ) -> Result<(), StoreError>;

    /// Returns the rooms after one with events to deliver now, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn behind(
        &self,
        endpoint: EndpointId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError>;

    /// Returns an endpoint's place in a room, and the end of the room's log; none for a room that
    /// nobody used.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn place(
        &self,
        endpoint: EndpointId,
        room: &RoomId,
    ) -> Result<Option<(Cursor, Head)>, StoreError>;

    /// Moves an endpoint's places, each in another room. Returns false when the epoch is over.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn advance(
        &self,
        endpoint: EndpointId,
        epoch: i64,
        cursors: &[Cursor],
    ) -> Result<bool, StoreError>;

    /// Reads the changes of a room's settings and members after a place, in the order of their
    /// revisions and parts, at most `limit`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn room_events(&self, after: &Cursor, limit: usize)
    -> Result<Vec<RoomEvent>, StoreError>;

    /// Returns the state of all endpoints ever used.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn statuses(&self) -> Result<Vec<EndpointStatus>, StoreError>;

    /// Begins a new epoch: a running sender stops. Enables a disabled endpoint. Returns false for an
    /// unknown one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn restart(&self, endpoint: EndpointId) -> Result<bool, StoreError>;

    /// Forgets failures in the rooms after one, at most `limit` rooms, and moves the places there
    /// back to a time if there is one. Begins a new epoch with it. Returns the last of these rooms; none when there is none.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn rewind(
        &self,
        endpoint: EndpointId,
        to: Option<DateTime<Utc>>,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Option<RoomId>, StoreError>;
}

/// Returns the least id of a change made at a time: ids are UUIDs of version 7, which begin with
/// their time.
pub(super) fn first_change_at(time: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(time.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}
