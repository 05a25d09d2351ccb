//! Feeds: a room's log from any place on, and then its live events, for a reader without a socket. The
//! reader is no member, and nobody sees it.

use std::{slice, sync::Arc};

use tokio::time::timeout;

use super::{Chat, charge};
use crate::{
    auth::Identity,
    error::Error,
    model::{EncodedMessage, Revision, RoomId, RoomSettings, Seq},
    room::{Followed, READ_TIMEOUT, Reset, RoomHandle, fit},
    store::{Head, Keep, Page, StoreError},
};

/// The messages or changes of a feed that are read at once.
pub const FEED_PAGE: usize = 200;

/// The reads of all feeds of a node at once: many may resume at the same time, and the database has few
/// connections.
pub const FEED_READS_AT_ONCE: usize = 4;

/// A room, as a reader follows it.
pub struct Feed {
    chat: Arc<Chat>,
    reader: Identity,
    room: RoomId,
}

/// A change that a reader has missed, in its present state.
pub enum FeedChange {
    /// A message.
    Message(EncodedMessage),
    /// The settings.
    Settings(RoomSettings),
}

impl FeedChange {
    /// Returns the change's number.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Message(message) => message.revision,
            Self::Settings(settings) => settings.revision,
        }
    }
}

/// A feed that has reached its room's present; the room stays active while it lives.
pub struct Live<T> {
    /// The subscription to the room's fan-out.
    pub subscription: T,
    /// The room.
    pub room: RoomHandle,
}

impl Chat {
    /// Opens the feed of a room.
    ///
    /// # Errors
    ///
    /// - [`Error::Forbidden`] for a room that the reader may not enter;
    /// - [`Error::RateLimited`] for too many requests;
    /// - [`Error::Unavailable`] when the database does not answer or the server is stopping.
    pub async fn feed(self: &Arc<Self>, reader: Identity, room: RoomId) -> Result<Feed, Error> {
        self.check_running()?;
        reader.may_enter(&room)?;
        charge(&self.requests, &reader)?;
        self.standing(&reader, &room).await?;
        Ok(Feed {
            chat: self.clone(),
            reader,
            room,
        })
    }

    /// Begins to tell a user's streams of activity in the followed rooms, until the result is dropped.
    ///
    /// # Errors
    ///
    /// As [`Chat::feed`], except [`Error::Forbidden`].
    pub async fn watch_feed(self: &Arc<Self>, reader: Identity) -> Result<Watching, Error> {
        self.check_running()?;
        charge(&self.requests, &reader)?;
        self.inbox.watch(reader.user_id()).await?;
        Ok(Watching {
            chat: self.clone(),
            reader,
        })
    }
}

/// A reader who is told of activity; dropping it ends that.
pub struct Watching {
    chat: Arc<Chat>,
    reader: Identity,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.chat.inbox.unwatch(self.reader.user_id());
    }
}

impl Feed {
    /// Returns the room.
    pub fn room(&self) -> &RoomId {
        &self.room
    }

    /// Returns the end of the room's log.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] once the reader may not be in the room; [`Error::Unavailable`] when the
    /// database does not answer within [`READ_TIMEOUT`].
    pub async fn head(&self) -> Result<Head, Error> {
        let heads = self.chat.store.heads(slice::from_ref(&self.room));
        let heads = self.read(heads).await?;
        Ok(heads.get(&self.room).copied().unwrap_or_default())
    }

    /// Reads the oldest messages after one, at most [`FEED_PAGE`].
    ///
    /// # Errors
    ///
    /// As [`Feed::head`].
    pub async fn messages(&self, after: Seq) -> Result<Vec<EncodedMessage>, Error> {
        let page = Page {
            after,
            before: Seq::END,
            limit: FEED_PAGE,
            keep: Keep::Oldest,
        };
        let messages = self.read(self.chat.store.read(&self.room, page)).await?;
        Ok(messages.iter().map(EncodedMessage::from).collect())
    }

    /// Reads the changes after a place, in order, in their present states. Returns the revision up to
    /// which the reader then has everything: at most [`FEED_PAGE`] messages are read. The room has reached
    /// `goal` before.
    ///
    /// # Errors
    ///
    /// As [`Feed::head`].
    pub async fn changes(
        &self,
        after: Head,
        goal: Revision,
    ) -> Result<(Vec<FeedChange>, Revision), Error> {
        let store = &self.chat.store;
        let reading = async {
            let changes = store
                .read_changes(&self.room, after.revision, FEED_PAGE)
                .await?;
            let settings = store.rooms().settings(&self.room).await?;
            Ok((changes, settings))
        };
        let (messages, settings) = self.read(reading).await?;
        // A message comes before its changes.
        let known = messages
            .iter()
            .take_while(|message| message.seq <= after.seq);
        let mut changes: Vec<_> = known
            .map(EncodedMessage::from)
            .map(FeedChange::Message)
            .collect();
        let is_whole = changes.len() == messages.len() && messages.len() < FEED_PAGE;
        let read = changes.last().map_or(after.revision, FeedChange::revision);
        let seen = if is_whole { read.max(goal) } else { read };
        match settings.filter(|settings| settings.revision > after.revision) {
            // Changes that were not read yet may come before.
            Some(later) if later.revision > seen => Ok((changes, read)),
            settings => {
                changes.extend(settings.map(FeedChange::Settings));
                changes.sort_by_key(FeedChange::revision);
                Ok((changes, seen))
            }
        }
    }

    /// Reads the room anew, for a reader who has more than the log: it went back, to `head`.
    ///
    /// # Errors
    ///
    /// As [`Feed::head`].
    pub async fn reset(&self, head: Head) -> Result<Reset, Error> {
        let limit = self.chat.limits.history_limit;
        let loaded = self
            .read(self.chat.store.load(&self.room, limit + 1))
            .await?;
        let present = self.chat.rooms.presence(&self.room).await?;
        let last_seq = loaded.messages.last().map(|message| message.seq);
        let last_seq = last_seq.unwrap_or_default().max(head.seq);
        let messages = loaded.messages.iter().map(EncodedMessage::from);
        let (messages, has_more) = fit(messages, limit, Keep::Newest);
        Ok(Reset {
            room_id: self.room.clone(),
            messages,
            last_seq,
            has_more,
            members: present.members,
            member_count: present.member_count,
            last_revision: loaded.revision,
            room: loaded.settings,
        })
    }

    /// Follows the room from its present on. `begin` subscribes in the room's own task, so that nothing is
    /// lost between the state that it is given and the first event.
    ///
    /// # Errors
    ///
    /// As [`Feed::head`].
    pub async fn follow<T: Send + 'static>(
        &self,
        begin: impl FnOnce(Followed) -> T + Send + 'static,
    ) -> Result<Live<T>, Error> {
        let room = self.chat.rooms.enter(&self.room);
        let subscription = room.follow(begin).await?;
        // From here on, the room tells of an exclusion. One before it is seen by this look.
        self.chat.standing(&self.reader, &self.room).await?;
        Ok(Live { subscription, room })
    }

    /// Reads, and checks after it that the reader may still be in the room.
    async fn read<T>(
        &self,
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Error> {
        let _one_of_few = self.chat.feed_reads.acquire().await;
        let read = timeout(READ_TIMEOUT, reading).await;
        let read = read.map_err(|_| Error::Unavailable)??;
        self.chat.standing(&self.reader, &self.room).await?;
        Ok(read)
    }
}
