//! The rooms of users, beyond their connections: how far they have read, the rooms they follow, and
//! the activity there.
//!
//! A count of unread messages is arithmetic on two places, so nothing is written per message or per
//! follower. Positions are stored for many readers at once. The activity of followed rooms comes
//! from the reports that a server hears anyway.

mod activity;
mod delivery;
mod marks;
mod news;
mod positions;
mod senders;
mod summary;
mod watch;

use std::{future::Future, sync::Arc};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::{
    delivery::{Delivery, RoomActivity},
    marks::{FLUSH_INTERVAL, MAX_FLUSHED, Marking},
    summary::RoomSummary,
};
use self::{
    marks::Marks, news::ConversationNews, positions::Positions, senders::Senders, watch::Watch,
};
pub use crate::store::ListPlace;
use crate::{
    bus::{Bus, News},
    error::Error,
    metrics,
    model::{
        Clients, EncodedMessage, FromStore, ListedRoom, MAX_FOLLOWED, Mark, Marked, Outcome,
        Queued, Read, RoomId, Seq, Signal, UserId,
    },
    room::{NewsListener, READ_TIMEOUT, Reads, Rooms},
    store::{MembershipStore, MessageStore, StoreError},
};

/// The most readers in one answer.
pub const MAX_READERS: usize = 100;
/// The most rooms in one answer.
pub const MAX_LISTED: usize = 100;

/// The dependencies of the inbox.
pub struct InboxContext {
    /// The memberships and the log.
    pub store: Arc<dyn MessageStore>,
    /// The active rooms.
    pub rooms: Rooms,
    /// The way to the other servers; none on a single server.
    pub bus: Option<Arc<dyn Bus>>,
    /// The way to the users' clients.
    pub delivery: Arc<dyn Delivery>,
    /// The figures.
    pub metrics: metrics::Inbox,
}

impl InboxContext {
    fn memberships(&self) -> &dyn MembershipStore {
        self.store.memberships()
    }
}

/// The rooms of all users with clients on this node.
pub struct Inbox {
    context: InboxContext,
    marks: Marks,
    positions: Positions,
    senders: Senders,
    watch: Watch,
    news: ConversationNews,
}

impl Inbox {
    /// Creates the inbox of a node.
    pub fn new(context: InboxContext) -> Self {
        Self {
            context,
            marks: Marks::default(),
            positions: Positions::default(),
            senders: Senders::default(),
            watch: Watch::default(),
            news: ConversationNews::default(),
        }
    }

    /// Stores positions and tells of activity until `stop`; the last positions are stored after it.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(
            self.keep_marks(&stop),
            stop.run_until_cancelled(self.positions.look_up(self.context.memberships())),
            stop.run_until_cancelled(self.keep_watch()),
            stop.run_until_cancelled(self.tell_watchers()),
        );
    }

    /// Notes a commit's outcome: activity in followed rooms, and users who are new in a room.
    pub fn observe(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Stored {
                messages,
                authors,
                changes,
                conversations,
            } => {
                for (stored, author) in messages.iter().zip(authors) {
                    if !stored.duplicate {
                        self.sent(&stored.message, author);
                    }
                }
                for revised in changes {
                    self.watch.active(&revised.room_id);
                }
                for changed in conversations {
                    self.tell_conversation(&changed.room_id, &changed.queued);
                }
            }
            Outcome::Unknown(rooms) => rooms.iter().for_each(|room| self.watch.active(room)),
        }
    }

    /// Notes a new message. The first one of a user in a room makes a membership.
    fn sent(&self, message: &EncodedMessage, author: &UserId) {
        if self.senders.is_new(&message.room_id, author) {
            self.marks.add(Mark {
                room_id: message.room_id.clone(),
                user_id: author.clone(),
                seq: message.seq,
            });
        }
        self.watch.sent(&message.room_id, author, message.seq);
    }

    /// Queues a read mark.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when too many are queued.
    pub fn mark(&self, mark: Mark) -> Result<Marking, Error> {
        self.marks.queue(mark)
    }

    /// Returns a user's position in a room; none when it cannot be read soon.
    pub async fn position(&self, room: &RoomId, user: &UserId) -> Option<Seq> {
        self.positions.of(room.clone(), user.clone()).await
    }

    /// Returns a room's readers with their positions, at most [`MAX_READERS`]; true when there are
    /// others.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the database does not answer within [`READ_TIMEOUT`].
    pub async fn readers(&self, room: &RoomId) -> Result<(Vec<Read>, bool), Error> {
        let mut readers =
            in_time(self.context.memberships().readers(room, MAX_READERS + 1)).await?;
        let has_more = readers.len() > MAX_READERS;
        readers.truncate(MAX_READERS);
        Ok((readers, has_more))
    }

    /// Lets a user follow a room.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for one room too many; [`Error::Unavailable`] when the database does not
    /// answer within [`READ_TIMEOUT`].
    pub async fn follow(
        &self,
        user: &UserId,
        room: &RoomId,
        muted: Option<bool>,
    ) -> Result<(), Error> {
        if !in_time(self.context.memberships().follow(user, room, muted)).await? {
            return Err(Error::Forbidden(format!(
                "roomId: a user may follow {MAX_FOLLOWED} rooms at most"
            )));
        }
        self.tell_followed(room, user);
        Ok(())
    }

    /// Lets a user follow a room no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the database does not answer within [`READ_TIMEOUT`].
    pub async fn unfollow(&self, user: &UserId, room: &RoomId) -> Result<(), Error> {
        in_time(self.context.memberships().unfollow(user, room)).await?;
        self.tell_followed(room, user);
        Ok(())
    }

    /// Reads a page of a user's rooms, the latest activity first, of those that `permits` allows. Returns
    /// the place of the next page, too, if there may be one. The user's queued marks count.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the database does not answer within [`READ_TIMEOUT`].
    pub async fn list(
        &self,
        user: &UserId,
        after: Option<&ListPlace>,
        limit: usize,
        permits: impl Fn(&RoomId) -> bool + Send,
    ) -> Result<(Vec<RoomSummary>, Option<ListPlace>), Error> {
        let mut listed = in_time(self.page_of(user, after.cloned(), limit, permits)).await?;
        for room in &mut listed {
            let queued = self.marks.queued(&room.room_id, user).min(room.last_seq);
            room.read_seq = room.read_seq.max(queued);
        }
        Ok(summary::page(listed, limit))
    }

    /// Reads on until the page is full: the place of its end must not name a room that is not permitted.
    async fn page_of(
        &self,
        user: &UserId,
        mut after: Option<ListPlace>,
        limit: usize,
        permits: impl Fn(&RoomId) -> bool + Send,
    ) -> Result<Vec<ListedRoom>, StoreError> {
        let (mut found, mut step) = (vec![], limit);
        loop {
            let page = self.context.memberships().list(user, after.as_ref(), step);
            let page = page.await?;
            let is_last = page.len() < step;
            after = page.last().map(ListPlace::from);
            found.extend(page.into_iter().filter(|room| permits(&room.room_id)));
            if is_last || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
            step = MAX_LISTED;
        }
    }

    /// Tells everyone concerned that a room's settings have changed, and that the room has come into the
    /// lists of some users, or left them.
    pub fn room_changed(&self, room: &RoomId, users: &[UserId]) {
        self.watch.active(room);
        for user in users {
            self.tell_followed(room, user);
        }
    }

    /// Tells the watching operators on all servers of a conversation.
    pub fn tell_conversation(&self, room: &RoomId, queued: &Queued) {
        self.news.add(room, queued);
        if let Some(bus) = &self.context.bus {
            bus.signal(room, &Signal::Conversation(queued.clone()));
        }
    }

    /// Returns true when a user has a client here.
    pub fn is_here(&self, user: &UserId) -> bool {
        self.context.delivery.clients(user).connections > 0
    }

    /// Begins to tell a user's clients of the activity in the followed rooms. Call
    /// [`Inbox::unwatch`] once for each success.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when this node watches too many rooms; [`Error::Unavailable`] when the
    /// database does not answer within [`READ_TIMEOUT`].
    pub async fn watch(&self, user: &UserId) -> Result<(), Error> {
        let Some(loaded) = self.watch.begin(user)? else {
            return Ok(());
        };
        if !matches!(timeout(READ_TIMEOUT, loaded).await, Ok(Ok(()))) {
            self.watch.end(user);
            return Err(Error::Unavailable);
        }
        Ok(())
    }

    /// Ends the watch of one client of a user.
    pub fn unwatch(&self, user: &UserId) {
        self.watch.end(user);
    }

    /// Returns the clients of a user on all servers, and ends their connections if asked to.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when a server does not answer in time; then some connections may be ended.
    pub async fn clients(&self, user: &UserId, disconnect: bool) -> Result<Clients, Error> {
        let mut clients = self.clients_here(user, disconnect);
        clients.merge(
            self.context
                .rooms
                .clients_elsewhere(user, disconnect)
                .await?,
        );
        Ok(clients)
    }

    fn clients_here(&self, user: &UserId, disconnect: bool) -> Clients {
        let clients = self.context.delivery.clients(user);
        if disconnect {
            self.context.delivery.disconnect(user);
        }
        clients
    }

    /// Answers another server's question for the clients of a user.
    fn answer(&self, id: Uuid, user: &UserId, disconnect: bool) {
        let clients = self.clients_here(user, disconnect);
        if let Some(bus) = &self.context.bus {
            let server = bus.rosters().server_id().0;
            let found = Signal::Found {
                id,
                server,
                clients,
            };
            bus.signal(&RoomId::from_store(user.to_string()), &found);
        }
    }

    /// Tells everyone concerned of stored marks: `asked` are those of readers, the others come from
    /// first messages, which tell of themselves.
    fn tell_marked(&self, marked: Marked, asked: bool) {
        let Marked {
            mark,
            moved,
            is_new,
        } = marked;
        if is_new {
            self.tell_followed(&mark.room_id, &mark.user_id);
        }
        if moved && asked {
            let signal = Signal::Read {
                user_id: mark.user_id.clone(),
                seq: mark.seq,
            };
            if let Some(bus) = &self.context.bus {
                bus.signal(&mark.room_id, &signal);
            }
            self.context.rooms.signal(&mark.room_id, signal);
            self.tell_own(&mark.room_id, &mark.user_id, mark.seq);
        }
    }

    /// Tells a user's own clients here of a new position.
    fn tell_own(&self, room: &RoomId, user: &UserId, seq: Seq) {
        let read = Read {
            user_id: user.clone(),
            seq,
        };
        self.context.delivery.read(&Reads {
            room_id: room.clone(),
            reads: vec![read],
        });
        self.watch.read(room, user, seq);
    }

    /// Tells everyone concerned that a user's list of rooms has changed.
    fn tell_followed(&self, room: &RoomId, user: &UserId) {
        self.watch.changed(user);
        if let Some(bus) = &self.context.bus {
            let user_id = user.clone();
            bus.signal(room, &Signal::Followed { user_id });
        }
    }
}

impl NewsListener for Inbox {
    fn hear(&self, news: &News) {
        let rooms = news.wakes.rooms.keys().chain(news.wakes.changes.keys());
        rooms.for_each(|room| self.watch.active(room));
        for (room, signal) in news.signals.iter() {
            match signal {
                Signal::Read { user_id, seq } => self.tell_own(room, user_id, *seq),
                Signal::Followed { user_id } => self.watch.changed(user_id),
                Signal::Conversation(queued) => self.news.add(room, queued),
                Signal::Find {
                    id,
                    user_id,
                    disconnect,
                } => self.answer(*id, user_id, *disconnect),
                _ => {}
            }
        }
        if news.wakes.any || news.dropped > 0 {
            self.watch.lost();
        }
    }
}

/// Waits for the database, within [`READ_TIMEOUT`].
async fn in_time<T>(asking: impl Future<Output = Result<T, StoreError>>) -> Result<T, Error> {
    let answer = timeout(READ_TIMEOUT, asking).await;
    Ok(answer.map_err(|_| Error::Unavailable)??)
}
