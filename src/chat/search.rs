//! Searching messages.

use std::collections::HashSet;

use tokio::time::timeout;

use super::{Chat, Participant};
use crate::{
    error::Error,
    model::{EncodedMessage, Message, RoomId, Seq, UserId},
    room::{READ_TIMEOUT, fit},
    store::{Keep, StoreError, Words},
};

/// The most messages in one answer, and those in an answer to a request without a limit.
pub const MAX_FOUND: usize = 100;
const DEFAULT_FOUND: usize = 20;

/// The most bytes of a query, and its most words.
pub const MAX_QUERY_BYTES: usize = 1_000;
const MAX_WORDS: usize = 16;

/// The most searches on a node at once.
pub(super) const SEARCHES_AT_ONCE: usize = 2;

/// A question to the index of words.
pub struct Query<'a> {
    /// The words, or the beginnings of words.
    pub text: &'a str,
    /// The only room; none for all rooms that the user follows.
    pub room: Option<RoomId>,
    /// Only messages before this one.
    pub before: Option<Seq>,
    /// The most messages.
    pub limit: Option<usize>,
}

impl Chat {
    /// Finds messages with all words of a query, the newest first, in a room or in those that the
    /// user follows. Returns true when there are others.
    ///
    /// # Errors
    ///
    /// - [`Error::UnknownEvent`] when the search is off;
    /// - [`Error::InvalidPayload`] for a query without a word or with too many, for a place without a
    ///   room, and for a client without a user;
    /// - [`Error::Forbidden`] for a room the user may not enter;
    /// - [`Error::RateLimited`] for too many requests;
    /// - [`Error::Unavailable`] when the database does not answer or the server is stopping.
    pub async fn search(
        &self,
        participant: &Participant,
        query: Query<'_>,
    ) -> Result<(Vec<EncodedMessage>, bool), Error> {
        if !self.limits.search {
            return Err(Error::UnknownEvent("searchMessages".into()));
        }
        let words = parse(query.text)?;
        if query.before.is_some() && query.room.is_none() {
            let why = "beforeSeq: needs a roomId, as each room has numbers of its own";
            return Err(Error::InvalidPayload(why.into()));
        }
        let user = self.requester(participant)?;
        if let Some(room) = &query.room {
            self.standing(&user, room).await?;
        }
        let sees_all = user.is_service_itself();
        let reads = participant.reads();
        let _one_of_few = reads.acquire().await;
        let (before, limit) = (
            query.before.unwrap_or(Seq::END),
            query.limit.unwrap_or(DEFAULT_FOUND).min(MAX_FOUND),
        );
        let searching = async {
            let mut rooms = match query.room {
                Some(room) => vec![room],
                None => self.followed_rooms(user.user_id()).await?,
            };
            rooms.retain(|room| user.may_enter(room).is_ok());
            let found = self.find(words, rooms, before, limit + 1).await?;
            match sees_all {
                true => Ok(found),
                false => self.permitted(user.user_id(), found).await,
            }
        };
        let found = timeout(READ_TIMEOUT, searching).await;
        let found = found.map_err(|_| Error::Unavailable)??;
        let found = found.iter().map(EncodedMessage::from);
        Ok(fit(found, limit, Keep::Oldest))
    }

    /// Leaves out messages of rooms that the user may not be in any more.
    async fn permitted(
        &self,
        user: &UserId,
        mut found: Vec<Message>,
    ) -> Result<Vec<Message>, StoreError> {
        let rooms: HashSet<_> = found
            .iter()
            .map(|message| message.room_id.clone())
            .collect();
        let places = rooms.into_iter().map(|room| (room, user.clone()));
        let places = Vec::from_iter(places);
        let standings = self.store.rooms().standings(&places).await?;
        found.retain(|message| {
            let standing = standings.get(&(message.room_id.clone(), user.clone()));
            standing.is_none_or(|standing| standing.exclusion().is_none())
        });
        Ok(found)
    }

    async fn followed_rooms(&self, user: &UserId) -> Result<Vec<RoomId>, StoreError> {
        let users = [user.clone()];
        let followed = self.store.memberships().followed(&users).await?;
        Ok(followed.into_iter().map(|row| row.room_id).collect())
    }

    /// Asks the index, a few clients at a time: a common word takes long in a large database. A
    /// search goes on when its client waits no longer, and keeps its place until the end.
    async fn find(
        &self,
        words: Words,
        rooms: Vec<RoomId>,
        before: Seq,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let place = self.searches.clone().acquire_owned().await;
        let store = self.store.clone();
        let finding = tokio::spawn(async move {
            let _place = place;
            match store.search() {
                Some(index) => index.search(&words, &rooms, before, limit).await,
                None => Err(StoreError::Unreadable("the store has no index".into())),
            }
        });
        finding
            .await
            .unwrap_or_else(|panic| Err(StoreError::Unreadable(panic.to_string())))
    }
}

fn parse(text: &str) -> Result<Words, Error> {
    let refused = |why: String| Err(Error::InvalidPayload(why));
    if text.len() > MAX_QUERY_BYTES {
        return refused(format!("query: must be at most {MAX_QUERY_BYTES} bytes"));
    }
    let words = Words::of(text);
    match words.count() {
        0 => refused("query: must have a word".into()),
        1..=MAX_WORDS => Ok(words),
        _ => refused(format!("query: must have at most {MAX_WORDS} words")),
    }
}
