//! The rooms with new events, on their way to a sender.

use std::{
    collections::HashSet,
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use crate::model::RoomId;

/// The most rooms under way. Beyond it, any room may have new events.
const MAX_ROOMS: usize = 16_384;

/// Rooms with new events.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    pub(super) rooms: HashSet<RoomId>,
    /// True when any other room may have new events, too.
    pub(super) any: bool,
}

/// The way of rooms with new events to a sender; open while there is one on this node.
#[derive(Debug, Default)]
pub(super) struct Feed {
    is_open: AtomicBool,
    fresh: Mutex<Fresh>,
    added: Notify,
}

impl Feed {
    /// Begins to take rooms in; the feed closes when the guard is dropped.
    pub(super) fn open(&self) -> Open<'_> {
        *self.fresh() = Fresh::default();
        self.is_open.store(true, Ordering::Relaxed);
        Open(self)
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Adds rooms. Never waits.
    pub(super) fn add<'a>(&self, rooms: impl IntoIterator<Item = &'a RoomId>) {
        let mut fresh = self.fresh();
        for room in rooms {
            if fresh.rooms.contains(room) {
                continue;
            }
            if fresh.rooms.len() >= MAX_ROOMS {
                fresh.any = true;
                break;
            }
            fresh.rooms.insert(room.clone());
        }
        self.added.notify_one();
    }

    /// Notes that any room may have new events.
    pub(super) fn add_any(&self) {
        self.fresh().any = true;
        self.added.notify_one();
    }

    /// Waits for rooms, and takes all of them. Cancel safe.
    pub(super) async fn next(&self) -> Fresh {
        self.added.notified().await;
        mem::take(&mut *self.fresh())
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open feed.
pub(super) struct Open<'a>(&'a Feed);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.is_open.store(false, Ordering::Relaxed);
    }
}
