//! Outlets: the bounded queues between the fan-out and the streams.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::mpsc;

use super::hub::Packet;
use crate::{auth::Identity, net::ConnectionHandle};

/// The most events that wait for the reader of a stream.
pub const QUEUE_EVENTS: usize = 256;
/// The most bytes of events that wait for the reader of a stream; a single event may be larger.
pub const QUEUE_BYTES: usize = 1024 * 1024;

/// The writing end of a stream's queue.
pub(super) struct Outlet {
    number: u64,
    pub(super) reader: Identity,
    queue: mpsc::Sender<Arc<Packet>>,
    bytes: Arc<AtomicUsize>,
    connection: ConnectionHandle,
}

impl Outlet {
    /// Queues a packet. Cuts the connection of a reader that is too slow: the client comes back, and reads
    /// the log from its place on. Returns false after that.
    fn push(&self, packet: &Arc<Packet>) -> bool {
        let waiting = self.bytes.fetch_add(packet.data.len(), Ordering::Relaxed);
        let fits = waiting <= QUEUE_BYTES && self.queue.try_send(packet.clone()).is_ok();
        if !fits {
            self.connection.close();
        }
        fits
    }
}

/// The outlets of the streams that are open, by room or by user.
pub(super) struct Outlets<K> {
    topics: Mutex<HashMap<K, Vec<Arc<Outlet>>>>,
    /// The number of topics, for a look without the lock.
    open: AtomicUsize,
    numbers: AtomicU64,
}

impl<K> Default for Outlets<K> {
    fn default() -> Self {
        Self {
            topics: Mutex::default(),
            open: AtomicUsize::new(0),
            numbers: AtomicU64::new(0),
        }
    }
}

impl<K: Clone + Eq + Hash> Outlets<K> {
    /// Opens a queue for a topic.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        topic: K,
        reader: Identity,
        connection: ConnectionHandle,
    ) -> Subscription<K> {
        let (sender, queue) = mpsc::channel(QUEUE_EVENTS);
        let (number, bytes) = (
            self.numbers.fetch_add(1, Ordering::Relaxed),
            Arc::<AtomicUsize>::default(),
        );
        let outlet = Outlet {
            number,
            reader,
            queue: sender,
            bytes: bytes.clone(),
            connection,
        };
        let mut topics = self.lock();
        topics
            .entry(topic.clone())
            .or_default()
            .push(Arc::new(outlet));
        self.open.store(topics.len(), Ordering::Relaxed);
        Subscription {
            queue,
            bytes,
            outlets: self.clone(),
            topic,
            number,
        }
    }

    /// Returns the outlets of a topic. Costs one look while no stream is open.
    pub(super) fn of(&self, topic: &K) -> Vec<Arc<Outlet>> {
        if self.open.load(Ordering::Relaxed) == 0 {
            return vec![];
        }
        self.lock().get(topic).cloned().unwrap_or_default()
    }

    /// Queues a packet for some outlets of a topic.
    pub(super) fn send(&self, topic: &K, outlets: &[Arc<Outlet>], packet: Packet) {
        let packet = Arc::new(packet);
        let cut = outlets.iter().filter(|outlet| !outlet.push(&packet));
        let cut: Vec<_> = cut.map(|outlet| outlet.number).collect();
        if !cut.is_empty() {
            self.end(topic, |outlet| cut.contains(&outlet.number));
        }
    }

    /// Ends some streams of a topic, once their readers have got what waits for them.
    pub(super) fn end(&self, topic: &K, is_over: impl Fn(&Outlet) -> bool) {
        let mut topics = self.lock();
        if let Some(outlets) = topics.get_mut(topic) {
            outlets.retain(|outlet| !is_over(outlet));
            if outlets.is_empty() {
                topics.remove(topic);
            }
        }
        self.open.store(topics.len(), Ordering::Relaxed);
    }

    /// Ends some streams of all topics.
    pub(super) fn end_everywhere(&self, is_over: impl Fn(&Outlet) -> bool) {
        let topics: Vec<_> = self.lock().keys().cloned().collect();
        for topic in topics {
            self.end(&topic, &is_over);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Vec<Arc<Outlet>>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading end of a stream's queue; dropping it closes the queue.
pub struct Subscription<K: Clone + Eq + Hash> {
    queue: mpsc::Receiver<Arc<Packet>>,
    bytes: Arc<AtomicUsize>,
    outlets: Arc<Outlets<K>>,
    topic: K,
    number: u64,
}

impl<K: Clone + Eq + Hash> Subscription<K> {
    /// Waits for the next packet; returns none once the stream has ended. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Arc<Packet>> {
        let packet = self.queue.recv().await?;
        self.bytes.fetch_sub(packet.data.len(), Ordering::Relaxed);
        Some(packet)
    }
}

impl<K: Clone + Eq + Hash> Drop for Subscription<K> {
    fn drop(&mut self) {
        let number = self.number;
        self.outlets
            .end(&self.topic, |outlet| outlet.number == number);
    }
}
