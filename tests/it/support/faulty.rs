//! A real store with faults that a real database does not show on demand.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use parlor::{
    model::{Draft, Message, RoomId, Stored},
    store::{MessageStore, MigrateError, Page, StoreError},
};
use tokio::sync::Semaphore;

/// What happens to an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is lost before anything is written.
    LostBefore,
    /// The connection is lost after the commit, before its answer.
    LostAfter,
}

/// Counts batches, holds them up, and fails as planned.
pub struct FaultyStore {
    inner: Arc<dyn MessageStore>,
    faults: Mutex<Vec<Fault>>,
    batches: Mutex<Vec<usize>>,
    reading: AtomicUsize,
    most_reading: AtomicUsize,
    panicking: AtomicBool,
    /// An append takes one permit; there are plenty unless held up.
    gate: Semaphore,
}

impl FaultyStore {
    /// A store on which the next appends suffer `faults`, in order, and later ones none.
    pub fn new(inner: Arc<dyn MessageStore>, faults: &[Fault]) -> Arc<Self> {
        let faults = Mutex::new(faults.iter().rev().copied().collect());
        Arc::new(Self {
            inner,
            faults,
            batches: Mutex::default(),
            reading: AtomicUsize::default(),
            most_reading: AtomicUsize::default(),
            panicking: AtomicBool::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    /// Lets no append begin until [`FaultyStore::open`].
    pub fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets `appends` begin.
    pub fn open(&self, appends: usize) {
        self.gate.add_permits(appends);
    }

    /// Whether reads panic from now on.
    pub fn panic_on_read(&self, panicking: bool) {
        self.panicking.store(panicking, Ordering::Relaxed);
    }

    /// How many messages each append so far had.
    pub fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }

    /// How many reads there were at once, at most.
    pub fn most_reading(&self) -> usize {
        self.most_reading.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl MessageStore for FaultyStore {
    async fn migrate(&self) -> Result<(), MigrateError> {
        self.inner.migrate().await
    }

    async fn append(&self, drafts: &[Draft]) -> Result<Vec<Stored<Arc<Message>>>, StoreError> {
        self.batches.lock().unwrap().push(drafts.len());
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
        let stored = self.inner.append(drafts).await?;
        if fault == Some(Fault::LostAfter) {
            Err(lost())
        } else {
            Ok(stored)
        }
    }

    async fn read(&self, room: &RoomId, page: Page) -> Result<Vec<Message>, StoreError> {
        assert!(
            !self.panicking.load(Ordering::Relaxed),
            "a fault of the test"
        );
        let reading = self.reading.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_reading.fetch_max(reading, Ordering::Relaxed);
        let read = self.inner.read(room, page).await;
        self.reading.fetch_sub(1, Ordering::Relaxed);
        read
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
