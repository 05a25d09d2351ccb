//! Backlogs: the bytes sent to clients and not taken by them yet.
//!
//! Answers and acks are counted for their client. A packet to a room is counted once, by the room; a
//! client keeps its position in the room's count. Sums are made only on demand, and when much has
//! been sent to all clients together: idle clients cost nothing, and a fan-out costs one addition.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use socketioxide::{SocketIo, extract::SocketRef};

use crate::{metrics, model::RoomId};

/// The largest backlog of a client that still gets answers with messages, in bytes. A client joining
/// all of its rooms at once has a smaller one.
pub const MAX_UNREAD_BYTES: u64 = 8 * 1024 * 1024;
/// The largest backlog of a client that keeps its connection, in bytes.
pub const MAX_WAITING_BYTES: u64 = 16 * 1024 * 1024;
/// The largest sum of all backlogs, in bytes; above it, the clients with the largest ones lose their
/// connections. A packet in flight to several members of a room is in memory once, and counts once.
pub const ALL_WAITING_BYTES: u64 = 256 * 1024 * 1024;
/// The backlog that every client may have, in bytes, whatever the sum.
pub const MIN_WAITING_BYTES: u64 = 64 * 1024;

/// The bytes sent to all clients together from one sweep for slow clients to the next.
const SWEEP_BYTES: u64 = 8 * 1024 * 1024;
/// The least time between two sweeps made because the sum is too large.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);
/// The pause before a slow client may ask again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The backlogs of all clients of the node.
pub struct Backlogs {
    io: SocketIo,
    metrics: Arc<metrics::Realtime>,
    rooms: Mutex<Rooms>,
    /// Bytes sent since the last sweep.
    sent: AtomicU64,
    swept_at: Mutex<Option<Instant>>,
    is_full: AtomicBool,
}

#[derive(Debug, Default)]
struct Rooms {
    /// Bytes sent to each room so far.
    sent: HashMap<RoomId, Arc<AtomicU64>>,
    /// The number of rooms at which the rooms without members are removed.
    clean_at: usize,
}

/// The backlog of one client. A lower bound: the client also takes some small packets, which are not
/// counted.
#[derive(Debug, Default)]
pub struct Backlog(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Bytes for this client alone.
    own: u64,
    /// The bytes taken by the client, as of the last count.
    taken: u64,
    rooms: Vec<Subscription>,
}

/// A client's position in a room's packets.
#[derive(Debug)]
struct Subscription {
    sent: Arc<AtomicU64>,
    taken: u64,
}

/// A slow client.
pub struct Slow<S> {
    /// Its socket.
    pub socket: S,
    /// Its whole backlog.
    pub total: u64,
    own: u64,
    /// Its backlog by room, identified by the address of the room's counter.
    rooms: Vec<(usize, u64)>,
}

impl Backlogs {
    /// Empty backlogs, for the clients of `io`.
    pub fn new(io: SocketIo, metrics: Arc<metrics::Realtime>) -> Self {
        let (rooms, sent, swept_at, is_full) = Default::default();
        Self {
            io,
            metrics,
            rooms,
            sent,
            swept_at,
            is_full,
        }
    }

    /// Counts a packet to a room; returns true when a sweep is due.
    pub fn count_packet(&self, room: &RoomId, bytes: u64) -> bool {
        self.metrics.packets.inc();
        if let Some(sent) = self.rooms().sent.get(room) {
            sent.fetch_add(bytes, Ordering::Relaxed);
            // The room's clients have a share each, and the map has one.
            let clients = Arc::strong_count(sent) - 1;
            self.metrics.deliveries.inc_by(clients as u64);
        }
        self.count(bytes)
    }

    /// Leaves the next packet to a room out of a client's backlog, as the client does not get it.
    pub fn leave_out(&self, backlog: &Backlog, room: &RoomId, bytes: u64) {
        let sent = self.rooms().sent.get(room).cloned();
        if let Some(sent) = sent {
            backlog.leave_out(&sent, bytes);
        }
    }

    /// Counts bytes sent to any client; returns true when a sweep is due.
    pub fn count(&self, bytes: u64) -> bool {
        let is_due = self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes >= SWEEP_BYTES;
        if is_due {
            self.sent.store(0, Ordering::Relaxed);
        }
        is_due
    }

    /// Starts to count a room's packets for a client.
    pub fn subscribe(&self, backlog: &Backlog, room: &RoomId) {
        let mut rooms = self.rooms();
        if rooms.sent.len() >= rooms.clean_at {
            rooms.sent.retain(|_, sent| Arc::strong_count(sent) > 1);
            rooms.clean_at = 2 * rooms.sent.len() + 64;
        }
        let sent = rooms.sent.entry(room.clone()).or_default().clone();
        drop(rooms);
        backlog.subscribe(sent);
    }

    /// Stops counting a room's packets for a client.
    pub fn unsubscribe(&self, backlog: &Backlog, room: &RoomId) {
        let sent = self.rooms().sent.get(room).cloned();
        if let Some(sent) = sent {
            backlog.unsubscribe(&sent);
        }
    }

    /// Returns true while the last sweep found more than [`ALL_WAITING_BYTES`].
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Returns true when the last sweep is at least [`SWEEP_PAUSE`] ago.
    pub fn may_sweep(&self) -> bool {
        self.swept_at()
            .is_none_or(|last| last.elapsed() > SWEEP_PAUSE)
    }

    /// Notes the time of a sweep, and returns the sockets of all clients.
    pub fn begin_sweep(&self) -> Vec<SocketRef> {
        *self.swept_at() = Some(Instant::now());
        let namespace = self.io.of("/");
        namespace.map_or_else(Vec::new, |namespace| namespace.sockets())
    }

    /// Notes the sum of the backlogs, and returns the largest one allowed.
    pub fn bound<S>(&self, slow: &[Slow<S>]) -> u64 {
        let is_full = together(slow.iter()) > ALL_WAITING_BYTES;
        self.is_full.store(is_full, Ordering::Relaxed);
        bound(slow)
    }

    fn swept_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.swept_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    /// Counts bytes for the client alone, and returns its whole backlog. The client has taken `taken`
    /// bytes so far.
    pub fn add(&self, bytes: u64, taken: u64) -> u64 {
        let mut waiting = self.waiting();
        let total = waiting.settle(taken);
        waiting.own += bytes;
        total + bytes
    }

    /// Returns the backlog, with the client's socket, when it is over [`MIN_WAITING_BYTES`].
    pub fn slow<S>(&self, taken: u64, socket: S) -> Option<Slow<S>> {
        let mut waiting = self.waiting();
        let total = waiting.settle(taken);
        let rooms = waiting
            .rooms
            .iter()
            .map(|room| (Arc::as_ptr(&room.sent).addr(), room.waiting()));
        (total > MIN_WAITING_BYTES).then(|| Slow {
            socket,
            total,
            own: waiting.own,
            rooms: rooms.collect(),
        })
    }

    fn subscribe(&self, sent: Arc<AtomicU64>) {
        let rooms = &mut self.waiting().rooms;
        if !rooms.iter().any(|room| Arc::ptr_eq(&room.sent, &sent)) {
            let taken = sent.load(Ordering::Relaxed);
            rooms.reserve_exact(1);
            rooms.push(Subscription { sent, taken });
        }
    }

    fn leave_out(&self, sent: &Arc<AtomicU64>, bytes: u64) {
        let mut waiting = self.waiting();
        let mut rooms = waiting.rooms.iter_mut();
        if let Some(room) = rooms.find(|room| Arc::ptr_eq(&room.sent, sent)) {
            room.taken += bytes;
        }
    }

    fn unsubscribe(&self, sent: &Arc<AtomicU64>) {
        let mut waiting = self.waiting();
        if let Some(place) = waiting
            .rooms
            .iter()
            .position(|room| Arc::ptr_eq(&room.sent, sent))
        {
            // Packets sent before the client left are still in flight.
            waiting.own += waiting.rooms.swap_remove(place).waiting();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Subtracts the bytes taken since the last count, and returns the rest. Nobody knows which
    /// packets were taken, so each part shrinks in proportion.
    fn settle(&mut self, taken: u64) -> u64 {
        let total = self.own + self.rooms.iter().map(Subscription::waiting).sum::<u64>();
        let read = taken.saturating_sub(self.taken);
        self.taken = taken;
        if read == 0 || total == 0 {
            return total;
        }
        let left = total.saturating_sub(read);
        self.own = portion(self.own, left, total);
        for room in &mut self.rooms {
            let waiting = room.waiting();
            room.taken += waiting - portion(waiting, left, total);
        }
        left
    }
}

impl Subscription {
    fn waiting(&self) -> u64 {
        self.sent.load(Ordering::Relaxed).saturating_sub(self.taken)
    }
}

fn portion(bytes: u64, left: u64, total: u64) -> u64 {
    let portion = u128::from(bytes) * u128::from(left) / u128::from(total.max(1));
    u64::try_from(portion).unwrap_or(bytes).min(bytes)
}

/// Returns the memory of some clients' backlogs.
fn together<'a, S: 'a>(clients: impl Iterator<Item = &'a Slow<S>>) -> u64 {
    let (mut own, mut most) = (0, HashMap::<_, u64>::new());
    for client in clients {
        own += client.own;
        for &(room, waiting) in &client.rooms {
            let most = most.entry(room).or_default();
            *most = waiting.max(*most);
        }
    }
    own + most.values().sum::<u64>()
}

/// Returns the largest backlog allowed, so that the sum stays in bounds.
fn bound<S>(slow: &[Slow<S>]) -> u64 {
    let mut bound = MAX_WAITING_BYTES;
    let kept = |bound| together(slow.iter().filter(move |client| client.total <= bound));
    while bound > MIN_WAITING_BYTES && kept(bound) > ALL_WAITING_BYTES {
        bound /= 2;
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn client(total: u64, own: u64, rooms: &[(usize, u64)]) -> Slow<()> {
        Slow {
            socket: (),
            total,
            own,
            rooms: rooms.to_vec(),
        }
    }

    #[test]
    fn bytes_taken_by_the_client_leave_its_backlog() {
        let backlog = Backlog::default();
        assert_eq!(backlog.add(100, 50), 100);
        assert_eq!(backlog.add(100, 90), 160);
        assert_eq!(backlog.add(0, 90), 160);
        assert_eq!(backlog.add(30, 1_000), 30);
    }

    #[test]
    fn packets_to_a_room_count_for_its_members_from_their_joins() {
        let (backlog, room, other) = (
            Backlog::default(),
            Arc::new(AtomicU64::new(500)),
            Arc::<AtomicU64>::default(),
        );
        backlog.subscribe(room.clone());
        backlog.subscribe(other.clone());
        room.fetch_add(300, Ordering::Relaxed);
        backlog.subscribe(room.clone());
        other.fetch_add(100, Ordering::Relaxed);
        assert_eq!(backlog.add(0, 0), 400);
        assert_eq!(backlog.add(0, 200), 200);
        let waiting: Vec<_> = backlog
            .waiting()
            .rooms
            .iter()
            .map(Subscription::waiting)
            .collect();
        assert_eq!(waiting, [150, 50]);
        backlog.unsubscribe(&room);
        room.fetch_add(1_000, Ordering::Relaxed);
        assert_eq!(backlog.add(0, 200), 200);
        assert_eq!(backlog.add(0, 10_000), 0);
    }

    #[test]
    fn a_packet_that_its_sender_does_not_get_is_not_in_the_senders_backlog() {
        let (sender, other) = (Backlog::default(), Backlog::default());
        let room = Arc::<AtomicU64>::default();
        sender.subscribe(room.clone());
        other.subscribe(room.clone());
        room.fetch_add(100, Ordering::Relaxed);
        sender.leave_out(&room, 300);
        room.fetch_add(300, Ordering::Relaxed);
        assert_eq!((sender.add(0, 0), other.add(0, 0)), (100, 400));
        assert_eq!(sender.add(0, 100), 0);
    }

    #[test]
    fn a_packet_to_many_members_of_a_room_counts_once() {
        let crowd: Vec<_> = (0..1_000)
            .map(|_| client(10 * MIB, 0, &[(1, 10 * MIB)]))
            .collect();
        assert_eq!(together(crowd.iter()), 10 * MIB);
        assert_eq!(bound(&crowd), MAX_WAITING_BYTES);
    }

    #[test]
    fn the_largest_backlogs_go_when_their_sum_is_too_large() {
        let own: Vec<_> = (0..100)
            .map(|number| client((number % 10) * MIB, (number % 10) * MIB, &[]))
            .collect();
        assert_eq!(bound(&own), MAX_WAITING_BYTES / 4);
        let rooms: Vec<_> = (0..1_000)
            .map(|room| client(MIB, 0, &[(room, MIB)]))
            .collect();
        assert_eq!(bound(&rooms), MIB / 2);
        let least: Vec<_> = (0..10_000)
            .map(|_| client(MIN_WAITING_BYTES, MIN_WAITING_BYTES, &[]))
            .collect();
        assert_eq!(bound(&least), MIN_WAITING_BYTES);
    }
}
