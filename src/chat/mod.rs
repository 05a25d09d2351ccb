//! The use cases: join, leave, send, change, read history, type, mark as read, follow, govern rooms, hand conversations over, call.
//! Knows neither sockets nor HTTP.

mod absence;
mod archive;
mod calls;
mod change;
mod conversations;
mod feed;
mod history;
mod ice;
mod inbox;
mod join;
mod moderated;
mod online;
mod participant;
mod presence;
mod reading;
mod rooms;
mod search;
mod send;
mod signal;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::{
    absence::Absence,
    calls::{CallKeeper, Entered, NewCall},
    change::{Changes, Changing, Version},
    feed::{FEED_READS_AT_ONCE, Feed, FeedChange, Live, Watching},
    moderated::Underway,
    online::UserListener,
    participant::{Participant, READS_AT_ONCE},
    reading::{MAX_HISTORY, Range, Reading},
    search::Query,
    send::{Content, Sent},
};
use self::{calls::Calls, moderated::Moderated, search::SEARCHES_AT_ONCE};
use crate::{
    auth::Identity,
    calling::{IceServers, LiveKit},
    error::Error,
    inbox::Inbox,
    model::{RoomPatterns, UserId},
    moderation::Moderation,
    rates::{Limiter, Rate},
    room::{ClientId, Rooms},
    store::MessageStore,
    writer::Writer,
};
pub use crate::{
    calling::{Grant, IceConfiguration},
    store::Head,
};

/// The number of the clients that services are; they join no room.
const SERVICE_CLIENT: ClientId = 0;

/// The limits of a deployment.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most bytes of UTF-8 in a message.
    pub max_message_bytes: usize,
    /// The messages in an answer to a request without a limit; at most [`MAX_HISTORY`].
    pub history_limit: usize,
    /// The most rooms of one client: even a silent room costs memory.
    pub max_rooms: usize,
    /// False when nobody can search.
    pub search: bool,
    /// The rooms with conversations between customers and operators.
    pub conversations: RoomPatterns,
    /// The time in which an author may edit a message; none for ever.
    pub edit_window: Option<Duration>,
    /// The most parties of a call.
    pub call_parties: usize,
    /// The rate of a user's messages and changes together and, each counted apart, of its typing
    /// signals and read marks, as these reach as many others.
    pub messages: Rate,
    /// The rate of a client's own events.
    pub signals: Rate,
    /// The rate of a user's requests that make the server look something up: joins, history reads,
    /// new tokens.
    pub requests: Rate,
}

/// The use cases, for all clients of this node.
pub struct Chat {
    rooms: Rooms,
    writer: Writer,
    /// The way of messages to the writer where they are asked about before.
    moderated: Option<Arc<Moderated>>,
    store: Arc<dyn MessageStore>,
    inbox: Arc<Inbox>,
    limits: Limits,
    messages: Limiter<UserId>,
    typing: Limiter<UserId>,
    marks: Limiter<UserId>,
    requests: Limiter<UserId>,
    ice_servers: IceServers,
    livekit: Option<LiveKit>,
    ice_requests: Limiter<UserId>,
    searches: Arc<Semaphore>,
    /// The reads of all feeds.
    feed_reads: Semaphore,
    calls: Calls,
    clients: AtomicU64,
    users: OnceLock<Arc<dyn UserListener>>,
    stopping: CancellationToken,
}

impl Chat {
    /// Creates the use cases on a node's rooms, writer, log and inbox.
    pub fn new(
        rooms: Rooms,
        writer: Writer,
        store: Arc<dyn MessageStore>,
        inbox: Arc<Inbox>,
        limits: Limits,
    ) -> Self {
        Self {
            rooms,
            writer,
            moderated: None,
            store,
            inbox,
            messages: Limiter::new(limits.messages),
            typing: Limiter::new(limits.messages),
            marks: Limiter::new(limits.messages),
            requests: Limiter::new(limits.requests),
            ice_servers: IceServers::default(),
            livekit: None,
            ice_requests: Limiter::per_minute(ice::REQUESTS_PER_MINUTE),
            limits,
            searches: Arc::new(Semaphore::new(SEARCHES_AT_ONCE)),
            feed_reads: Semaphore::new(FEED_READS_AT_ONCE),
            calls: Calls::default(),
            clients: AtomicU64::new(1),
            users: OnceLock::new(),
            stopping: CancellationToken::new(),
        }
    }

    /// Lets a program be asked about each message before it is stored.
    #[must_use]
    pub fn moderated_by(mut self, moderation: Moderation) -> Self {
        let (writer, store) = (self.writer.clone(), self.store.clone());
        self.moderated = Some(Arc::new(Moderated::new(moderation, writer, store)));
        self
    }

    /// Returns true when messages are asked about before they are stored.
    pub fn is_moderated(&self) -> bool {
        self.moderated.is_some()
    }

    /// Returns the participant of a service's request, who needs to be in no room.
    pub fn serve(&self, identity: Identity) -> Participant {
        Participant::new(SERVICE_CLIENT, Some(identity), None)
    }

    /// Creates the participant of a new client.
    pub fn connect(&self, identity: Option<Identity>) -> Participant {
        let client = self.clients.fetch_add(1, Ordering::Relaxed);
        Participant::new(client, identity, self.users.get().cloned())
    }

    /// Lets somebody hear of the users of later clients.
    pub fn listen_to_users(&self, listener: Arc<dyn UserListener>) {
        self.users.set(listener).ok();
    }

    /// Refuses all further requests with [`Error::Unavailable`]; those in flight go on.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Returns true after [`Chat::stop`].
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits for [`Chat::stop`].
    pub async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Returns the most rooms of one client.
    pub fn max_rooms(&self) -> usize {
        self.limits.max_rooms
    }

    /// Charges the user's request limit for a request handled elsewhere.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`].
    pub fn charge_request(&self, participant: &Participant) -> Result<(), Error> {
        participant
            .identity()
            .map_or(Ok(()), |identity| charge(&self.requests, &identity))
    }

    fn check_running(&self) -> Result<(), Error> {
        if self.is_stopping() {
            return Err(Error::Unavailable);
        }
        Ok(())
    }
}

/// Counts one event of a user. Services have a rate of their own, so that they cost their users nothing.
///
/// # Errors
///
/// [`Error::RateLimited`].
fn charge(limiter: &Limiter<UserId>, identity: &Identity) -> Result<(), Error> {
    if identity.is_service() {
        return Ok(());
    }
    limiter.check(identity.user_id())
}
