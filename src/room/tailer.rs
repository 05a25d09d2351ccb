//! The tailer: it follows the logs of a node's active rooms where other servers write to them.
//!
//! Reports of the bus name the rooms, and a sweep finds those that no report named. Both are read
//! for many rooms at once, so that the database's load does not grow with rooms times servers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{recent::CAPACITY, registry::Rooms};
use crate::{
    bus::{Bus, Dropped, News},
    model::{EncodedMessage, Revision, RoomId, Seq},
    store::{Head, MessageStore, StoreError},
};

/// The longest time between two sweeps while the bus is well. Jitter takes off up to a quarter, as
/// servers lose a database together.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// The longest time between two sweeps while the bus may lose reports, and the shortest in all cases.
const MIN_SWEEP_INTERVAL: Duration = Duration::from_millis(250);

/// The most rooms in a statement for their newest places.
const MAX_HEADS: usize = 1_000;
/// The most rooms in a statement for their messages.
const MAX_TAILS: usize = 256;

/// Hears the news of other servers beside the rooms. Never waits.
pub trait NewsListener: Send + Sync + 'static {
    /// Takes in news, before the rooms do.
    fn hear(&self, news: &News);
}

/// Follows the logs of a node's active rooms.
pub struct Tailer {
    rooms: Rooms,
    listener: Arc<dyn NewsListener>,
    store: Arc<dyn MessageStore>,
    bus: Arc<dyn Bus>,
    handed: Handed,
    /// True after a failure that no sweep has made up for.
    has_failed: bool,
    swept_at: Instant,
    sweep_at: Instant,
    dropped: Dropped,
}

impl Tailer {
    /// Creates the tailer of a node.
    pub fn new(
        rooms: Rooms,
        store: Arc<dyn MessageStore>,
        bus: Arc<dyn Bus>,
        listener: Arc<dyn NewsListener>,
    ) -> Self {
        let now = Instant::now();
        Self {
            rooms,
            listener,
            store,
            bus,
            handed: Handed::default(),
            has_failed: false,
            swept_at: now,
            sweep_at: now + SWEEP_INTERVAL,
            dropped: Dropped::default(),
        }
    }

    /// Follows the logs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                self.follow().await;
            }
        })
        .await;
    }

    /// Waits for news or for the time of a sweep. Neither can starve the other.
    async fn follow(&mut self) {
        let done = tokio::select! {
            news = self.bus.news() => self.take(news).await,
            () = sleep_until(self.sweep_at) => self.sweep().await,
        };
        if let Err(cause) = done {
            tracing::debug!(%cause, "the log was not read for messages of other servers");
            self.has_failed = true;
            self.sweep_soon();
        }
    }

    /// Passes news on. A report of any room asks for a sweep.
    async fn take(&mut self, news: News) -> Result<(), StoreError> {
        self.listener.hear(&news);
        let dropped = news.all_dropped();
        for (room, signal) in news.signals {
            self.rooms.hear(&room, signal);
        }
        if let Some(count) = self.dropped.note(dropped) {
            tracing::warn!(count, "signals of other servers dropped");
        }
        self.rooms.tell_rosters(news.rosters, news.wakes.any);
        if news.wakes.any {
            self.sweep_soon();
        }
        for (room, revision) in &news.wakes.changes {
            self.rooms.wake_to_change(room, *revision);
        }
        let behind = self.rooms.behind(&news.wakes.rooms);
        self.catch_up(&news.wakes.rooms, &behind).await
    }

    /// Sweeps next at the least distance from the last sweep.
    fn sweep_soon(&mut self) {
        self.sweep_at = self.sweep_at.min(self.swept_at + MIN_SWEEP_INTERVAL);
    }

    /// Compares all active rooms with their logs.
    async fn sweep(&mut self) -> Result<(), StoreError> {
        let swept = self.compare().await;
        self.rooms.metrics().sweeps.inc();
        self.has_failed &= swept.is_err();
        self.swept_at = Instant::now();
        let interval = if self.bus.is_well() && !self.has_failed {
            SWEEP_INTERVAL
        } else {
            MIN_SWEEP_INTERVAL
        };
        self.sweep_at = self.swept_at + interval.mul_f64(1.0 - fastrand::f64() / 4.0);
        swept
    }

    /// Catches up with rooms that are behind their logs. A log that ends before its room's cursor
    /// went back: cursors are taken before the places in the logs, and both only grow.
    async fn compare(&mut self) -> Result<(), StoreError> {
        let cursors = self.rooms.cursors();
        let ids: Vec<_> = cursors.keys().cloned().collect();
        let mut heads = HashMap::new();
        for rooms in ids.chunks(MAX_HEADS) {
            heads.extend(self.store.heads(rooms).await?);
        }
        let mut heads = self.compare_changes(&cursors, &heads);
        for (room, cursor) in cursors {
            let head = heads.get(&room).copied().unwrap_or(Seq::ZERO);
            if cursor.is_some_and(|(cursor, _)| head < cursor) {
                self.rooms.suspect(&room);
            }
            if cursor.is_some_and(|(cursor, _)| head <= cursor) {
                heads.remove(&room);
            }
        }
        let mut behind = self.rooms.behind(&heads);
        self.handed.skip_known(&mut heads, &mut behind);
        let repairs = &self.rooms.metrics().repairs;
        repairs.inc_by(behind.len() as u64);
        self.catch_up(&heads, &behind).await
    }

    /// Wakes rooms behind their changes, and those whose changes went back. Returns the newest
    /// messages.
    fn compare_changes(
        &self,
        cursors: &HashMap<RoomId, Option<(Seq, Revision)>>,
        heads: &HashMap<RoomId, Head>,
    ) -> HashMap<RoomId, Seq> {
        for (room, head) in heads {
            match cursors.get(room).copied().flatten() {
                Some((_, revision)) if head.revision > revision => {
                    self.rooms.metrics().repairs.inc();
                    self.rooms.wake_to_change(room, head.revision);
                }
                Some((_, revision)) if head.revision < revision => self.rooms.read_anew(room),
                _ => {}
            }
        }
        let newest = heads.iter().map(|(room, head)| (room.clone(), head.seq));
        newest.collect()
    }

    /// Hands out the messages that active rooms have missed. Rooms that have still more, and all of
    /// them after a failure, read by themselves.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn catch_up(
        &self,
        heads: &HashMap<RoomId, Seq>,
        behind: &[(RoomId, Seq)],
    ) -> Result<(), StoreError> {
        let mut read = Ok(());
        for places in behind.chunks(MAX_TAILS) {
            read = self.read(places).await;
            if read.is_err() {
                break;
            }
        }
        for (room, head) in heads {
            self.rooms.wake(room, *head);
        }
        read
    }

    async fn read(&self, places: &[(RoomId, Seq)]) -> Result<(), StoreError> {
        let mut rooms = HashMap::<_, Vec<EncodedMessage>>::new();
        for message in self.store.read_tails(places, CAPACITY).await? {
            let room = rooms.entry(message.room_id.clone()).or_default();
            room.push(EncodedMessage::from(&message));
        }
        for (room, found) in rooms {
            self.rooms.found(&room, found);
        }
        Ok(())
    }
}

/// The rooms behind at the last sweep, with the newest places of their logs.
///
/// A room whose newest messages were removed by hand stays behind its log's counter. It has looked
/// once, and need not look again until the counter moves.
#[derive(Default)]
struct Handed(HashMap<RoomId, Seq>);

impl Handed {
    /// Removes the rooms that have looked for their log's newest place already.
    fn skip_known(&mut self, heads: &mut HashMap<RoomId, Seq>, behind: &mut Vec<(RoomId, Seq)>) {
        let newest = behind
            .iter()
            .filter_map(|(room, _)| heads.get_key_value(room));
        let newest: HashMap<_, _> = newest.map(|(room, head)| (room.clone(), *head)).collect();
        let known = std::mem::replace(&mut self.0, newest);
        heads.retain(|room, head| known.get(room) != Some(head));
        behind.retain(|(room, _)| heads.contains_key(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_stays_behind_looks_once_for_each_newest_place() {
        let room: RoomId = "r".try_into().unwrap();
        let mut handed = Handed::default();
        let mut looks = |head: i64, cursor: i64| {
            let mut heads = HashMap::from([(room.clone(), head.try_into().unwrap())]);
            let mut behind = vec![(room.clone(), cursor.try_into().unwrap())];
            behind.retain(|(_, cursor)| *cursor < heads[&room]);
            handed.skip_known(&mut heads, &mut behind);
            !behind.is_empty()
        };
        let sweeps = [(3, 2), (3, 2), (3, 2), (4, 2), (4, 2), (4, 4), (5, 4)];
        let looked = sweeps.map(|(head, cursor)| looks(head, cursor));
        assert_eq!(looked, [true, false, false, true, false, false, true]);
    }
}
