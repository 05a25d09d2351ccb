//! Parlor on a store in memory: the cost of everything but persistence.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use parlor::{
    App, Config,
    model::{
        Change, ClientMessageId, Committed, Draft, Followed, Latest, ListedRoom, Mark, Marked,
        Message, Read, Revision, RoomChange, RoomChanged, RoomId, RoomMember, RoomRefusal,
        RoomSettings, Seq, Standing, Stored, UserId,
    },
    store::{
        Head, Keep, ListPlace, MembershipStore, MessageStore, MigrateError, Page, RoomStore,
        StoreError,
    },
};

/// The newest messages kept of each room, as many as the server keeps itself.
const KEPT: usize = parlor::testing::room::CAPACITY;

/// Serves as Parlor's own program does, with the settings of the environment, until it is killed.
///
/// # Errors
///
/// When the server does not start.
pub async fn serve() -> anyhow::Result<()> {
    let config = <Config as clap::Parser>::try_parse_from(["parlor"])?;
    let app = App::bind(&config, Arc::new(Memory::default()))?;
    println!("{}", serde_json::json!({ "address": app.local_addr()? }));
    app.serve_until(std::future::pending()).await
}

/// A store that forgets repeated sends and old messages.
#[derive(Debug, Default)]
struct Memory(Mutex<HashMap<RoomId, Log>>);

#[derive(Debug)]
struct Log {
    next: Seq,
    newest: VecDeque<Message>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            next: Seq::ZERO.next(),
            newest: VecDeque::new(),
        }
    }
}

impl Log {
    fn append(&mut self, draft: &Draft) -> Stored<Arc<Message>> {
        let message = draft.at(self.next);
        self.next = self.next.next();
        self.newest.push_back(message.clone());
        if self.newest.len() > KEPT {
            self.newest.pop_front();
        }
        Stored {
            message: Arc::new(message),
            duplicate: false,
        }
    }
}

#[async_trait]
impl MessageStore for Memory {
    async fn migrate(&self) -> Result<(), MigrateError> {
        Ok(())
    }

    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError> {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(drafts
            .iter()
            .map(|draft| {
                rooms
                    .entry(draft.room_id.clone())
                    .or_default()
                    .append(draft)
            })
            .collect())
    }

    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError> {
        let rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = rooms.get(room).into_iter().flat_map(|log| &log.newest);
        let mut messages: Vec<_> = messages
            .filter(|message| page.after < message.seq && message.seq < page.before)
            .cloned()
            .collect();
        match page.keep {
            Keep::Oldest => messages.truncate(page.limit),
            Keep::Newest => drop(messages.drain(..messages.len().saturating_sub(page.limit))),
        }
        Ok(messages)
    }

    /// No workload changes messages.
    async fn commit(&self, _: &[Draft], _: &[Change]) -> Result<Committed, StoreError> {
        Err(StoreError::Unreadable("no changes in memory".into()))
    }

    async fn read_replies(&self, _: &RoomId, _: Seq, _: Page) -> Result<Vec<Message>, StoreError> {
        Ok(vec![])
    }

    async fn read_changes(
        &self,
        _: &RoomId,
        _: Revision,
        _: usize,
    ) -> Result<Vec<Message>, StoreError> {
        Ok(vec![])
    }

    /// No workload is moderated.
    async fn find_sent(
        &self,
        _: &RoomId,
        _: &UserId,
        _: &ClientMessageId,
    ) -> Result<Option<Message>, StoreError> {
        Ok(None)
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, Head>, StoreError> {
        let logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let heads = rooms.iter().filter_map(|room| {
            let seq = logs.get(room)?.next.previous();
            let revision = Revision::ZERO;
            Some((room.clone(), Head { seq, revision }))
        });
        Ok(heads.collect())
    }

    fn memberships(&self) -> &dyn MembershipStore {
        self
    }

    fn rooms(&self) -> &dyn RoomStore {
        self
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}

/// Nobody has read anything, and nobody follows a room.
#[async_trait]
impl MembershipStore for Memory {
    async fn mark(&self, _: &[Mark]) -> Result<Vec<Marked>, StoreError> {
        Ok(vec![])
    }

    async fn positions(
        &self,
        _: &[(RoomId, UserId)],
    ) -> Result<HashMap<(RoomId, UserId), Seq>, StoreError> {
        Ok(HashMap::new())
    }

    async fn readers(&self, _: &RoomId, _: usize) -> Result<Vec<Read>, StoreError> {
        Ok(vec![])
    }

    async fn follow(&self, _: &UserId, _: &RoomId, _: Option<bool>) -> Result<bool, StoreError> {
        Err(StoreError::Unreadable("no memberships in memory".into()))
    }

    async fn unfollow(&self, _: &UserId, _: &RoomId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn followed(&self, _: &[UserId]) -> Result<Vec<Followed>, StoreError> {
        Ok(vec![])
    }

    async fn list(
        &self,
        _: &UserId,
        _: Option<&ListPlace>,
        _: usize,
    ) -> Result<Vec<ListedRoom>, StoreError> {
        Ok(vec![])
    }

    async fn latest(&self, _: &[(RoomId, Seq)]) -> Result<Vec<Latest>, StoreError> {
        Ok(vec![])
    }
}

/// Nobody creates a room.
#[async_trait]
impl RoomStore for Memory {
    async fn change(&self, _: &RoomChange) -> Result<Result<RoomChanged, RoomRefusal>, StoreError> {
        Ok(Err(RoomRefusal::NotFound))
    }

    async fn settings(&self, _: &RoomId) -> Result<Option<RoomSettings>, StoreError> {
        Ok(None)
    }

    async fn standings(
        &self,
        _: &[(RoomId, UserId)],
    ) -> Result<HashMap<(RoomId, UserId), Standing>, StoreError> {
        Ok(HashMap::new())
    }

    async fn members(
        &self,
        _: &RoomId,
        _: Option<&UserId>,
        _: usize,
    ) -> Result<Vec<RoomMember>, StoreError> {
        Ok(vec![])
    }
}
