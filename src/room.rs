//! A room: one task through which everything that happens in it on this node passes, in order.
//!
//! A joiner's history is read, answered and followed by the subscription in one step of the task, so what it gets live
//! begins just where its history ends. The task lives as long as somebody holds its [`RoomHandle`].

mod members;
mod recent;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::{members::Members, recent::Recent};
pub use self::{
    members::{ConnectionId, Departure, INTERVAL, LARGE_INTERVAL, MAX_LISTED, Presence, PresenceSettings},
    recent::CAPACITY,
};
use crate::{
    error::Error,
    model::{Message, Post, RoomId, Seq, UserId},
    store::{Keep, MessageStore, Page, StoreError},
};

/// How many commands may wait for a room. When there are more, newly stored messages are not queued but read from the log.
pub const MAILBOX_CAPACITY: usize = 1024;
/// How long a join waits for the log.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before what could not be read from the log is tried again.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How a room reaches its members' connections.
pub trait Fanout: Send + Sync + 'static {
    /// Sends a message to every connection in its room.
    fn message(&self, message: &Post);
    /// Tells every connection in the room who came and went.
    fn presence(&self, presence: &Presence);
}

/// Answers a joiner and subscribes it to the room, in this order; false when its connection is gone.
pub type Admit = Box<dyn FnOnce(Joined) -> bool + Send>;

/// What a joiner is told.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The room.
    pub room_id: RoomId,
    /// Whom the connection speaks for.
    pub user_id: UserId,
    /// The newest messages (after the joiner's last one, if it named one), oldest first.
    pub messages: Vec<Post>,
    /// The room's newest `seq`; what comes live is larger.
    pub last_seq: Seq,
    /// Whether there are older ones that were left out.
    pub has_more: bool,
    /// Who is there, at most [`MAX_LISTED`], the joiner too.
    pub members: Vec<UserId>,
    /// How many are there.
    pub member_count: usize,
}

/// A connection's wish to be in the room.
pub struct Join {
    /// The connection.
    pub connection: ConnectionId,
    /// Whom it speaks for.
    pub user_id: UserId,
    /// The newest message that it has.
    pub last_seq: Option<Seq>,
    /// How many messages it wants at most.
    pub limit: usize,
    /// When it stops waiting.
    pub deadline: Instant,
    /// Called when the answer is ready.
    pub admit: Admit,
    /// Told how it ended.
    pub done: oneshot::Sender<Result<(), Error>>,
}

/// What a room's task is asked to do.
pub enum Command {
    /// Let a connection in.
    Join(Join),
    /// Let a connection out; the sender is dropped when that is done.
    Leave(ConnectionId, Departure, oneshot::Sender<()>),
    /// Deliver what the writer has stored.
    Stored(Vec<Post>),
    /// Look into the log: it may hold something that nobody told of.
    Wake,
}

/// Keeps a room's task alive, and gives it commands.
#[derive(Debug, Clone)]
pub struct RoomHandle(pub(crate) mpsc::Sender<Command>);

impl RoomHandle {
    /// Lets a connection in; see [`Join`].
    ///
    /// Errors: [`Error::Unavailable`] when the log cannot be read by the deadline, or the connection is gone.
    pub async fn join(&self, join: impl FnOnce(oneshot::Sender<Result<(), Error>>) -> Join) -> Result<(), Error> {
        let (done, ended) = oneshot::channel();
        let join = join(done);
        let sending = timeout_at(join.deadline, self.0.send(Command::Join(join)));
        if !matches!(sending.await, Ok(Ok(()))) {
            return Err(Error::Unavailable);
        }
        ended.await.unwrap_or(Err(Error::Unavailable))
    }

    /// Lets a connection out, and waits until the room has forgotten it.
    pub async fn leave(&self, connection: ConnectionId, how: Departure) {
        let (done, ended) = oneshot::channel();
        if self.0.send(Command::Leave(connection, how, done)).await.is_ok() {
            ended.await.ok();
        }
    }
}

/// What every room of a node shares.
pub struct RoomContext {
    /// The log.
    pub store: Arc<dyn MessageStore>,
    /// The way to the members.
    pub fanout: Arc<dyn Fanout>,
    /// How many messages a room reads when it starts.
    pub history_limit: usize,
    /// How presence is told.
    pub presence: PresenceSettings,
}

/// The state of a room's task.
pub(crate) struct Room {
    id: RoomId,
    context: Arc<RoomContext>,
    commands: mpsc::Receiver<Command>,
    /// Set when a command could not be queued.
    missed: Arc<AtomicBool>,
    /// Nothing before the first successful read of the log.
    recent: Option<Recent>,
    /// Whether the log may hold messages after the cursor that have not been delivered.
    behind: bool,
    retry_at: Option<Instant>,
    members: Members,
}

impl Room {
    pub(crate) fn new(
        id: RoomId,
        context: Arc<RoomContext>,
        commands: mpsc::Receiver<Command>,
        missed: Arc<AtomicBool>,
    ) -> Self {
        let members = Members::new(context.presence);
        Self { id, context, commands, missed, recent: None, behind: false, retry_at: None, members }
    }

    /// Works until nobody holds a handle any more, or until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let next_tick = self.next_tick();
            tokio::select! {
                // What was stored before the stop is delivered.
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                () = stop.cancelled() => break,
                () = sleep_until(next_tick) => {}
            }
            if self.missed.swap(false, Ordering::AcqRel) {
                self.behind = true;
            }
            self.keep_up().await;
            if let Some(presence) = self.members.tick(&self.id) {
                self.context.fanout.presence(&presence);
            }
        }
    }

    fn next_tick(&self) -> Option<Instant> {
        self.retry_at.into_iter().chain(self.members.next_tick()).min()
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Join(join) => self.join(join).await,
            Command::Leave(connection, how, done) => {
                self.members.leave(connection, how);
                drop(done);
            }
            Command::Stored(messages) => self.stored(messages),
            Command::Wake => self.behind = true,
        }
    }

    async fn join(&mut self, join: Join) {
        let history = self.history(join.last_seq, join.limit, join.deadline).await;
        let result = history.and_then(|(messages, has_more)| {
            // One whose connection is gone already was never here, or, if it was here before, may be back soon.
            let gone = if self.members.contains(&join.user_id) { Departure::Broken } else { Departure::Left };
            self.members.enter(join.connection, &join.user_id);
            let joined = Joined {
                room_id: self.id.clone(),
                user_id: join.user_id,
                messages,
                last_seq: self.cursor(),
                has_more,
                members: self.members.listed(),
                member_count: self.members.count(),
            };
            if (join.admit)(joined) {
                Ok(())
            } else {
                self.members.leave(join.connection, gone);
                Err(Error::Unavailable)
            }
        });
        join.done.send(result).ok();
    }

    fn cursor(&self) -> Seq {
        self.recent.as_ref().map_or(Seq::ZERO, Recent::cursor)
    }

    /// What a joiner gets: the newest `limit` messages after its last one, and whether that left older ones out.
    async fn history(
        &mut self,
        last_seq: Option<Seq>,
        limit: usize,
        deadline: Instant,
    ) -> Result<(Vec<Post>, bool), Error> {
        self.load(limit, deadline).await?;
        // What cannot be read now comes live, after what the joiner is told.
        self.keep_up().await;
        let after = last_seq.unwrap_or(Seq::ZERO);
        if let Some(newest) = self.recent.as_ref().and_then(|recent| recent.newest(after, limit)) {
            return Ok(newest);
        }
        let page = Page { after, before: self.cursor().next(), limit: limit + 1, keep: Keep::Newest };
        let mut messages = self.read(page, deadline).await?;
        let has_more = messages.len() > limit;
        messages.drain(..messages.len().saturating_sub(limit));
        Ok((messages.iter().map(Post::from).collect(), has_more))
    }

    /// Reads the newest messages, unless that has been done.
    async fn load(&mut self, limit: usize, deadline: Instant) -> Result<(), Error> {
        if self.recent.is_some() {
            return Ok(());
        }
        let limit = limit.max(self.context.history_limit).clamp(1, CAPACITY);
        let page = Page { after: Seq::ZERO, before: Seq::END, limit, keep: Keep::Newest };
        let newest = self.read(page, deadline).await?;
        let complete = newest.len() < limit;
        self.recent = Some(Recent::new(newest.iter().map(Post::from).collect(), complete));
        self.behind = false;
        Ok(())
    }

    /// Delivers what the writer has stored; a message that does not follow the last one means that another process
    /// wrote in between, and that the log is to be read first.
    fn stored(&mut self, messages: Vec<Post>) {
        for message in messages {
            let cursor = self.cursor();
            if self.recent.is_none() || message.seq <= cursor {
                continue;
            }
            if self.behind || message.seq != cursor.next() {
                self.behind = true;
                return;
            }
            self.deliver(message);
        }
    }

    fn deliver(&mut self, message: Post) {
        if let Some(recent) = &mut self.recent {
            self.context.fanout.message(&message);
            recent.push(message);
        }
    }

    /// Catches up if there is need; what fails is tried again after a pause.
    async fn keep_up(&mut self) {
        let now = Instant::now();
        if self.recent.is_none() || !self.behind || self.retry_at.is_some_and(|retry_at| now < retry_at) {
            return;
        }
        if self.catch_up(now + READ_TIMEOUT).await.is_err() {
            self.retry_at = Some(Instant::now() + RETRY_DELAY);
        }
    }

    /// Delivers what the log holds after the cursor.
    async fn catch_up(&mut self, deadline: Instant) -> Result<(), Error> {
        while self.behind {
            let page = Page { after: self.cursor(), before: Seq::END, limit: CAPACITY, keep: Keep::Oldest };
            let messages = self.read(page, deadline).await?;
            self.behind = messages.len() == CAPACITY;
            for message in &messages {
                self.deliver(message.into());
            }
        }
        self.retry_at = None;
        Ok(())
    }

    async fn read(&self, page: Page, deadline: Instant) -> Result<Vec<Message>, Error> {
        let reading = self.context.store.read(&self.id, page);
        match timeout_at(deadline, reading).await {
            Ok(Ok(messages)) => Ok(messages),
            Ok(Err(cause)) => Err(unread(cause)),
            Err(_) => Err(Error::Unavailable),
        }
    }
}

/// What a failed read means to whoever asked for it.
pub(crate) fn unread(cause: StoreError) -> Error {
    match cause {
        StoreError::Unavailable(cause) | StoreError::Conflict(cause) | StoreError::Locked { cause, .. } => {
            tracing::warn!(%cause, "log not read");
            Error::Unavailable
        }
        cause @ (StoreError::Rejected(_) | StoreError::Unreadable(_)) => Error::internal(cause),
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
