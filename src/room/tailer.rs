//! The tailer: it follows the logs of a node's active rooms where other servers write to them.
//!
//! Reports of the bus name the rooms, and a sweep finds those that no report named. Both are read
//! for many rooms at once, so that the database's load does not grow with rooms times servers.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{recent::CAPACITY, registry::Rooms};
use crate::{
    bus::{Bus, News, Wakes},
    model::{EncodedMessage, RoomId, Seq},
    store::{MessageStore, StoreError},
};

/// The time between two sweeps while the bus is well.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// The time between two sweeps while the bus may lose reports.
const SWEEP_INTERVAL_DEGRADED: Duration = Duration::from_millis(250);

/// The most rooms in a statement for their newest places.
const MAX_HEADS: usize = 1_000;
/// The most rooms in a statement for their messages.
const MAX_TAILS: usize = 256;

/// Follows the logs of a node's active rooms.
pub struct Tailer {
    rooms: Rooms,
    store: Arc<dyn MessageStore>,
    bus: Arc<dyn Bus>,
}

impl Tailer {
    /// Creates the tailer of a node.
    pub fn new(rooms: Rooms, store: Arc<dyn MessageStore>, bus: Arc<dyn Bus>) -> Self {
        Self { rooms, store, bus }
    }

    /// Follows the logs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&self) {
        let mut swept_at = Instant::now();
        let (mut handed, mut failed) = (Handed::default(), false);
        loop {
            let News { wakes, signals, .. } = tokio::select! {
                biased;
                () = sleep_until(swept_at + self.pause(failed)) => Wakes::any().into(),
                mut news = self.bus.news() => {
                    self.rooms.tell_rosters(mem::take(&mut news.rosters), news.wakes.any);
                    news
                }
            };
            for (room, signal) in signals {
                self.rooms.signal(&room, signal);
            }
            let is_sweep = wakes.any;
            let caught_up = self.catch_up(wakes, &mut handed).await;
            if is_sweep {
                swept_at = Instant::now();
            }
            // Only a sweep makes up for a failure.
            failed = caught_up.is_err() || failed && !is_sweep;
            if let Err(cause) = caught_up {
                tracing::debug!(%cause, "the log was not read for messages of other servers");
            }
        }
    }

    /// Returns the time to the next sweep, shorter after a failed read.
    fn pause(&self, failed: bool) -> Duration {
        if self.bus.is_well() && !failed {
            SWEEP_INTERVAL
        } else {
            SWEEP_INTERVAL_DEGRADED
        }
    }

    /// Hands out the messages that active rooms have missed. Rooms that have still more, and all of
    /// them after a failure, read by themselves.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    async fn catch_up(&self, wakes: Wakes, handed: &mut Handed) -> Result<(), StoreError> {
        let (mut heads, mut swept) = (wakes.rooms, Ok(()));
        if wakes.any {
            swept = self.sweep(&mut heads).await;
        }
        let mut behind = self.rooms.behind(&heads);
        if wakes.any {
            handed.skip_known(&mut heads, &mut behind);
        }
        let mut read = Ok(());
        for places in behind.chunks(MAX_TAILS) {
            read = self.read(places).await;
            if read.is_err() {
                break;
            }
        }
        for (room, head) in &heads {
            self.rooms.wake(room, *head);
        }
        swept.and(read)
    }

    /// Adds the newest places of all active rooms.
    async fn sweep(&self, heads: &mut HashMap<RoomId, Seq>) -> Result<(), StoreError> {
        for rooms in self.rooms.ids().chunks(MAX_HEADS) {
            heads.extend(self.store.heads(rooms).await?);
        }
        Ok(())
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
