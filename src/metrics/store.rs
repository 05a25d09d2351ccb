//! The handles of a store, which is opened before the server: it makes them itself.

use std::{iter::Sum, time::Instant};

use super::{Exposition, Gauge, Histogram, Tally, seconds};

/// The use of a store's connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// The most that there can be.
    pub max: usize,
    /// The open ones.
    pub open: usize,
    /// The open ones that do nothing.
    pub idle: usize,
}

impl Connections {
    /// Returns the number of those in use. Its parts are read one after another, as of different times.
    pub fn in_use(self) -> usize {
        self.open.saturating_sub(self.idle)
    }
}

impl Sum for Connections {
    fn sum<I: Iterator<Item = Self>>(pools: I) -> Self {
        pools.fold(Self::default(), |all, pool| Self {
            max: all.max + pool.max,
            open: all.open + pool.open,
            idle: all.idle + pool.idle,
        })
    }
}

/// The handles of a store.
#[derive(Debug, Clone)]
pub struct Store {
    reads: Histogram,
    waiting: Gauge,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            reads: seconds(),
            waiting: Gauge::default(),
        }
    }
}

impl Store {
    /// Carries out a read of the log, and notes its time unless it is given up.
    pub async fn read<T>(&self, reading: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let read = reading.await;
        self.reads.observe(begun.elapsed().as_secs_f64());
        read
    }

    /// Waits for a connection, and is counted meanwhile.
    pub async fn wait<T>(&self, waiting: impl Future<Output = T>) -> T {
        let _waiting = Tally::of_one(self.waiting.clone());
        waiting.await
    }

    /// Puts the figures into an exposition.
    pub fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "log_read_duration_seconds",
            "Time to read a part of a room's log, or the ends of several, from the database",
            self.reads.clone(),
        );
        exposition.add(
            "database_waiting",
            "Statements that wait for a connection to the database",
            self.waiting.clone(),
        );
    }
}
