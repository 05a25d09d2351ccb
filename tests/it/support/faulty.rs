//! A real store with faults that a real database does not show on demand.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use parlor::{
    model::{
        Change, ClientMessageId, Committed, Draft, Message, Revision, RoomId, Seq, Stored, UserId,
    },
    store::{
        ConversationStore, Head, MembershipStore, MessageStore, MigrateError, Page, RoomStore,
        StoreError,
    },
};
use tokio::sync::{Semaphore, watch};

/// A fault of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is lost before anything is written.
    LostBefore,
    /// The connection is lost after the commit, before its answer.
    LostAfter,
}

/// A store that counts batches, holds them up, and fails as planned.
pub struct FaultyStore {
    inner: Arc<dyn MessageStore>,
    faults: Mutex<Vec<Fault>>,
    batches: Mutex<Vec<usize>>,
    reading: AtomicUsize,
    most_reading: AtomicUsize,
    reads: AtomicUsize,
    panicking: AtomicBool,
    /// The rooms with held reads.
    held: watch::Sender<HashSet<RoomId>>,
    /// One permit per append; plentiful unless appends are held up.
    gate: Semaphore,
}

impl FaultyStore {
    /// Returns a store whose next appends suffer `faults`, in order, and later ones none.
    pub fn new(inner: Arc<dyn MessageStore>, faults: &[Fault]) -> Arc<Self> {
        let faults = Mutex::new(faults.iter().rev().copied().collect());
        Arc::new(Self {
            inner,
            faults,
            batches: Mutex::default(),
            reading: AtomicUsize::default(),
            most_reading: AtomicUsize::default(),
            reads: AtomicUsize::default(),
            held: watch::Sender::default(),
            panicking: AtomicBool::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    /// Holds all appends until [`FaultyStore::open`].
    pub fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Releases a number of appends.
    pub fn open(&self, appends: usize) {
        self.gate.add_permits(appends);
    }

    /// Makes reads panic, or work again.
    pub fn panic_on_read(&self, panicking: bool) {
        self.panicking.store(panicking, Ordering::Relaxed);
    }

    /// Returns the number of messages in each append so far.
    pub fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }

    /// Holds reads of the room's log until [`FaultyStore::release_reads`].
    pub fn hold_reads(&self, room: &RoomId) {
        self.held.send_modify(|held| _ = held.insert(room.clone()));
    }

    /// Releases the room's reads.
    pub fn release_reads(&self, room: &RoomId) {
        self.held.send_modify(|held| _ = held.remove(room));
    }

    /// Returns the number of reads so far.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// Returns the number of reads in flight.
    pub fn reading(&self) -> usize {
        self.reading.load(Ordering::Relaxed)
    }

    /// Returns the largest number of reads in flight so far.
    pub fn most_reading(&self) -> usize {
        self.most_reading.load(Ordering::Relaxed)
    }
}

impl FaultyStore {
    /// Writes a batch once the gate lets it through, with the next fault.
    async fn write<T>(
        &self,
        entries: usize,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.batches.lock().unwrap().push(entries);
        self.gate.acquire().await.unwrap().forget();
        let fault = self.faults.lock().unwrap().pop();
        let lost = || {
            StoreError::Unavailable(
                std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(),
            )
        };
        if fault == Some(Fault::LostBefore) {
            return Err(lost());
        }
        let written = write.await?;
        if fault == Some(Fault::LostAfter) {
            Err(lost())
        } else {
            Ok(written)
        }
    }
}

#[async_trait]
impl MessageStore for FaultyStore {
    async fn migrate(&self) -> Result<(), MigrateError> {
        self.inner.migrate().await
    }

    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError> {
        self.write(drafts.len(), self.inner.append(drafts)).await
    }

    async fn commit(&self, drafts: &[Draft], changes: &[Change]) -> Result<Committed, StoreError> {
        let entries = drafts.len() + changes.len();
        self.write(entries, self.inner.commit(drafts, changes))
            .await
    }

    async fn read_changes(
        &self,
        room: &RoomId,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.inner.read_changes(room, after, limit).await
    }

    async fn read_replies(
        &self,
        room: &RoomId,
        to: Seq,
        page: Page,
    ) -> Result<Vec<Message>, StoreError> {
        self.inner.read_replies(room, to, page).await
    }

    async fn find_sent(
        &self,
        room: &RoomId,
        user: &UserId,
        id: &ClientMessageId,
    ) -> Result<Option<Message>, StoreError> {
        self.inner.find_sent(room, user, id).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, Head>, StoreError> {
        self.inner.heads(rooms).await
    }

    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError> {
        assert!(
            !self.panicking.load(Ordering::Relaxed),
            "a fault of the test"
        );
        self.reads.fetch_add(1, Ordering::Relaxed);
        let _reading = Reading::begin(self);
        // A held read returns the log as it was when the read began.
        let read = self.inner.read(room, page).await;
        let released = |held: &HashSet<RoomId>| !held.contains(room);
        self.held.subscribe().wait_for(released).await.unwrap();
        read
    }

    fn rooms(&self) -> &dyn RoomStore {
        self.inner.rooms()
    }

    fn conversations(&self) -> Option<&dyn ConversationStore> {
        self.inner.conversations()
    }

    fn memberships(&self) -> &dyn MembershipStore {
        self.inner.memberships()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// A read in flight; dropping it ends the count, as when its reader gives up.
struct Reading<'a>(&'a AtomicUsize);

impl<'a> Reading<'a> {
    fn begin(store: &'a FaultyStore) -> Self {
        let reading = store.reading.fetch_add(1, Ordering::Relaxed) + 1;
        store.most_reading.fetch_max(reading, Ordering::Relaxed);
        Self(&store.reading)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
